"""The source goes away, or becomes another, while it is read: an error or a whole backup, never a mixture or a part."""

from __future__ import annotations

import os
import shutil
import sqlite3
from pathlib import Path

import pytest
from tests.failures.expect import clean, nothing_lost, records, works
from tests.failures.room import Room
from tests.support.compare import assert_databases_equal, assert_trees_equal
from tests.support.world import World

from rlg_backup.core.errors import FAILED

BACKUP = "tests.failures.scenes:backup_struck"
ROWS = 100_000  # more than a batch, and more pages than SQLite keeps in memory


@pytest.fixture(scope="module")
def databases(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two of one shape and size, with other values: a mixture would be a sound database."""
    made = []
    for name in ("one", "other"):
        path = tmp_path_factory.mktemp("databases") / name
        connection = sqlite3.connect(path)
        connection.execute("CREATE TABLE a_large (id INTEGER PRIMARY KEY, v TEXT)")
        rows = ((number, f"{name[0]}{number:040d}") for number in range(ROWS))
        connection.executemany("INSERT INTO a_large VALUES (?, ?)", rows)
        connection.commit()
        connection.close()
        made.append(path)
    return made[0], made[1]


@pytest.fixture
def reading(world: World, databases: tuple[Path, Path]) -> World:
    """A world whose database is large enough to strike in the middle; ``other.db`` lies beside it."""
    shutil.copy(databases[0], world.root / "app.db")
    shutil.copy(databases[1], world.root / "other.db")
    world.source["policies"] = {}
    world.save()
    return world


def strike(room: Room, world: World, source: str, what: str, shell: str, time: int = 1) -> dict[str, object]:
    shell = f"cd {world.root}; {shell}"
    found: dict[str, object] = room.call(
        BACKUP, config=str(world.config), source=source, what=what, shell=shell, time=time
    ).json
    clean(room, world)
    return found


CHANGED = "it was written to while it was read, past SQLite's locks"
HINT = "copy a database with its '.backup' command or a rename, never over the file in use"


@pytest.mark.parametrize(
    "shell",
    [
        "truncate -s 1M app.db",
        "truncate -s 0 app.db",
        "cat other.db > app.db",
        "dd if=/dev/zero of=app.db bs=1M seek=3 count=1 conv=notrunc status=none",
    ],
    ids=["cut", "emptied", "another copied over it", "zeros in it"],
)
def test_a_database_written_to_past_its_locks_is_never_a_backup(room: Room, reading: World, shell: str) -> None:
    whole, listed = reading.root / "whole.db", records(room, reading)
    shutil.copy(reading.root / "app.db", whole)
    done = strike(room, reading, "app", "snapshot a_large", shell)
    text = f"unable to read '{reading.root / 'app.db'}': {CHANGED}\nhint: {HINT}"
    assert done == {"error": "SourceChanged", "text": text}
    assert records(room, reading) == listed
    shutil.copy(whole, reading.root / "app.db")
    works(room, reading)


@pytest.mark.parametrize(
    "shell",
    ["rm app.db", "mv other.db app.db"],
    ids=["removed", "replaced"],
)
def test_a_database_whose_name_goes_while_it_is_read_is_saved_as_it_was(
    room: Room, reading: World, databases: tuple[Path, Path], shell: str
) -> None:
    """Its instant was fixed before: the open file is read to its end."""
    done = strike(room, reading, "app", "snapshot a_large", shell)
    assert done["missing"] == {}, done
    copy = reading.root / "copy.db"
    restored = room.run("--config", reading.config, "restore", "latest", "--source", "app", "--to", copy)
    assert restored.code == 0, restored.err
    assert_databases_equal(databases[0], copy)


def test_the_write_ahead_log_removed_while_it_is_read_loses_nothing(room: Room, reading: World) -> None:
    """Half of the rows are in the log alone."""
    app = reading.root / "app.db"
    writer = sqlite3.connect(app, isolation_level=None)
    writer.execute("PRAGMA journal_mode = WAL")
    writer.execute("PRAGMA wal_autocheckpoint = 0")
    writer.execute("UPDATE a_large SET v = 'in the log ' || v WHERE id % 2")
    expected = writer.execute("SELECT count(*), sum(length(v)) FROM a_large").fetchone()
    done = strike(room, reading, "app", "snapshot a_large", "rm app.db-wal app.db-shm")
    writer.close()
    assert done["missing"] == {}, done
    copy = reading.root / "copy.db"
    restored = room.run("--config", reading.config, "restore", "latest", "--source", "app", "--to", copy)
    assert restored.code == 0, restored.err
    found = sqlite3.connect(copy)
    assert found.execute("SELECT count(*), sum(length(v)) FROM a_large").fetchone() == expected
    found.close()


def test_a_database_that_is_gone_when_a_run_begins_fails_it_and_nothing_else(room: Room, world: World) -> None:
    (world.root / "app.db").rename(world.root / "kept.db")
    with nothing_lost(room, world):
        done = room.run("--config", world.config, "backup")
    assert (done.code, done.err) == (FAILED, "")
    assert f"✗ FAIL  app  unable to open '{world.root / 'app.db'}': there is no such file\n" in done.out
    assert "✓ PASS  tree  " in done.out, "the other source is still backed up"
    (world.root / "kept.db").rename(world.root / "app.db")
    works(room, world)


# --- trees ------------------------------------------------------------------------------------------


@pytest.fixture
def tree(world: World) -> Path:
    """Forty files in four folders; their reading is reported from the first on."""
    root = world.root / "tree"
    shutil.rmtree(root)
    for number in range(40):
        file = root / f"folder{number // 10}" / f"{number:02d}"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(f"{number} ".encode() * 1000)
    return root


def restored(room: Room, world: World) -> Path:
    copy = world.root / "tree-copy"
    done = room.run("--config", world.config, "restore", "latest", "--source", "tree", "--to", copy)
    assert done.code == 0, done.err
    return copy


@pytest.mark.parametrize(
    ("shell", "gone"),
    [
        ("rm -r folder1", range(12, 20)),
        ("rm folder1/15", [15]),
        ("cd folder1; rm 15; ln -s /etc/passwd 15", [15]),
        ("cd folder1; rm 15; mkfifo 15", [15]),
        ("cd folder1; rm 15; mkdir 15", [15]),
    ],
    ids=["folder removed", "file removed", "link", "pipe", "folder"],
)
def test_what_vanishes_from_a_tree_is_named_and_the_rest_is_saved(
    room: Room, world: World, tree: Path, shell: str, gone: list[int]
) -> None:
    """It strikes after file 11, when the folder's names were read."""
    done = strike(room, world, "tree", "snapshot files", f"cd tree; {shell}", time=15)
    assert done["warnings"] == [
        f"a file vanished after it was listed, and is not saved: folder1/{number}" for number in gone
    ]
    saved = {path.name for path in restored(room, world).rglob("*") if path.is_file() or path.is_symlink()}
    assert saved == {f"{number:02d}" for number in range(40) if number not in gone}


def test_a_folder_that_goes_while_the_tree_is_walked_is_told(room: Room, world: World, tree: Path) -> None:
    """Its name was read and its own names were not: whether it was part of the tree nobody can tell any more."""
    with nothing_lost(room, world):
        done = strike(room, world, "tree", "snapshot files", "rm -r tree/folder2", time=2)
    text = "unable to list 'folder2': it was replaced or removed while it was being listed"
    assert done == {"error": "SourceChanged", "text": text}


@pytest.mark.parametrize(
    "shell", ["truncate -s 10 tree/folder1/15", "echo more >> tree/folder1/15"], ids=["shrinks", "grows"]
)
def test_a_file_that_changes_before_it_is_read_is_saved_as_it_is_then(
    room: Room, world: World, tree: Path, shell: str
) -> None:
    done = strike(room, world, "tree", "snapshot files", shell)
    assert done["missing"] == {}, done
    assert_trees_equal(tree, restored(room, world))


def test_a_tree_whose_disk_is_taken_away_is_read_whole_or_fails(room: Room, world: World, tree: Path) -> None:
    """umount --lazy: what is open stays readable. The next run sees an empty folder, and asks for the disk."""
    kept, away = world.root / "kept", world.root / "tree"
    shutil.move(tree, kept)
    room.disk(away)
    shutil.copytree(kept, room.see(away), dirs_exist_ok=True, symlinks=True)
    for path in (kept, *kept.rglob("*")):
        found = path.stat()
        os.utime(room.see(away) / path.relative_to(kept), ns=(found.st_atime_ns, found.st_mtime_ns))
    done = strike(room, world, "tree", "snapshot files", "umount --lazy tree")
    room.forget(away)
    assert done["missing"] == {}, done
    copy = restored(room, world)
    assert sorted(path.name for path in copy.rglob("*")) == sorted(path.name for path in kept.rglob("*"))
    again = room.run("--config", world.config, "backup", "--source", "tree", "--json")
    assert again.json[0]["warnings"] == ["the folder is empty: is the disk that belongs there mounted?"]


def test_a_file_that_may_not_be_read_fails_the_backup_and_is_named(
    host: Room, world: World, tree: Path, user: int | None
) -> None:
    (tree / "folder1" / "15").chmod(0)
    with nothing_lost(host, world):
        done = host.run("--config", world.config, "backup", "--source", "tree", user=user)
    text = "error: unable to read 'folder1/15': permission denied\n"
    assert (done.code, done.out, done.err) == (FAILED, "", text)
    (tree / "folder1" / "15").chmod(0o600)
    done = host.run("--config", world.config, "backup", "--source", "tree", user=user)
    assert done.code == 0, done.err
