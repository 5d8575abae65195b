"""What a database or a tree holds, as JSON: what golden archives are compared with. Knows none of the drivers."""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import stat
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tests.support import postgres_server
from tests.support.compare import PRAGMAS, table_rows

from rlg_backup.sources.postgres.address import Address

SHOWN_ROWS = 200  # a table with more rows stands as their number and the digest of all

Rows = list[list[str]]


def database(path: Path) -> dict[str, Any]:
    """Pragmas, definitions, and each value of each table with its storage class; rows in the order of storage."""
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    connection.text_factory = bytes
    try:
        pragmas = {name: _plain(connection.execute(f"PRAGMA {name}").fetchone()[0]) for name in PRAGMAS}
        found = connection.execute("SELECT type, name, tbl_name, sql, rootpage FROM sqlite_schema ORDER BY rowid")
        schema = found.fetchall()
        tables = [name.decode() for kind, name, _, _, root in schema if kind == b"table" and root]
        return {
            "pragmas": pragmas,
            "definitions": [[_plain(cell) for cell in row[:4]] for row in schema],
            "tables": {name: shortened(_rows(connection, name)) for name in tables},
        }
    finally:
        connection.close()


def postgres(address: Address) -> dict[str, Any]:
    """The relations, each value of each table (its rows sorted, for they have no order), the state of each sequence."""
    relations = postgres_server.query(address, _RELATIONS)
    return {
        "pragmas": {"encoding": "UTF-8"},
        "definitions": [list(relation) for relation in relations],
        "tables": {
            name: sorted(_postgres_rows(address, schema, name))
            for schema, name, kind in [*relations, ("pg_catalog", "pg_largeobject", "r")]
            if kind == "r"
        },
        "sequences": {
            name: list(postgres_server.query(address, f'SELECT last_value, is_called FROM "{schema}"."{name}"')[0])
            for schema, name, kind in relations
            if kind == "S"
        },
    }


_RELATIONS = """
SELECT nspname::text, relname::text, relkind::text FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
WHERE nspname !~ '^(pg_|information_schema)' ORDER BY 1, 2
"""
_COLUMNS = """
SELECT quote_ident(attname), CASE WHEN t.typname IN ('bool', 'int2', 'int4', 'int8', 'float4', 'float8', 'bytea', 'oid')
                             THEN t.typname::text ELSE 'text' END
FROM pg_attribute a JOIN pg_type t ON t.oid = atttypid
WHERE attrelid = '"{schema}"."{name}"'::regclass AND attnum > 0 AND attgenerated = '' AND NOT attisdropped
ORDER BY attnum
"""
_SHOWN = {
    "float4": "{}::float8",
    "text": "CASE WHEN num_nulls({0}) = 0 THEN concat({0}) END",
}  # a cast to text cuts blanks


def _postgres_rows(address: Address, schema: str, name: str) -> Rows:
    """Each value with what it is in the archive; of a table without columns, the number of each row."""
    columns = postgres_server.query(address, _COLUMNS.format(schema=schema, name=name))
    if not columns:
        ((number,),) = postgres_server.query(address, f'SELECT count(*) FROM "{schema}"."{name}"')
        return [[f"rowid {row + 1}"] for row in range(number)]
    shown = ", ".join(_SHOWN.get(kind, "{}").format(column) for column, kind in columns)
    with postgres_server.session(address, options="-c TimeZone=UTC") as connection:
        rows = connection.execute(f'SELECT {shown} FROM ONLY "{schema}"."{name}"'.encode()).fetchall()
    kinds = [kind for _, kind in columns]
    return [[_postgres_cell(value, kind) for value, kind in zip(row, kinds, strict=True)] for row in rows]


def _postgres_cell(value: Any, kind: str) -> str:
    if value is None:
        return cell("null", None)
    if kind == "bool":
        return cell("boolean", value)
    word = {"text": "text", "bytea": "blob", "float4": "real", "float8": "real"}.get(kind, "integer")
    return cell(word, value.encode() if kind == "text" else value)


def shortened(rows: Rows) -> Any:
    """Rows as they are, or where they are many their number and the SHA-256 of one JSON line for each, sorted."""
    if len(rows) <= SHOWN_ROWS:
        return rows
    lines = sorted(json.dumps(row) for row in rows)
    return {"rows": len(rows), "sha256": hashlib.sha256("\n".join(lines).encode()).hexdigest()}


def cell(kind: str, value: Any) -> str:
    """Exact: ``null``, ``boolean True``, ``integer 5``, ``real 0x1p+0``, ``text b'...'`` (UTF-8, valid or not),
    ``blob b'...'``."""
    if kind == "null":
        return kind
    return (
        f"{kind} {value.hex() if kind == 'real' else value if kind in ('integer', 'boolean') else ascii(bytes(value))}"
    )


def _rows(connection: sqlite3.Connection, name: str) -> Rows:
    return [_row(row) for row in table_rows(connection, name)]


def _row(row: tuple[Any, ...]) -> list[str]:
    """First the row id where there is one, then the columns: each has three cells, its class, value and text."""
    rowid = [f"rowid {row[0]}"] if len(row) % 3 else []
    return rowid + [_cell(*row[at : at + 3]) for at in range(len(row) % 3, len(row), 3)]


def _cell(kind: bytes, value: Any, text: bytes | None) -> str:
    word = kind.decode()
    value = text if word == "text" else struct.unpack(">d", value)[0] if word == "real" else value
    return cell(word, value)


def _plain(value: Any) -> Any:
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else value


def tree(root: Path) -> dict[str, dict[str, Any]]:
    """Path > kind, mode, time, and of a file its size and digest, of a link its target, of names of one file the first.

    Extended attributes are not in it: not every file system holds them.
    """
    found: dict[str, dict[str, Any]] = {}
    first: dict[tuple[int, int], str] = {}
    for path in sorted(_below(os.fsencode(root))):
        state = os.lstat(os.path.join(os.fsencode(root), path))
        shown = printable(path)
        entry: dict[str, Any] = {"kind": _kind(state.st_mode), "mtime_ns": state.st_mtime_ns}
        if entry["kind"] == "symlink":
            entry["target"] = printable(os.readlink(os.path.join(os.fsencode(root), path)))
        else:
            entry["mode"] = oct(stat.S_IMODE(state.st_mode))
        if entry["kind"] == "file":
            data = Path(os.fsdecode(os.path.join(os.fsencode(root), path))).read_bytes()
            entry |= {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
            if state.st_nlink > 1:
                entry["same_file_as"] = first.setdefault((state.st_dev, state.st_ino), shown)
        found[shown] = entry
    return found


def printable(path: bytes) -> str:
    return path.decode("utf-8", "backslashreplace")


def _below(root: bytes) -> Iterable[bytes]:
    yield b""
    for folder, folders, files in os.walk(root):
        yield from (os.path.relpath(os.path.join(folder, name), root) for name in (*folders, *files))


def _kind(mode: int) -> str:
    return "folder" if stat.S_ISDIR(mode) else "symlink" if stat.S_ISLNK(mode) else "file"


def attributes(path: Path) -> dict[str, str]:
    """The extended attributes of a user, their values in hex."""
    names = [name for name in os.listxattr(path, follow_symlinks=False) if name.startswith("user.")]
    return {name: os.getxattr(path, name, follow_symlinks=False).hex() for name in names}
