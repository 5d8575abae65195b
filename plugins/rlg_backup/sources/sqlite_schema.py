"""What a SQLite database is besides its rows: pragmas, the rows of sqlite_schema, how each table is stored.

The whole of it travels as ``schema/sqlite.json``; ``schema/schema.sql`` says the same for a person. A restore
writes the rows of sqlite_schema back as they were and never runs them as statements, so a definition that
only the application can run (its own functions, views of tables long gone) comes back all the same.
"""

from __future__ import annotations

import base64
import json
import re
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from ..core.errors import MemberDamaged
from .port import ForeignKey

MEMBER: Final = "sqlite.json"
SCRIPT: Final = "schema.sql"
ENCODINGS: Final = {"UTF-8": "utf-8", "UTF-16le": "utf-16-le", "UTF-16be": "utf-16-be"}
PRAGMAS: Final = ("application_id", "auto_vacuum", "encoding", "journal_mode", "page_size", "user_version")
_ROWID_NAMES: Final = ("rowid", "_rowid_", "oid")


def quoted(name: str) -> str:
    """A name as a SQL identifier, whatever it holds."""
    return '"' + name.replace('"', '""') + '"'


@dataclass(frozen=True)
class SchemaRow:
    """A row of sqlite_schema. Cells are bytes, since SQLite lets a script in Latin-1 through; ``root`` says
    whether it owns pages (a table that is not virtual, an index)."""

    rowid: int
    type: str
    name: bytes
    tbl_name: bytes
    root: bool
    sql: bytes | None

    @property
    def virtual(self) -> bool:
        return self.type == "table" and not self.root


@dataclass(frozen=True)
class KeyColumn:
    """A column of a WITHOUT ROWID table's primary key: the order of its rows depends on all three."""

    name: str
    collation: str
    descending: bool


@dataclass(frozen=True)
class StoredColumn:
    """A column that takes room in a row. A generated one is computed again, never loaded."""

    name: str
    declared_type: str
    nullable: bool
    key: int
    generated: bool


@dataclass(frozen=True)
class Layout:
    """How a table's rows are stored.

    ``alias`` is the column that is the row id under another name; ``rowid`` the word that reads the row id
    (None: there is none, it has an alias, or columns took all three words); ``key`` is not empty for WITHOUT ROWID.
    """

    name: str
    columns: tuple[StoredColumn, ...]
    alias: str | None
    rowid: str | None
    key: tuple[KeyColumn, ...]

    @property
    def loaded(self) -> tuple[StoredColumn, ...]:
        return tuple(column for column in self.columns if not column.generated)

    @property
    def rowid_lost(self) -> bool:
        return self.alias is None and self.rowid is None and not self.key


@dataclass(frozen=True)
class DatabaseSchema:
    """``violations`` is, per table, the number of rows that break each foreign key as
    (referenced table, number of the key, rows), or None where SQLite could not check."""

    pragmas: Mapping[str, int | str]
    rows: tuple[SchemaRow, ...]
    layouts: Mapping[str, Layout]
    emptied: tuple[str, ...]
    violations: Mapping[str, tuple[tuple[str, int, int], ...] | None]

    @property
    def codec(self) -> str:
        return ENCODINGS[str(self.pragmas["encoding"])]


def text_of(cell: Any) -> str:
    """A text cell as the driver's connections read it (bytearray), or already str. Raises UnicodeDecodeError."""
    return cell.decode() if isinstance(cell, (bytes, bytearray)) else str(cell)


def read_pragmas(connection: sqlite3.Connection) -> dict[str, int | str]:
    values = {name: connection.execute(f"PRAGMA {name}").fetchone()[0] for name in PRAGMAS}
    return {name: value if isinstance(value, int) else text_of(value) for name, value in values.items()}


def read_rows(connection: sqlite3.Connection) -> tuple[SchemaRow, ...]:
    """The rows of sqlite_schema in their order. Raises sqlite3.Error, UnicodeDecodeError."""
    found = connection.execute(
        "SELECT rowid, type, CAST(name AS BLOB), CAST(tbl_name AS BLOB), rootpage, CAST(sql AS BLOB)"
        " FROM sqlite_schema ORDER BY rowid"
    )
    codec = ENCODINGS[str(read_pragmas(connection)["encoding"])]

    def octets(cell: bytes | None) -> bytes | None:
        # A UTF-16 database gives its own bytes; the schema is kept in UTF-8.
        return cell if cell is None or codec == "utf-8" else cell.decode(codec).encode()

    return tuple(
        SchemaRow(number, text_of(kind), octets(name) or b"", octets(owner) or b"", bool(root), octets(sql))
        for number, kind, name, owner, root, sql in found
    )


def read_layout(connection: sqlite3.Connection, name: str, indexes: set[str]) -> Layout:
    """How table ``name`` is stored; ``indexes`` are the names of all rows of type index.

    Raises sqlite3.Error, UnicodeDecodeError.
    """
    columns: list[StoredColumn] = []
    names: set[str] = set()
    described = connection.execute(
        'SELECT name, type, "notnull", pk, hidden FROM pragma_table_xinfo(?) ORDER BY cid', (name,)
    )
    for column, declared, notnull, key, hidden in described.fetchall():
        names.add(text_of(column).lower())
        if hidden != 2:  # 2: a virtual generated column, which is stored nowhere
            columns.append(StoredColumn(text_of(column), text_of(declared), not notnull, key, hidden == 3))
    primary = [
        text_of(index)
        for index, origin in connection.execute("SELECT name, origin FROM pragma_index_list(?)", (name,))
        if text_of(origin) == "pk"
    ]
    # The key of a WITHOUT ROWID table is the table itself: it is listed, and has no row in sqlite_schema.
    key_columns = _key_columns(connection, primary[0]) if primary and primary[0] not in indexes else ()
    in_key = [column for column in columns if column.key]
    alias = in_key[0].name if in_key and not primary else None
    rowid = next((word for word in _ROWID_NAMES if word not in names), None)
    return Layout(name, tuple(columns), alias, None if alias is not None or key_columns else rowid, key_columns)


def _key_columns(connection: sqlite3.Connection, index: str) -> tuple[KeyColumn, ...]:
    found = connection.execute(
        'SELECT name, coll, "desc" FROM pragma_index_xinfo(?) WHERE key ORDER BY seqno', (index,)
    )
    return tuple(KeyColumn(text_of(name), text_of(collation), bool(desc)) for name, collation, desc in found.fetchall())


def read_violations(connection: sqlite3.Connection, table: str) -> tuple[tuple[str, int, int], ...] | None:
    """Rows of ``table`` that break a foreign key, counted; None where SQLite cannot check (a key that refers
    to no unique columns, a collation only the application has)."""
    try:
        found = connection.execute(
            "SELECT parent, fkid, count(*) FROM pragma_foreign_key_check(?) GROUP BY 1, 2 ORDER BY 1, 2", (table,)
        ).fetchall()
    except sqlite3.OperationalError:
        return None
    return tuple((text_of(parent), number, rows) for parent, number, rows in found)


def read_foreign_keys(connection: sqlite3.Connection, names: Sequence[str]) -> list[ForeignKey]:
    """The foreign keys of these tables; SQLite takes names in any case. Raises sqlite3.Error, UnicodeDecodeError."""
    known = {name.casefold(): name for name in names}
    found: list[ForeignKey] = []
    for name in names:
        keys: dict[int, tuple[str, list[str]]] = {}
        query = 'SELECT id, "table", "from" FROM pragma_foreign_key_list(?) ORDER BY id, seq'
        for number, refers, column in connection.execute(query, (name,)).fetchall():
            keys.setdefault(number, (text_of(refers), []))[1].append(text_of(column))
        found += [
            ForeignKey(name, tuple(columns), known.get(refers.casefold(), refers)) for refers, columns in keys.values()
        ]
    return found


def read_references(connection: sqlite3.Connection, table: str) -> list[tuple[str, str, str]]:
    """The column, and the table and the column it refers to, of each foreign key of a table; one to a table that is not
    there is none. Raises sqlite3.Error, UnicodeDecodeError."""
    query = """
        SELECT k."from", t.name, coalesce(c.name, p.name)
        FROM pragma_foreign_key_list(?) k
        JOIN sqlite_schema t ON t.type = 'table' AND t.name = k."table" COLLATE NOCASE
        LEFT JOIN pragma_table_info(t.name) c ON c.name = k."to" COLLATE NOCASE
        LEFT JOIN pragma_table_info(t.name) p ON k."to" IS NULL AND p.pk = k.seq + 1
        WHERE coalesce(c.name, p.name) IS NOT NULL ORDER BY k.id, k.seq
    """
    return [
        (text_of(own), text_of(refers), text_of(column))
        for own, refers, column in connection.execute(query, (table,)).fetchall()
    ]


def script(schema: DatabaseSchema) -> bytes:
    """The definitions as a script for a person; rows are loaded between the tables and the rest."""
    pragmas = schema.pragmas
    lines = [
        "-- The definitions of this database, to make it again by hand: run the tables, load the rows of",
        "-- data/, then run the rest. What cannot be run by hand is in sqlite.json, to the byte.",
        f"PRAGMA page_size = {pragmas['page_size']};",
        f"PRAGMA encoding = '{pragmas['encoding']}';",
        f"PRAGMA auto_vacuum = {pragmas['auto_vacuum']};",
        f"PRAGMA user_version = {pragmas['user_version']};",
        f"PRAGMA application_id = {pragmas['application_id']};",
    ]
    body = [line.encode() for line in lines]
    for first in (True, False):
        for row in schema.rows:
            if row.sql is None or (row.type == "table" and row.root) != first:
                continue
            internal = b"-- made by SQLite itself: " if row.name.startswith(b"sqlite_") else b""
            body.append(internal + row.sql + (b"" if internal else b"\n") + b";")
    return b"\n".join(body) + b"\n"


# --- sqlite.json ----------------------------------------------------------------------------------


def _cell(value: bytes | None) -> Any:
    try:
        return None if value is None else value.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(value or b"").decode()}


def dump(schema: DatabaseSchema) -> bytes:
    """``schema`` as ``sqlite.json``: sorted keys, no spaces, UTF-8."""
    rows = [
        {**asdict(row), "name": _cell(row.name), "tbl_name": _cell(row.tbl_name), "sql": _cell(row.sql)}
        for row in schema.rows
    ]
    document = {
        "version": 1,
        "pragmas": dict(schema.pragmas),
        "rows": rows,
        "tables": [asdict(layout) for layout in schema.layouts.values()],
        "emptied": list(schema.emptied),
        "violations": dict(schema.violations),
    }
    return json.dumps(document, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


def load(files: Mapping[str, bytes]) -> DatabaseSchema:
    """Parses ``sqlite.json``; raises MemberDamaged, whatever the bytes are."""
    if MEMBER not in files:
        raise MemberDamaged("read", f"schema/{MEMBER}", "the backup does not hold it")
    try:
        return _parse(json.loads(files[MEMBER]))
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        cause = "it is not the schema of a SQLite database"
        raise MemberDamaged("read", f"schema/{MEMBER}", cause) from error


def _parse(document: Any) -> DatabaseSchema:
    if document["version"] != 1 or set(document["pragmas"]) != set(PRAGMAS):
        raise ValueError("version or pragmas")
    layouts = [_parse_layout(table) for table in document["tables"]]
    schema = DatabaseSchema(
        pragmas=_checked_pragmas(document["pragmas"]),
        rows=tuple(_parse_row(row) for row in document["rows"]),
        layouts={layout.name: layout for layout in layouts},
        emptied=tuple(str(name) for name in document["emptied"]),
        violations={
            str(name): None
            if found is None
            else tuple((str(parent), int(key), int(rows)) for parent, key, rows in found)
            for name, found in document["violations"].items()
        },
    )
    stored = {row.name.decode() for row in schema.rows if row.type == "table" and row.root}
    if stored != set(schema.layouts) or any(row.tbl_name.decode() not in stored for row in schema.rows if row.root):
        raise ValueError("tables and rows disagree")
    return schema


def _checked_pragmas(pragmas: Mapping[str, Any]) -> dict[str, int | str]:
    """Pragmas are written into statements as they are: nothing but known words and small integers may pass."""
    size, encoding, mode = pragmas["page_size"], pragmas["encoding"], pragmas["journal_mode"]
    numbers = [pragmas[name] for name in ("application_id", "user_version", "auto_vacuum", "page_size")]
    if any(type(number) is not int or not -(2**31) <= number < 2**32 for number in numbers):
        raise ValueError("a pragma is not a number")
    if (
        size not in {2**power for power in range(9, 17)}
        or encoding not in ENCODINGS
        or pragmas["auto_vacuum"] not in range(3)
    ):
        raise ValueError("a pragma is out of range")
    if not re.fullmatch("[a-z]+", mode):
        raise ValueError("journal_mode")
    return dict(pragmas)


def _parse_row(row: Mapping[str, Any]) -> SchemaRow:
    name, owner = _parse_cell(row["name"]), _parse_cell(row["tbl_name"])
    if row["type"] not in ("table", "index", "view", "trigger") or name is None or owner is None:
        raise ValueError("a row of sqlite_schema")
    if type(row["rowid"]) is not int or not 0 < row["rowid"] < 2**63:
        raise ValueError("a row of sqlite_schema")
    return SchemaRow(row["rowid"], row["type"], name, owner, bool(row["root"]), _parse_cell(row["sql"]))


def _parse_cell(cell: Any) -> bytes | None:
    if isinstance(cell, dict):
        return base64.b64decode(cell["base64"], validate=True)
    return None if cell is None else cell.encode()


def _parse_layout(table: Mapping[str, Any]) -> Layout:
    columns = tuple(StoredColumn(**column) for column in table["columns"])
    key = tuple(KeyColumn(**column) for column in table["key"])
    names = [column.name for column in columns]
    known: Sequence[str | None] = [*names, None]
    texts = [*names, *(column.name for column in key), *(column.collation for column in key)]
    if not all(isinstance(text, str) for text in texts) or len(set(names)) != len(names):
        raise ValueError("a table's columns")
    if (
        all(column.generated for column in columns)
        or table["alias"] not in known
        or not {column.name for column in key} <= set(names)
    ):
        raise ValueError("a table's columns")
    if table["rowid"] not in (*_ROWID_NAMES, None):
        raise ValueError("a table's row id")
    return Layout(str(table["name"]), columns, table["alias"], table["rowid"], key)
