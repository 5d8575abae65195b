"""What a person can get wrong: each ends in one named error and its exit code, and loses nothing."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import rfc8785
from tests.support.refusal import failed, loses_nothing
from tests.support.world import World

from rlg_backup.cli.keys_commands import make
from rlg_backup.format.keys import SigningKey

ROOT = Path(__file__).resolve().parents[2]
COMMAND = Path(sys.executable).with_name("rlg-backup")


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
        ["restore", "latest", "--to", "mysql://app:secret@db/app"],
        "unable to restore to 'mysql://': there is no driver for it\nhint: use sqlite:///FILE or a folder",
    ),
    "a driver of another kind": (
        ["restore", "latest", "--to", "postgresql://app:secret@db/app"],
        "unable to restore to 'postgresql://...@db/app': the source is a SQLite database\n"
        "hint: use sqlite:///FILE or a plain path",
    ),
    "schemas of a database that has none": (
        ["restore", "latest", "--to", "{out}", "--schema", "main=other"],
        "unable to restore to '{out}': the source is a SQLite database, which has no schemas",
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
        "unable to decrypt 'app/{id}/default.zip.age': none of the identities given opens it\n"
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


def signed_again(document: bytes, kind: str, key: SigningKey, **changes: object) -> bytes:
    """A document with other fields, signed by somebody who is trusted."""
    signed = {**json.loads(document)["signed"], **changes}
    message = f"rlg-backup/1/{kind}".encode() + b"\0" + rfc8785.dumps(signed)
    signature = base64.b64encode(key.sign(message)).decode()
    return rfc8785.dumps({"signed": signed, "signatures": [{"key": key.key_id, "signature": signature}]})


def test_a_backup_or_a_header_of_a_later_version_is_told_apart_from_damage(world: World, tmp_path: Path) -> None:
    """A later release signs with the same keys: its manifest and its commit record are sound, and not for us."""
    key = world.wiring().signing_key
    [record] = world.records()
    record.write_bytes(signed_again(record.read_bytes(), "commit", key, version=2, something="new"))
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


def test_a_manifest_of_a_later_format_version_is_refused_with_the_way_out(world: World, tmp_path: Path) -> None:
    backup_id = world.back_up()
    path = world.target() / "app" / backup_id / "manifest.json"
    record = world.records()[-1]
    key = world.wiring().signing_key
    later = signed_again(path.read_bytes(), "manifest", key, version=2)
    path.write_bytes(later)
    digest = hashlib.sha256(later).hexdigest()
    record.write_bytes(signed_again(record.read_bytes(), "commit", key, manifest_sha256=digest))
    shutil.rmtree(world.root / "state")  # this machine has seen the other record
    done = world.run("restore", backup_id, "--to", tmp_path / "back.db")
    assert (done.code, done.err) == (
        1,
        f"error: unable to read 'app/{backup_id}/manifest.json': it has version 2, this release reads 1\n"
        "hint: use the release that wrote it, or a later one\n",
    )
    assert not (tmp_path / "back.db").exists()
