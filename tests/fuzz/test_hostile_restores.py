"""Archives by somebody who has a backup worker's keys, and so signs what he likes: a restore runs none of it, writes
nothing outside its destination, and ends with an error of ours or a whole copy.

Made by the real steps, with one of them saying what a hostile worker would say.
"""

from __future__ import annotations

import io
import json
import os
import sqlite3
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.fuzz.database_targets import BATCHES, schemas
from tests.fuzz.target import as_json
from tests.support.world import World

from rlg_backup.core.errors import BackupError
from rlg_backup.sources.files import FileTreeSnapshot
from rlg_backup.sources.files_destination import FileDestination
from rlg_backup.sources.port import Column, Entry, Table
from rlg_backup.sources.sqlite import SqliteSnapshot
from rlg_backup.sources.sqlite_destination import SqliteDestination

Document = dict[str, Any]


def row(document: Document, name: str) -> Document:
    found: Document = next(row for row in document["rows"] if row["name"] == name)
    return found


# --- SQL of the archive -----------------------------------------------------------------------------


def sql(name: str, text: str) -> Callable[[Document], None]:
    return lambda document: row(document, name).update(sql=text)


def added(**fields: Any) -> Callable[[Document], None]:
    base = {"rowid": 99, "type": "table", "name": "z", "tbl_name": "z", "root": False, "sql": None}
    return lambda document: document["rows"].append(base | fields)


UNFIT = "unable to finish '{place}': its definitions do not fit together"
NO_SCHEMA = "unable to read 'schema/sqlite.json': it is not the schema of a SQLite database"

HOSTILE_SCHEMAS: dict[str, tuple[Callable[[Document], Any], str]] = {
    "loads a library in an index": (sql("x", "CREATE INDEX x ON k (load_extension('{beside}'))"), UNFIT),
    "loads a library in a column": (sql("g", "CREATE TABLE g (a, s AS (load_extension('x')) STORED, r)"), UNFIT),
    "has a function that changes": (sql("x", "CREATE INDEX x ON k (random())"), UNFIT),
    "has a view in place of a table": (sql("p", "CREATE VIEW p AS SELECT 1"), UNFIT),
    "has two statements": (sql("p", "CREATE TABLE p (id INTEGER PRIMARY KEY, v); DROP TABLE k"), ""),
    "attaches a file": (sql("p", "ATTACH '{beside}' AS other"), UNFIT),
    "makes a table of a query": (sql("p", "CREATE TABLE p AS SELECT load_extension('x') AS id, 1 AS v"), UNFIT),
    "has one row id twice": (
        lambda document: row(document, "p").update(rowid=row(document, "k")["rowid"]),
        "unable to make '{place}': SQLite reports SQLITE_ERROR",
    ),
    "has a row id past the end": (lambda document: row(document, "p").update(rowid=2**63 - 1), UNFIT),
    "has a name with NUL": (lambda document: row(document, "p").update(name="p\0x"), NO_SCHEMA),
    "has an index of a name that is no text": (
        added(type="index", tbl_name={"base64": "//4="}, sql="CREATE INDEX z ON p (v)"),
        UNFIT,
    ),
    "counts violations without end": (
        lambda document: document["violations"].update(p=[["k", float("inf"), 1]]),
        NO_SCHEMA,
    ),
    "sets a pragma to a statement": (
        lambda document: document["pragmas"].update(user_version="1; ATTACH 'x' AS y"),
        NO_SCHEMA,
    ),
    "has a journal of its own": (lambda document: document["pragmas"].update(journal_mode="wal;"), NO_SCHEMA),
    "has a collation that is a statement": (
        lambda document: next(t for t in document["tables"] if t["name"] == "k")["key"][0].update(collation='"; --'),
        "unable to make '{place}': SQLite reports SQLITE_ERROR_MISSING_COLLSEQ",
    ),
}


def restored(change: Callable[[Document], Any], place: Path) -> str:
    """What a restore of the changed schema ends with: an error's text, or nothing."""
    document = as_json(schemas()[0])
    change(document)
    text = json.dumps(document).replace("{beside}", str(place.parent / "beside"))
    try:
        with SqliteDestination(place) as destination:
            destination.prepare({"sqlite.json": text.encode()})
            for table, batch in BATCHES.items():
                columns = tuple(Column(name, "") for name in batch.schema.names)
                destination.load(Table("main", table, columns, ""), [batch])
            destination.finish()
    except BackupError as error:
        return str(error).partition("\n")[0]
    return ""


@pytest.mark.parametrize("what", HOSTILE_SCHEMAS)
def test_a_schema_that(what: str, tmp_path: Path) -> None:
    change, expected = HOSTILE_SCHEMAS[what]
    place = tmp_path / "restored.db"
    assert restored(change, place) == expected.format(place=place)
    assert sorted(path.name for path in tmp_path.iterdir()) == ([] if expected else ["restored.db"])
    if not expected:
        with sqlite3.connect(place) as connection:
            assert connection.execute("SELECT count(*) FROM k").fetchone() == (2,)


def test_triggers_of_the_archive_do_not_fire_while_it_is_restored(tmp_path: Path) -> None:
    """The seed's trigger empties the table at each insert into it."""
    assert restored(lambda document: None, tmp_path / "restored.db") == ""
    with sqlite3.connect(tmp_path / "restored.db") as connection:
        assert connection.execute("SELECT count(*) FROM p").fetchone() == (2,)
        assert connection.execute("SELECT count(*) FROM sqlite_schema WHERE type = 'trigger'").fetchone() == (1,)


def test_a_worker_that_signs_a_hostile_schema_gets_no_file_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole way: backed up, signed and committed; the restore refuses it and leaves nothing."""
    world, honest = World.make(tmp_path / "world"), SqliteSnapshot.schema_files

    def hostile(snapshot: SqliteSnapshot) -> Mapping[str, bytes]:
        files = dict(honest(snapshot))
        document = json.loads(files["sqlite.json"])
        row(document, "by_person")["sql"] = "CREATE INDEX by_person ON orders (load_extension('x'))"
        return files | {"sqlite.json": json.dumps(document).encode()}

    monkeypatch.setattr(SqliteSnapshot, "schema_files", hostile)
    world.back_up()
    out = tmp_path / "out" / "restored.db"
    out.parent.mkdir()
    done = world.run("restore", "latest", "--to", out)
    assert (done.code, list(out.parent.iterdir())) == (1, [])
    assert done.err.strip().endswith(UNFIT.format(place=out))


# --- trees ------------------------------------------------------------------------------------------

OUTSIDE = "its path could lead outside the folder"
NO_FOLDER = "it lies in what is not a folder of the tree"
NO_FILE = "what its entry says cannot be of a file"


def file(path: bytes, **more: Any) -> Entry:
    return Entry(path, "file", more.pop("mode", 0o600), 1, 1, **more)


LINK = Entry(b"link", "symlink", 0o777, 1, target=b"{outside}")
ROOT = Entry(b"", "folder", 0o700, 1)
HOSTILE_TREES: dict[str, tuple[list[Entry], str, str]] = {
    "goes up": ([file(b"../escaped")], "../escaped", OUTSIDE),
    "goes up from below": ([Entry(b"a", "folder", 0o700, 1), file(b"a/../../escaped")], "a/../../escaped", OUTSIDE),
    "names an absolute path": ([file(b"/tmp/escaped")], "/tmp/escaped", OUTSIDE),
    "names itself": ([file(b".")], ".", OUTSIDE),
    "has an empty name": ([file(b"a//b")], "a//b", OUTSIDE),
    "has a name with NUL": ([file(b"a\0b")], "a\0b", OUTSIDE),
    "writes through a link": ([LINK, file(b"link/escaped")], "link/escaped", NO_FOLDER),
    "writes onto a link": ([LINK, file(b"link")], "link", "the tree holds it twice"),
    "makes a folder of a link": ([LINK, Entry(b"link", "folder", 0o700, 1)], "link", "the tree holds it twice"),
    "names a file twice": ([file(b"a"), file(b"a")], "a", "the tree holds it twice"),
    "has a file that is a folder too": ([file(b"a"), file(b"a/b")], "a/b", NO_FOLDER),
    "has another name of a file outside": (
        [Entry(b"hard", "hardlink", 0, 0, target=b"../outside/secret")],
        "hard",
        OUTSIDE,
    ),
    "has another name through a link": (
        [LINK, Entry(b"hard", "hardlink", 0, 0, target=b"link/secret")],
        "hard",
        "the file it is another name of is not there",
    ),
    "has another name of a link": (
        [LINK, Entry(b"hard", "hardlink", 0, 0, target=b"link")],
        "hard",
        "the file it is another name of is not there",
    ),
    "has a program that runs as its owner": ([file(b"setuid", mode=0o4755)], "setuid", NO_FILE),
    "has a program that runs as its group": ([file(b"setgid", mode=0o2755)], "setgid", NO_FILE),
    "has a device": ([Entry(b"device", "device", 0o600, 1)], "device", "it is of no kind that a tree holds"),
    "has a pipe": ([Entry(b"pipe", "fifo", 0o600, 1)], "pipe", "it is of no kind that a tree holds"),
    "has an attribute of the system": (
        [file(b"a", xattrs=((b"security.capability", b"x"),))],
        "a",
        "it has an attribute that is not one of a user",
    ),
    "has a link with NUL": ([Entry(b"a", "symlink", 0o777, 1, target=b"x\0y")], "a", NO_FILE),
    "has more content than it says": (
        [file(b"a"), Entry(b"b", "file", 0o600, 1, 0)],
        "b",
        "its content has 1 bytes, not 0",
    ),
    "has a name that is too long": ([file(b"n" * 300)], "n" * 300, "file name too long"),
    "has no folder for its file": ([file(b"no/file")], "no/file", NO_FOLDER),
}


def make_outside(folder: Path) -> Path:
    outside = folder / "outside"
    outside.mkdir()
    (outside / "secret").write_bytes(b"not of the tree")
    return outside


def unpacked(entries: list[Entry], place: Path) -> str:
    outside = os.fsencode(place.parent / "outside")
    try:
        with FileDestination(place) as destination:
            for entry in [ROOT, *entries]:
                target = entry.target.replace(b"{outside}", outside)
                destination.make(Entry(**{**entry.__dict__, "target": target}), io.BytesIO(b"x"))
            destination.finish()
    except BackupError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("what", HOSTILE_TREES)
def test_a_tree_that(what: str, tmp_path: Path) -> None:
    entries, path, cause = HOSTILE_TREES[what]
    outside = make_outside(tmp_path)
    assert unpacked(entries, tmp_path / "restored") == f"unable to make '{path}': {cause}"
    assert [path.name for path in tmp_path.iterdir()] == ["outside"]
    assert [(path.name, path.read_bytes()) for path in outside.iterdir()] == [("secret", b"not of the tree")]


NAMES = st.sampled_from(
    [b"a", b"b", b"..", b".", b"", b"link", b"/", b"outside", b"secret", b"n" * 256, b"\0", b"\xff"]
)
PATHS = st.lists(NAMES, max_size=5).map(b"/".join)
NUMBERS = st.sampled_from([0, 1, -1, 0o600, 0o7777, 2**31, 2**63 - 1, -(2**63), 2**64])
ENTRIES = st.builds(
    Entry,
    path=PATHS,
    kind=st.sampled_from(["file", "folder", "symlink", "hardlink", "device", ""]),
    mode=st.sampled_from([0o600, 0o700, 0o1777, 0, 0o4755, -1]),
    mtime_ns=NUMBERS,
    size=st.sampled_from([1, 1, 1, 0, -1, 2**63]),
    target=st.one_of(PATHS, st.just(b"{outside}"), st.just(b"{outside}/secret")),
    holes=st.lists(st.tuples(NUMBERS, NUMBERS), max_size=3).map(tuple),
    xattrs=st.lists(
        st.tuples(st.sampled_from([b"user.a", b"user.", b"trusted.a", b"user.\0"]), st.binary()), max_size=2
    ).map(tuple),
)


@pytest.mark.parametrize(
    ("examples", "derandomize"), [(250, True), pytest.param(20_000, False, marks=pytest.mark.soak)]
)
@pytest.mark.timeout(1200)
def test_whatever_the_entries_say_nothing_outside_is_touched(examples: int, derandomize: bool, tmp_path: Path) -> None:
    @settings(
        max_examples=examples, derandomize=derandomize, database=None, deadline=None,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(st.lists(ENTRIES, min_size=1, max_size=8))
    def run(entries: list[Entry]) -> None:
        with tempfile.TemporaryDirectory(dir=tmp_path) as name:
            folder = Path(name)
            outside = make_outside(folder)
            failure = unpacked(entries, folder / "restored")
            assert [(path.name, path.read_bytes()) for path in outside.iterdir()] == [("secret", b"not of the tree")]
            assert (outside / "secret").stat().st_nlink == 1
            assert sorted(path.name for path in folder.iterdir()) == ["outside", *([] if failure else ["restored"])]

    run()


def test_a_worker_that_signs_a_path_that_goes_up_gets_no_file_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, honest = World.make(tmp_path / "world"), FileTreeSnapshot.entries
    (world.root / "tree").mkdir()
    (world.root / "tree" / "a").write_bytes(b"content")
    world.settings["sources"] = {"app": {"type": "files", "path": "tree", "targets": ["local"]}}
    world.save()

    def hostile(snapshot: FileTreeSnapshot) -> Iterator[Entry]:
        yield from honest(snapshot)
        yield Entry(b"../escaped", "symlink", 0o777, 1, target=b"/etc/passwd")

    monkeypatch.setattr(FileTreeSnapshot, "entries", hostile)
    world.back_up()
    monkeypatch.undo()
    out = tmp_path / "out" / "restored"
    out.parent.mkdir()
    done = world.run("restore", "latest", "--to", out)
    assert (done.code, list(out.parent.iterdir())) == (1, [])
    assert done.err.strip().endswith(f"unable to make '../escaped': {OUTSIDE}")
