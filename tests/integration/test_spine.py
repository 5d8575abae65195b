"""Back up, list, show, verify, restore through the command line: what comes back is what was there, to the bit."""

from __future__ import annotations

import io
import os
import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from tests.support.compare import assert_databases_equal, assert_trees_equal
from tests.support.sqlite_torture import make_torture
from tests.support.tree_torture import make_tree
from tests.support.world import EMAILS, PHONES, WORDS, World, holds_any

from rlg_backup.engine.archives import Archive, index_of, open_remote
from rlg_backup.engine.restore_points import choose


@pytest.fixture(scope="module")
def tortured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Two sources with everything that can go wrong, backed up once."""
    world = World.make(tmp_path_factory.mktemp("spine") / "world")
    make_torture(world.root / "torture.db")
    make_tree(world.root / "tree")
    world.settings["sources"] = {
        "torture": {
            "type": "sqlite",
            "path": "torture.db",
            "targets": ["local"],
            "exclude": ["latin"],
            "names_in_clear": True,
        },
        "tree": {"type": "files", "path": "tree", "targets": ["local"], "exclude": ["a-b"]},
    }
    world.save()
    done = world.run("backup", "--json")
    assert (done.code, done.err) == (0, "")
    yield world
    for path in (world.root / "tree").rglob("*"):  # so that the folder can be removed by others than root
        if path.is_dir() and not path.is_symlink():
            path.chmod(0o700)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World.make(tmp_path_factory.mktemp("spine") / "world")


@pytest.fixture
def world(template: World, tmp_path: Path) -> World:
    return template.copy(tmp_path / "world")


def archive_of(world: World, source: str) -> Archive:
    wiring = world.wiring()
    return open_remote(wiring, choose(wiring, source), wiring.identities())


def test_a_database_comes_back_to_the_bit(tortured: World, tmp_path: Path) -> None:
    done = tortured.run("restore", "latest", "--source", "torture", "--to", tmp_path / "back.db")
    assert done.code == 0, done.err
    assert re.fullmatch(
        rf"✓ PASS  torture  \S+  restored to {tmp_path}/back\.db: [\d,]+ rows, equal to the snapshot",
        done.out.splitlines()[0],
    )
    # The rows of an excluded table are the one difference that was asked for.
    original = tmp_path / "original.db"
    with sqlite3.connect(tortured.root / "torture.db") as source, sqlite3.connect(original) as copy:
        source.backup(copy)
        copy.execute("DELETE FROM latin")
    source.close()
    copy.close()
    assert_databases_equal(original, tmp_path / "back.db")


def test_a_tree_comes_back_to_the_bit(tortured: World, tmp_path: Path) -> None:
    done = tortured.run("restore", "latest", "--source", "tree", "--to", f"file://{tmp_path}/back")
    assert done.code == 0, done.err
    notes = [line.strip() for line in done.out.splitlines()[1:]]
    assert notes == [
        "note: not in the backup: a-b (excluded by the configuration: a-b)",
        "note: not in the backup: pipe (a named pipe holds no data)",
        "note: not in the backup: socket (a socket holds no data)",
        "note: 2 files are set-user-ID or set-group-ID; the bits are not kept, since owners are not",
    ]
    original = tortured.root / "tree"
    before = os.stat(original)
    kept = {name: original / name for name in ("a-b", "pipe", "socket")}
    for name, path in kept.items():
        path.rename(tmp_path / name)
    try:
        os.utime(original, ns=(before.st_atime_ns, before.st_mtime_ns))
        assert_trees_equal(original, tmp_path / "back")
    finally:
        for name, path in kept.items():
            (tmp_path / name).rename(path)
        os.utime(original, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_every_table_is_in_the_profile_as_saved_or_excluded_by_name(tortured: World) -> None:
    profile = archive_of(tortured, "torture").profile()
    connection = sqlite3.connect(tortured.root / "torture.db")
    connection.text_factory = bytes
    there = {name.decode() for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    counts = {}
    for table in profile.tables:
        quoted = '"' + table.name.replace('"', '""') + '"'
        counts[table.name] = connection.execute(f"SELECT count(*) FROM {quoted} NOT INDEXED").fetchone()[0]
    connection.close()
    saved, excluded = {t.name for t in profile.tables}, {item.name for item in profile.excluded}
    assert saved | excluded == there
    assert saved & excluded == set()
    assert excluded == {"latin", "search", "area"}  # by the configuration, and the two virtual tables
    assert {t.name: t.rows for t in profile.tables} == counts


def test_every_entry_of_a_tree_is_in_the_index_or_excluded_by_name(tortured: World) -> None:
    archive = archive_of(tortured, "tree")
    root = os.fsencode(tortured.root / "tree")
    there = {b""}
    for folder, folders, files in os.walk(root):
        there |= {os.path.relpath(os.path.join(folder, name), root) for name in (*folders, *files)}
    saved = {row.path for row in index_of(archive)}
    excluded = {item.name.encode() for item in archive.profile().excluded}
    assert saved | excluded == there
    assert saved & excluded == set()


def test_both_sources_pass_both_verifications(tortured: World) -> None:
    for source in ("torture", "tree"):
        for depth in ("--quick", "--full"):
            done = tortured.run("verify", "latest", "--source", source, depth, "--json")
            assert (done.code, done.json["verdict"]) == (0, "PASS"), done.out
            groups = {check["group"] for check in done.json["checks"]}
            assert groups == (
                {"catalog", "object"} if depth == "--quick" else {"catalog", "object", "archive", "members"}
            )


def test_the_list_names_every_point_and_an_id_or_its_beginning_finds_it(tortured: World) -> None:
    points = tortured.run("list", "--json").json
    assert [(point["source"], point["kind"], point["targets"]) for point in points] == [
        ("torture", "full", {"local": 1}),
        ("tree", "full", {"local": 1}),
    ]
    for point in points:
        shown = tortured.run("show", point["backup_id"][:20], "--json")
        assert (shown.code, shown.json["manifest"]["source"]) == (0, point["source"])


def test_a_table_made_yesterday_is_backed_up_without_touching_the_configuration(world: World, tmp_path: Path) -> None:
    world.back_up()
    connection = sqlite3.connect(world.root / "app.db")
    connection.execute("CREATE TABLE brand_new (a, b)")
    connection.execute("INSERT INTO brand_new VALUES (1, 'x')")
    connection.commit()
    connection.close()
    world.back_up()
    assert world.run("restore", "latest", "--to", tmp_path / "back.db").code == 0
    assert_databases_equal(world.root / "app.db", tmp_path / "back.db")


def test_an_empty_database_and_an_empty_tree_come_back(world: World, tmp_path: Path) -> None:
    connection = sqlite3.connect(world.root / "empty.db")
    connection.execute("CREATE TABLE blank (a INTEGER PRIMARY KEY, b TEXT)")
    connection.close()
    (world.root / "bare").mkdir()
    world.settings["sources"] = {
        "bare": {"type": "files", "path": "bare", "targets": ["local"]},
        "blank": {"type": "sqlite", "path": "empty.db", "targets": ["local"]},
    }
    world.save()
    assert world.run("backup").code == 0
    for source in ("bare", "blank"):
        assert world.run("verify", "--source", source, "--full").code == 0
        assert world.run("restore", "--source", source, "--to", tmp_path / source).code == 0
    assert_databases_equal(world.root / "empty.db", tmp_path / "blank")
    assert_trees_equal(world.root / "bare", tmp_path / "bare")


def test_tokenized_columns_are_nowhere_in_the_clear_and_come_back(world: World, tmp_path: Path) -> None:
    world.back_up()
    assert holds_any(world.target(), (*EMAILS, *PHONES, *WORDS, "people", "orders")) == []
    manifest = world.run("show", "latest", "--json").json["manifest"]
    assert (manifest["fidelity"], manifest["masked_columns"], manifest["contents"]["names"]) == (
        "recoverable",
        [],
        None,
    )
    assert manifest["tokenization_key"] == world.wiring().tokenization_key.key_id  # type: ignore[union-attr]
    values = stored(world, "people")
    assert [row["note"] for row in values] == list(WORDS)
    assert all(isinstance(row["email"], bytes) and row["email"][0] == 1 for row in values)
    assert world.run("restore", "--to", tmp_path / "back.db").code == 0
    assert_databases_equal(world.root / "app.db", tmp_path / "back.db")


def stored(world: World, table: str) -> list[dict[str, Any]]:
    """The rows of a table as any Parquet reader finds them in the archive."""
    archive = archive_of(world, "app")
    names = [name for name in archive.names if name.startswith(f"data/main.{table}/")]
    rows: list[dict[str, Any]] = []
    for name in names:
        with archive.open(name) as member:
            rows += pq.read_table(io.BytesIO(member.read())).to_pylist()
    return rows


def test_masked_columns_are_said_everywhere_and_do_not_come_back(world: World, tmp_path: Path) -> None:
    world.source["policies"] = {"people.email": "hash", "people.phone": "redact"}
    world.save()
    world.back_up()
    manifest = world.run("show", "latest", "--json").json["manifest"]
    assert (manifest["fidelity"], manifest["masked_columns"]) == ("masked", ["people.email", "people.phone"])
    assert manifest["tokenization_key"] is None
    shown = world.run("show", "latest").out
    assert "masked (for ever masked: people.email, people.phone)" in shown
    done = world.run("restore", "--to", tmp_path / "back.db", "--accept-masked")
    assert done.code == 0, done.err
    assert "  note: masked for ever, not restored: people.email, people.phone" in done.out.splitlines()
    connection = sqlite3.connect(tmp_path / "back.db")
    rows = connection.execute("SELECT id, email, phone, note FROM people ORDER BY id").fetchall()
    orders = connection.execute("SELECT count(*), sum(cents) FROM orders").fetchone()
    connection.close()
    assert [(row[0], row[2], row[3]) for row in rows] == [(n, None, word) for n, word in enumerate(WORDS, 1)]
    assert all(re.fullmatch(r"[0-9a-f]{32}", row[1]) for row in rows)
    assert len({row[1] for row in rows}) == 3
    assert orders == (100, sum(n * 7 for n in range(100)))


@pytest.mark.parametrize("policy", ["hash", "redact"])
def test_one_masked_column_beside_a_tokenized_one(world: World, tmp_path: Path, policy: str) -> None:
    world.source["policies"] = {"people.email": "tokenize", "people.phone": policy}
    world.save()
    world.back_up()
    assert world.run("verify", "--full").code == 0
    (tmp_path / "back").mkdir()
    assert world.run("restore", "--to", tmp_path / "back" / "app.db", "--accept-masked").code == 0
    connection = sqlite3.connect(tmp_path / "back" / "app.db")
    assert [email for (email,) in connection.execute("SELECT email FROM people ORDER BY id")] == list(EMAILS)
    connection.close()
    assert holds_any(tmp_path / "back", PHONES) == []


def test_without_the_tokenization_key_a_restore_says_what_is_missing(world: World, tmp_path: Path) -> None:
    world.back_up()
    del world.settings["tokenization"]
    world.save()
    assert world.run("verify", "--full").code == 0  # needs no such key
    done = world.run("restore", "--to", tmp_path / "back.db")
    assert done.code == 2
    assert done.err.startswith("error: unable to ")
    assert list(tmp_path.glob("back*")) == []
    assert world.staged() == []


def test_names_of_tables_are_in_the_clear_only_when_the_setting_says_so(tortured: World, world: World) -> None:
    names = tortured.run("show", "latest", "--source", "torture", "--json").json["manifest"]["contents"]["names"]
    profile = archive_of(tortured, "torture").profile()
    assert names == {
        "tables": sorted(table.name for table in profile.tables),
        "excluded": sorted(item.name for item in profile.excluded),
    }
    world.back_up()
    assert holds_any(world.target(), ("people", "orders")) == []


def test_post_quantum_recipients_round_trip(tmp_path: Path) -> None:
    world = World.make(tmp_path / "world", post_quantum=True)
    world.back_up()
    assert world.run("verify", "--full").code == 0
    assert world.run("restore", "--to", tmp_path / "back.db").code == 0
    assert_databases_equal(world.root / "app.db", tmp_path / "back.db")


def test_the_escrow_identity_opens_it_when_all_workers_are_lost(world: World, tmp_path: Path) -> None:
    world.back_up()
    world.settings["encryption"]["identities"] = []
    world.save()
    done = world.run("restore", "--identity", "file:keys/escrow/identity.txt", "--to", tmp_path / "back.db")
    assert done.code == 0, done.err
    assert_databases_equal(world.root / "app.db", tmp_path / "back.db")


def test_a_worker_without_an_identity_backs_up_and_says_what_it_cannot_verify(world: World) -> None:
    world.settings["encryption"]["identities"] = []
    world.save()
    world.back_up()
    assert world.run("verify", "--quick").code == 0
    done = world.run("verify", "--full", "--json")
    assert (done.code, done.json["verdict"]) == (3, "COULD-NOT-VERIFY")
    last = done.json["checks"][-1]
    assert (last["name"], last["verdict"], last["measured"]) == (
        "decrypt",
        "COULD-NOT-VERIFY",
        "unable to open 'encryption.identities': no identity is configured here\n"
        "hint: run this where identities live (a restore worker), or name one with --identity",
    )


def test_one_of_two_targets_down_is_a_failure_with_a_backup(tmp_path: Path) -> None:
    world = World.make(tmp_path / "world", targets=("local", "second"))
    world.target("second").write_text("a file where a folder should be")
    done = world.run("backup")
    why = "unable to read 'catalog/app/lease.json': the folder of target 'second' is a file"
    lines = done.out.splitlines()
    assert (done.code, lines[1]) == (1, f"  no copy on second: {why}")
    assert re.fullmatch(r"✗ FAIL  app  \S+  full  committed on local \(#1\)", lines[0])
    listed = world.run("list", "--json")
    assert [point["targets"] for point in listed.json] == [{"local": 1}]
    assert listed.code != 0  # a target that cannot be listed is never passed over in silence
    assert world.run("restore", "--target", "local", "--to", tmp_path / "back.db").code == 0


def test_an_empty_folder_may_be_restored_into_and_a_database_may_not_take_its_place(
    tortured: World, world: World, tmp_path: Path
) -> None:
    (tmp_path / "tree").mkdir()
    assert tortured.run("restore", "--source", "tree", "--to", tmp_path / "tree").code == 0
    world.back_up()
    (tmp_path / "folder").mkdir()
    done = world.run("restore", "--to", tmp_path / "folder")
    assert (done.code, done.err) == (
        2,
        f"error: unable to restore to '{tmp_path}/folder': it exists already\n"
        "hint: name a file that does not exist, or move that one away first\n",
    )
    assert list((tmp_path / "folder").iterdir()) == []


@pytest.mark.parametrize(("source", "to"), [("torture", "file://{out}"), ("tree", "sqlite:///{out}")])
def test_a_backup_is_not_restored_to_the_wrong_kind_of_place(
    tortured: World, tmp_path: Path, source: str, to: str
) -> None:
    out = tmp_path / "out"
    kind = {"torture": "a SQLite database", "tree": "a file tree"}[source]
    done = tortured.run("restore", "--source", source, "--to", to.format(out=out))
    hint = {"torture": "sqlite:///FILE", "tree": "file:///FOLDER"}[source]
    assert (done.code, done.err) == (
        2,
        f"error: unable to restore to '{to.format(out=out)}': the source is {kind}\nhint: use {hint} or a plain path\n",
    )
    assert not out.exists()
