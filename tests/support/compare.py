"""Whether two databases, or two trees, are the same: independent of the drivers, to the bit."""

from __future__ import annotations

import os
import sqlite3
import stat
import struct
from pathlib import Path
from typing import Any

PRAGMAS = ("application_id", "auto_vacuum", "encoding", "journal_mode", "page_size", "user_version")


def assert_databases_equal(left: Path, right: Path) -> None:
    """Every value with its storage class, every row id that can be read, every definition in its order, pragmas."""
    one, two = _open(left), _open(right)
    try:
        for pragma in PRAGMAS:
            assert (pragma, _one(one, f"PRAGMA {pragma}")) == (pragma, _one(two, f"PRAGMA {pragma}"))
        definitions = "SELECT rowid, type, name, tbl_name, sql, rootpage > 0 FROM sqlite_schema ORDER BY rowid"
        rows = one.execute(definitions).fetchall()
        assert rows == two.execute(definitions).fetchall()
        for _, kind, name, _, _, root in rows:
            if kind == b"table" and root:
                assert table_rows(one, name.decode()) == table_rows(two, name.decode()), name
        assert _checks(one) == _checks(two)
    finally:
        one.close()
        two.close()


def table_rows(connection: sqlite3.Connection, name: str) -> list[tuple[Any, ...]]:
    """The rows of a table in the order in which they are stored: row id, and of each column, generated ones
    too, class and exact bytes."""
    described = connection.execute("SELECT name FROM pragma_table_xinfo(?)", (name,)).fetchall()
    columns = [column.decode() for (column,) in described]
    lowered = {column.lower() for column in columns}
    cells = [word for word in ("rowid", "_rowid_", "oid") if word not in lowered][:1]
    table = _quoted(name)
    if connection.execute("SELECT wr FROM pragma_table_list(?)", (name,)).fetchone()[0]:
        cells = []
    for column in columns:
        word = f'"t".{_quoted(column)}'
        cells += [f"typeof({word})", word, f"CASE typeof({word}) WHEN 'text' THEN CAST({word} AS BLOB) END"]
    parts = [
        connection.execute(
            f'SELECT {", ".join(cells[start : start + 1500])} FROM {table} AS "t" NOT INDEXED'
        ).fetchall()
        for start in range(0, len(cells), 1500)
    ]
    return [tuple(_bits(cell) for part in row for cell in part) for row in zip(*parts, strict=True)]


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _bits(value: Any) -> Any:
    return struct.pack(">d", value) if isinstance(value, float) else value


def _checks(connection: sqlite3.Connection) -> tuple[list[Any], list[Any]]:
    connection.execute("PRAGMA ignore_check_constraints = ON")
    keys = connection.execute("PRAGMA foreign_key_check").fetchall()
    return sorted(map(repr, keys)), connection.execute("PRAGMA integrity_check(100000)").fetchall()


def _open(path: Path) -> sqlite3.Connection:
    assert path.is_file()
    connection = sqlite3.connect(path)
    connection.text_factory = bytes
    return connection


def _one(connection: sqlite3.Connection, statement: str) -> Any:
    return connection.execute(statement).fetchone()[0]


def assert_trees_equal(left: Path, right: Path) -> None:
    """Names, kinds, modes, times, contents, links (also which names share a file), extended attributes.

    What is set-user-ID on the left, or a file that is set-group-ID, must not be so on the right.
    """
    assert tree_as_saved(left) == _tree(os.fsencode(right))


def tree_as_saved(root: Path) -> dict[bytes, tuple[Any, ...]]:
    """All of it that a restore must give back, to be compared with what ``tree_as_saved`` gives of a copy."""
    return _tree(os.fsencode(root), lost=stat.S_ISUID | stat.S_ISGID)


def _tree(root: bytes, *, lost: int = 0) -> dict[bytes, tuple[Any, ...]]:
    found: dict[bytes, tuple[Any, ...]] = {}
    first: dict[tuple[int, int], bytes] = {}
    for folder, folders, files in os.walk(root):
        folders.sort()
        for name in [b"", *sorted(folders + files)] if folder == root else sorted(folders + files):
            path = os.path.join(folder, name) if name else root
            state = os.lstat(path)
            relative = path[len(root) :]
            content: Any = None
            shared = None
            if stat.S_ISLNK(state.st_mode):
                content = os.readlink(path)
            elif stat.S_ISREG(state.st_mode):
                content = Path(os.fsdecode(path)).read_bytes()
                shared = first.setdefault((state.st_dev, state.st_ino), relative)
            xattrs = _xattrs(path)
            kept = ~lost | (stat.S_ISGID if stat.S_ISDIR(state.st_mode) else 0)
            found[relative] = (stat.filemode(state.st_mode & kept), state.st_mtime_ns, content, shared, xattrs)
    return found


def _xattrs(path: bytes) -> dict[str, bytes]:
    names = os.listxattr(path, follow_symlinks=False) if hasattr(os, "listxattr") else []
    return {name: os.getxattr(path, name, follow_symlinks=False) for name in names if name.startswith("user.")}
