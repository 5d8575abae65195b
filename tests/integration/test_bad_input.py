"""What a person can get wrong: each ends in one named error and its exit code, and loses nothing."""

from __future__ import annotations

import base64
import json
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.support.world import Ran, World

from rlg_backup.catalog import Lease
from rlg_backup.cli.keys_commands import make
from rlg_backup.format.canonical import serialize

ROOT = Path(__file__).resolve().parents[2]
COMMAND = Path(sys.executable).with_name("rlg-backup")


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> World:
    world = World.make(tmp_path_factory.mktemp("bad") / "world")
    world.back_up()
    return world


@pytest.fixture
def world(template: World, tmp_path: Path) -> World:
    """One backup of one source on one target."""
    return template.copy(tmp_path / "world")


@contextmanager
def loses_nothing(world: World) -> Iterator[None]:
    """The source, the restore points and what lies on the target are as before, and staging is empty."""
    before, objects = world.state(), world.objects()
    yield
    assert world.state() == before
    assert world.objects() == objects
    assert world.staged() == []


def failed(done: Ran, code: int, text: str) -> None:
    """One error on standard error, nothing else, and no traceback."""
    assert (done.code, done.out, done.err) == (code, "", f"error: {text}\n")


Change = Callable[[dict[str, Any]], object]


def settings_of(text: str) -> Change:
    """Merges a JSON text into the settings."""

    def merge(into: dict[str, Any], values: dict[str, Any]) -> None:
        for key, value in values.items():
            if isinstance(value, dict) and isinstance(into.get(key), dict):
                merge(into[key], value)
            else:
                into[key] = value

    return lambda settings: merge(settings, json.loads(text))


SETTINGS = {
    "an unknown key": (
        '{"staging": {"folders": "x"}}',
        "UnknownSetting",
        "unable to load 'staging.folders': '{file}' has no such setting\nhint: did you mean 'folder'?",
    ),
    "an unknown key of a source": (
        '{"sources": {"app": {"policy": {}}}}',
        "UnknownSetting",
        "unable to load 'sources.app.policy': '{file}' has no such setting\nhint: did you mean 'policies'?",
    ),
    "an unknown key of a target that is called as its type": (
        '{"targets": {"local": {"pth": "x"}}}',
        "UnknownSetting",
        "unable to load 'targets.local.pth': '{file}' has no such setting\nhint: did you mean 'path'?",
    ),
    "an unknown key that is near to none": (
        '{"zzz": 1}',
        "UnknownSetting",
        "unable to load 'zzz': '{file}' has no such setting\nhint: docs/configuration.md lists every setting",
    ),
    "a wrong type": (
        '{"lease_minutes": "soon"}',
        "InvalidSetting",
        "unable to load 'lease_minutes': in '{file}': "
        "Input should be a valid integer, unable to parse string as an integer",
    ),
    "a list where a text belongs": (
        '{"timezone": ["UTC"]}',
        "InvalidSetting",
        "unable to load 'timezone': in '{file}': Input should be a valid string",
    ),
    "a time zone that is none": (
        '{"timezone": "Mars/Olympus"}',
        "InvalidSetting",
        "unable to load 'timezone': in '{file}': there is no such time zone",
    ),
    "a policy that is none": (
        '{"sources": {"app": {"policies": {"people.email": "shred"}}}}',
        "InvalidSetting",
        "unable to load 'sources.app.policies.people.email': in '{file}': "
        "Input should be 'keep', 'tokenize', 'hash' or 'redact'",
    ),
    "a type of target that is none": (
        '{"targets": {"far": {"type": "ftp", "path": "x"}}}',
        "InvalidSetting",
        "unable to load 'targets.far.type': in '{file}': it must be one of local, s3",
    ),
    "a target without a type": (
        '{"targets": {"far": {"path": "x"}}}',
        "InvalidSetting",
        "unable to load 'targets.far.type': in '{file}': it must be one of local, s3",
    ),
    "a source's target that is none": (
        '{"sources": {"app": {"targets": ["cloud"]}}}',
        "InvalidSetting",
        "unable to load '{file}': in '{file}': "
        "the source 'app' names the target 'cloud', which 'targets' does not have",
    ),
    "a source without a target": (
        '{"sources": {"app": {"targets": []}}}',
        "InvalidSetting",
        "unable to load '{file}': in '{file}': the source 'app' has no target",
    ),
    "a name that is none": (
        '{"targets": {"../up": {"type": "local", "path": "x"}}}',
        "InvalidSetting",
        "unable to load 'targets.../up': in '{file}': "
        "a name is a lower-case letter, then lower-case letters, digits and _, at most 63",
    ),
    "a cloud in the clear": (
        '{"targets": {"far": {"type": "s3", "bucket": "b", "endpoint_url": "http://127.0.0.1"}}}',
        "InvalidSetting",
        "unable to load 'targets.far': in '{file}': "
        "endpoint_url must be https:// unless the target is declared 'emulator: true'",
    ),
    "a variable that is not set": (
        '{"staging": {"folder": "${RLG_NOWHERE}/x"}}',
        "VariableMissing",
        "unable to load 'staging.folder': the variable RLG_NOWHERE of '{file}' is not set\n"
        "hint: set RLG_NOWHERE in the environment or in .env, or give a default: ${{RLG_NOWHERE:-...}}",
    ),
    "a path that is none": (
        '{"state": "a\\u0000b"}',
        "InvalidSetting",
        "unable to load 'state': in '{file}': it is not a path",
    ),
    "nobody to encrypt to": (
        '{"encryption": {"recipients": []}}',
        "RecipientMissing",
        "unable to encrypt 'archive': no recipient is configured\n"
        "hint: set 'recipients' to one or more age1... texts; 'age-keygen' makes a pair",
    ),
    "a recipient that is none": (
        '{"encryption": {"recipients": ["age1nobody"]}}',
        "KeyMalformed",
        "unable to read 'age recipient': it has a character that Bech32 does not use",
    ),
    "nobody to believe": (
        '{"signing": {"trusted": []}}',
        "InvalidSetting",
        "unable to load 'signing.trusted': nobody is trusted to sign, so nothing can be verified",
    ),
    "no signing key": (
        '{"signing": {"key": null}}',
        "KeyUnavailable",
        "unable to sign 'signing.key': no signing key is configured here\nhint: set signing.key",
    ),
    "a key file that is gone": (
        '{"signing": {"key": "file:keys/nowhere"}}',
        "KeyUnavailable",
        "unable to read 'file:keys/nowhere': there is no such file",
    ),
    "tokens without a key": (
        '{"tokenization": {"key": null}}',
        "KeyUnavailable",
        "unable to anonymize 'people.email': its policy needs the tokenization key and there is none\n"
        "hint: set 'tokenization.key'",
    ),
    "a policy of a column that is not there": (
        '{"sources": {"app": {"policies": {"people.emial": "tokenize"}}}}',
        "InvalidSetting",
        "unable to apply 'policies.people.emial': it matches no column of the source\n"
        "hint: correct the name, or take the line out",
    ),
    "a dataset of a table that is not there": (
        '{"sources": {"app": {"datasets": {"crm": ["persons"]}}}}',
        "InvalidSetting",
        "unable to apply 'datasets.crm': there is no table 'persons'\nhint: correct the name, or take the line out",
    ),
    "a source without a path": (
        '{"sources": {"app": {"path": null}}}',
        "InvalidSetting",
        "unable to open 'app': the configuration gives no path\n"
        "hint: set sources.app.path, or make the Airflow connection rlg_app",
    ),
    "a source that is not there": (
        '{"sources": {"app": {"path": "gone.db"}}}',
        "SourceUnreadable",
        "unable to open '{root}/gone.db': there is no such file",
    ),
    "a source that is a folder": (
        '{"sources": {"app": {"path": "keys"}}}',
        "SourceUnreadable",
        "unable to open '{root}/keys': it is not a file",
    ),
    "a source that is no database": (
        '{"sources": {"app": {"path": "keys/backup-worker/signing.key"}}}',
        "SourceUnreadable",
        "unable to read '{root}/keys/backup-worker/signing.key': it is not a SQLite database",
    ),
    "a tree that is not there": (
        '{"sources": {"app": {"type": "files", "path": "gone", "targets": ["local"]}}}',
        "SourceUnreadable",
        "unable to open '{root}/gone': no such file or directory",
    ),
    "a tree that is a file": (
        '{"sources": {"app": {"type": "files", "path": "app.db", "targets": ["local"]}}}',
        "SourceUnreadable",
        "unable to open '{root}/app.db': not a directory",
    ),
}
EXIT_CODES = {"SourceUnreadable": 1}


@pytest.mark.parametrize("case", SETTINGS)
def test_a_backup_with_a_wrong_setting(world: World, case: str) -> None:
    change, error, text = SETTINGS[case]
    with loses_nothing(world):
        if '"files"' in change:
            world.source.pop("policies")
        settings_of(change)(world.settings)
        world.save()
        code = EXIT_CODES.get(error, 2)
        text = text.format(file=world.config, root=world.root)
        failed(world.run("backup"), code, text)
        told = world.run("backup", "--json")
        assert told.code == code
        message, _, hint = text.partition("\nhint: ")
        assert told.json == {"error": error, "message": message, "hint": hint or None}


def test_recipients_of_two_kinds_are_refused(world: World) -> None:
    with loses_nothing(world):
        world.settings["encryption"]["recipients"].append(make("identity", post_quantum=True)[1])
        world.save()
        failed(
            world.run("backup"),
            2,
            "unable to encrypt 'archive': its recipients are of types X25519 and mlkem768x25519\n"
            "hint: use recipients that all begin with age1pq1, or none that does",
        )


FILES = {
    "an alias": ("a: &x [1]\nb: *x\n", "aliases (*name) are not allowed (line 2, column 4)"),
    "a key twice": ("version: 1\nversion: 1\n", "the key 'version' stands twice (line 2, column 1)"),
    "a key that is a list": ("? [a]\n: 1\n", "a key is not a plain text (line 1, column 3)"),
    "no YAML": ("a: [1\n", "expected ',' or ']', but got '<stream end>' (line 2, column 1)"),
    "a date that is none": ("a: 2026-13-45\n", "it is nested too deeply or not YAML"),
    "a nest": ("[" * 5000, "it is nested too deeply or not YAML"),
    "a Python object": (
        "a: !!python/object/apply:os.system [ls]\n",
        "tags (!name) are not allowed (line 1, column 4)",
    ),
    "a list": ("- 1\n", "the file does not hold a mapping of settings"),
    "nothing": ("", "the file does not hold a mapping of settings"),
    "too much": ("#" * (1 << 20) + "\n", "the file is larger than 1048576 bytes"),
}


@pytest.mark.parametrize("case", FILES)
def test_a_configuration_that_cannot_be_read(world: World, case: str) -> None:
    text, cause = FILES[case]
    with loses_nothing(world):
        world.config.write_text(text)
        failed(world.run("backup"), 2, f"unable to load '{world.config}': {cause}")
        told = world.run("list", "--json")
        assert (told.code, told.json["error"]) == (2, "InvalidSetting")


def test_a_configuration_that_is_not_there_is_missing_or_not_text(world: World) -> None:
    with loses_nothing(world):
        world.config.rename(world.root / "other.yaml")
        failed(
            world.run("backup"),
            2,
            f"unable to load '{world.config}': there is no such file\n"
            "hint: write one with 'rlg-backup init', or name one with --config FILE",
        )
        world.config.mkdir()
        failed(world.run("backup"), 2, f"unable to load '{world.config}': is a directory")
        world.config.rmdir()
        world.config.write_bytes(b"version: \xff\n")
        failed(world.run("backup"), 2, f"unable to load '{world.config}': it is not UTF-8 text")


ARGUMENTS = {
    "a source that is none": (
        ["backup", "--source", "nobody"],
        "unable to find 'nobody': the configuration has no source of that name\nhint: there are: app",
    ),
    "a source to list that is none": (
        ["list", "--source", "nobody"],
        "unable to find 'nobody': the configuration has no source of that name\nhint: there are: app",
    ),
    "a target that is none": (
        ["show", "latest", "--target", "nowhere"],
        "unable to find 'nowhere': the configuration has no target of that name\nhint: there are: local",
    ),
    "a backup that is none": (
        ["restore", "20200101T000000Z-00000000", "--to", "{out}"],
        "unable to find '20200101T000000Z-00000000': target 'local' lists no such backup of source 'app'\n"
        "hint: there is {id}",
    ),
    "a backup to verify that is none": (
        ["verify", "xyz"],
        "unable to find 'xyz': target 'local' lists no such backup of source 'app'\nhint: there is {id}",
    ),
    "a time before the first backup": (
        ["restore", "2020-01-01T00:00:00Z", "--to", "{out}"],
        "unable to find '2020-01-01T00:00:00+00:00': source 'app' has no backup on local that old\n"
        "hint: 'rlg-backup list' shows what there is",
    ),
    "a place in a folder that is not there": (
        ["restore", "latest", "--to", "{out}/deep/er"],
        "unable to restore to '{out}/deep/er': the folder it would be in does not exist",
    ),
    "a place that is a file": (
        ["restore", "latest", "--to", "{root}/app.db"],
        "unable to restore to '{root}/app.db': it exists\n"
        "hint: name a new database file or folder; replacing live data is not supported yet",
    ),
    "a place that is a folder in use": (
        ["restore", "latest", "--to", "{root}"],
        "unable to restore to '{root}': it exists\n"
        "hint: name a new database file or folder; replacing live data is not supported yet",
    ),
    "a place in a file": (
        ["restore", "latest", "--to", "{root}/app.db/x"],
        "unable to restore to '{root}/app.db/x': the folder it would be in does not exist",
    ),
    "a place whose name is too long": (
        ["restore", "latest", "--to", "{root}/" + "x" * 300],
        "unable to restore to '{root}/" + "x" * 300 + "': file name too long",
    ),
    "a driver that is none": (
        ["restore", "latest", "--to", "postgresql://app:secret@db/app"],
        "unable to restore to 'postgresql://': there is no driver for it\nhint: use sqlite:///FILE or a folder",
    ),
    "an identity that is not there": (
        ["restore", "latest", "--to", "{out}", "--identity", "file:nowhere"],
        "unable to read 'file:nowhere': there is no such file",
    ),
    "an identity that is none": (
        ["restore", "latest", "--to", "{out}", "--identity", "env:RLG_TEST_NOT_A_KEY"],
        "unable to read 'env:RLG_TEST_NOT_A_KEY': line 1 is not a valid age identity: "
        "it does not begin with 'AGE-SECRET-KEY-'",
    ),
    "another's identity": (
        ["restore", "latest", "--to", "{out}", "--identity", "env:RLG_TEST_STRANGER"],
        "unable to decrypt 'archive': none of the identities given opens it\n"
        "hint: the manifest's 'recipients' are the ids of the keys that do; give the identity of one of them",
    ),
}


@pytest.mark.parametrize("case", ARGUMENTS)
def test_a_wrong_argument(world: World, tmp_path: Path, case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RLG_TEST_STRANGER", make("identity")[0])
    monkeypatch.setenv("RLG_TEST_NOT_A_KEY", "opensesame")
    arguments, text = ARGUMENTS[case]
    known = world.run("list", "--json").json[0]["backup_id"]
    places = {"out": tmp_path / "out", "root": world.root, "id": known}
    with loses_nothing(world):
        done = world.run(*(argument.format(**places) for argument in arguments))
        failed(done, 2, text.format(**places))
        assert not (tmp_path / "out").exists()


def test_usage_errors_exit_with_2_and_show_the_way(world: World) -> None:
    for arguments in (["bakcup"], ["backup", "--kind", "weekly"], ["restore", "latest"], ["show"], ["list", "--what"]):
        done = world.run(*arguments)
        assert (done.code, done.out) == (2, "")
        assert done.err.startswith("Usage: ")
        assert "Error: " in done.err
    world.settings["sources"]["other"] = dict(world.source)
    world.save()
    done = world.run("restore", "latest", "--to", "x")
    assert done.code == 2
    assert "Error: name a source: --source app|other" in done.err


def test_a_backup_of_several_sources_goes_on_after_one_failed(world: World) -> None:
    world.settings["sources"] = {
        "broken": {"type": "sqlite", "path": "gone.db", "targets": ["local"]},
        **world.settings["sources"],
    }
    world.save()
    done = world.run("backup", "--json")
    assert done.code == 1
    assert [(entry["source"], entry.get("error")) for entry in done.json] == [
        ("app", None),
        ("broken", "SourceUnreadable"),
    ]
    assert len(world.records()) == 2
    lines = world.run("backup").out.splitlines()
    assert lines[0].startswith("✓ PASS  app  ")
    assert lines[-1] == f"✗ FAIL  broken  unable to open '{world.root}/gone.db': there is no such file"


def test_a_backup_or_a_header_of_a_later_version_is_told_apart_from_damage(world: World, tmp_path: Path) -> None:
    """A later release signs with the same keys: its manifest and its commit record are sound, and not for us."""
    key = world.wiring().signing_key
    [record] = world.records()
    document = json.loads(record.read_bytes())
    body = document["signed"] | {"version": 2, "something": "new"}
    message = b"rlg-backup/1/commit\0" + serialize(body, "commit")
    signature = base64.b64encode(key.sign(message)).decode()
    record.write_bytes(serialize({"signed": body, "signatures": [{"key": key.key_id, "signature": signature}]}, "x"))
    (world.root / "state" / "seen.json").unlink()
    subject = f"catalog/app/{record.name}"
    text = (
        f"unable to read '{subject}': it has version 2, this release reads 1\n"
        "hint: use the release that wrote it, or a later one"
    )
    with loses_nothing(world):
        failed(world.run("restore", "latest", "--to", tmp_path / "out"), 1, text)
        assert not (tmp_path / "out").exists()
        assert world.run("verify", "latest").code == 1


def test_a_source_that_this_user_may_not_read(tmp_path: Path) -> None:
    """As root a test would read it: the command runs as nobody, in a folder of nobody's."""
    with tempfile.TemporaryDirectory(prefix="rlg-test-", dir="/tmp") as folder:
        world = World.make(Path(folder) / "world")
        (world.root / "app.db").chmod(0)
        (world.root / "tree").mkdir()
        (world.root / "tree" / "secret").write_text("x")
        (world.root / "tree" / "secret").chmod(0)
        world.settings["sources"]["tree"] = {"type": "files", "path": "tree", "targets": ["local"]}
        world.save()
        with unprivileged(Path(folder)):
            database = world.run("backup", "--source", "app")
            tree = world.run("backup", "--source", "tree")
        failed(
            database,
            1,
            f"unable to open '{world.root}/app.db': SQLite cannot open it, or the -wal and -shm files beside it",
        )
        failed(tree, 1, "unable to read 'secret': permission denied")
        assert (world.objects(), world.staged()) == ({}, [])


@contextmanager
def unprivileged(folder: Path) -> Iterator[None]:
    """Without root's rights, which go past every mode; the folder is handed over."""
    if os.geteuid() != 0:
        yield
        return
    for path in (folder, *folder.rglob("*")):
        os.chown(path, 65534, 65534)
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_second_process_on_the_same_source_is_told_who_holds_it(world: World) -> None:
    """A process takes the lease and is killed with it; another is refused until the lease has run out."""
    script = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from rlg_backup.config.load import load\n"
        "from rlg_backup.core.model import Kind\n"
        "from rlg_backup.engine import steps\n"
        "from rlg_backup.engine.wiring import Wiring\n"
        "file = Path(sys.argv[1])\n"
        "steps.stage(Wiring(load(file), base=file.parent), 'app', Kind.FULL, run='night')\n"
        "print('held', flush=True)\n"
        "time.sleep(60)\n"
    )
    before = world.objects()
    with process(sys.executable, "-c", script, str(world.config)) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        lease = json.loads((world.target() / "catalog" / "app" / "lease.json").read_bytes())
        done = subprocess.run(
            [COMMAND, "--config", world.config, "backup"],
            env=environment(), capture_output=True, text=True, timeout=60,
        )  # fmt: skip
    text = (
        f"error: unable to lease 'app': '{os.uname().nodename}/{holder.pid}/night' holds it on target 'local' "
        f"until {lease['expires_at']}\nhint: wait until that run ends, or its lease runs out\n"
    )
    assert (done.returncode, done.stdout, done.stderr) == (1, "", text)
    assert world.objects() == before


def test_a_backup_told_to_end_wipes_its_staging_and_gives_its_lease_back(world: World) -> None:
    connection = sqlite3.connect(world.root / "app.db")
    connection.execute("CREATE TABLE many (a)")
    connection.execute(
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000000) "
        "INSERT INTO many SELECT i FROM n"
    )
    connection.commit()
    connection.close()
    before = world.objects()
    with process(str(COMMAND), "--config", str(world.config), "backup") as run:
        deadline = time.monotonic() + 30
        while not any("member" in name for name in world.staged()):
            assert time.monotonic() < deadline and run.poll() is None
            time.sleep(0.01)
        run.send_signal(signal.SIGTERM)
        out, err = run.communicate(timeout=30)
    assert (run.returncode, out) == (1, "")
    assert err.lstrip("\n") == "stopped; 'rlg-backup list' shows what was committed before\n"
    assert (world.objects(), world.staged()) == (before, [])
    wiring = world.wiring()
    Lease.acquire(wiring.storage("local"), "app", "test", timedelta(minutes=1), trusted=wiring.trusted).release()


@contextmanager
def process(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    child = subprocess.Popen(arguments, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        yield child
    finally:
        child.kill()
        child.wait()
        for pipe in (child.stdout, child.stderr):
            assert pipe is not None
            pipe.close()


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT / "plugins")}
