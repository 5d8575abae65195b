"""init and keys: the first minutes. Nothing is written over, every key is private, and what is written works."""

from __future__ import annotations

import sqlite3
import stat
from pathlib import Path

import pytest
from tests.support.world import run

from rlg_backup.cli.setup_commands import KEY_FILES
from rlg_backup.format.age import parse_identity, parse_recipient
from rlg_backup.format.keys import Signer, SigningKey, StagingKey, TokenizationKey


def test_init_writes_a_configuration_that_backs_up_and_restores(tmp_path: Path) -> None:
    folder = tmp_path / "new"
    done = run("init", "--folder", folder)
    assert (done.code, done.err) == (0, "")
    connection = sqlite3.connect(folder / "app.db")
    connection.execute("CREATE TABLE t (a)")
    connection.execute("INSERT INTO t VALUES (1)")
    connection.commit()
    connection.close()
    config = folder / "backup.yaml"
    assert "<" not in "".join(line.split("#")[0] for line in config.read_text().splitlines())
    for arguments in (["doctor"], ["backup"], ["list"], ["verify", "--full"], ["restore", "--to", folder / "back.db"]):
        done = run("--config", config, *arguments)
        assert done.code == 0, done.err


@pytest.mark.parametrize("post_quantum", [False, True])
def test_init_makes_every_key_private_and_says_who_holds_it(tmp_path: Path, post_quantum: bool) -> None:
    done = run("init", "--folder", tmp_path, "--json", *(["--post-quantum"] if post_quantum else []))
    assert done.json["config"] == str(tmp_path / "backup.yaml")
    assert set(done.json["keys"]) == set(KEY_FILES)
    for what, place in KEY_FILES.items():
        path = tmp_path / "keys" / place
        assert done.json["keys"][what] == str(path)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        assert path.read_text().startswith("# ")
    public = done.json["public"]
    assert sorted(public) == ["escrow", "identity", "signing", "state"]
    assert public["identity"].startswith("age1pq1" if post_quantum else "age1")
    assert all(secret not in done.out for secret in ("AGE-SECRET-KEY", "RLG-"))


def test_init_writes_nothing_over(tmp_path: Path) -> None:
    assert run("init", "--folder", tmp_path).code == 0
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    done = run("init", "--folder", tmp_path)
    assert (done.code, done.out, done.err) == (
        2,
        "",
        f"error: unable to write '{tmp_path}/backup.yaml': there is a configuration already\n",
    )
    (tmp_path / "backup.yaml").unlink()
    done = run("init", "--folder", tmp_path)
    assert (done.code, done.err) == (
        2,
        f"error: unable to write '{tmp_path}/keys/backup-worker/signing.key': there is a file already\n"
        "hint: keys are never written over\n",
    )
    assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} | {
        tmp_path / "backup.yaml": before[tmp_path / "backup.yaml"]
    } == before


def test_init_where_no_folder_can_be_made_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    done = run("init", "--folder", tmp_path / "file" / "deep")
    assert (done.code, done.out, done.err) == (
        2,
        "",
        f"error: unable to write '{tmp_path}/file/deep/keys/backup-worker/signing.key': not a directory\n",
    )


@pytest.mark.parametrize("what", ["identity", "escrow", "state", "signing", "tokenization", "staging"])
def test_each_kind_of_key_is_made_and_read_back(tmp_path: Path, what: str) -> None:
    file = tmp_path / "key"
    done = run("keys", "generate", what, "--out", file, "--json")
    assert (done.code, done.json["kind"], done.json["secret"], done.json["file"]) == (0, what, None, str(file))
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    [text] = [line for line in file.read_text().splitlines() if not line.startswith("#")]
    public = done.json["public"]
    if what in ("identity", "escrow", "state"):
        assert parse_identity(text).recipient.id == parse_recipient(public).id
    elif what == "signing":
        assert SigningKey.parse(text).signer == Signer.parse(public)
    else:
        (TokenizationKey if what == "tokenization" else StagingKey).parse(text)
        assert public is None
    again = run("keys", "generate", what, "--out", file)
    assert (again.code, again.err) == (
        2,
        f"error: unable to write '{file}': there is a file already\nhint: keys are never written over\n",
    )


def test_a_key_without_a_file_is_printed_once_and_two_are_never_the_same() -> None:
    texts = [run("keys", "generate", "staging", "--json").json["secret"] for _ in range(2)]
    assert len({StagingKey.parse(text).key_id for text in texts}) == 2
    assert run("keys", "generate", "staging").out.splitlines()[0].startswith("RLG-STAGING-KEY-1")


def test_a_kind_of_key_that_is_none_is_a_usage_error() -> None:
    done = run("keys", "generate", "master")
    assert (done.code, done.out) == (2, "")
    assert "'master' is not one of" in done.err
