"""A SQLite database built from a backup: to the byte of every value, whatever its definitions say.

Rows go into plain tables of nameless columns, where no affinity, constraint, trigger or foreign key can change or
refuse them. Their pages are then given the definitions of the source, as rows of sqlite_schema, and the
indexes, which own an empty page until then, are built. Nothing of the archive's SQL is ever run.
"""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from ..core.errors import DestinationUnsuitable, MemberDamaged, ParityFailed, StorageFull
from . import sqlite_schema
from .placing import (
    Closing,
    Partial,
    not_removed,
    refuse_existing,
    refused,
    sync,
    take_name,
)
from .port import ROLE, ROWID, Table, TableSource
from .sqlite import SqliteSource
from .sqlite_full_text import make_all_anew, make_anew
from .sqlite_schema import Layout, SchemaRow, quoted
from .variants import plain_values, variant_values

# Only a cast makes text that is not valid. A cast takes a parameter's bytes for UTF-8, whatever the database's
# encoding, but a stored value's for what they are: in a UTF-16 database such text comes from a table.
_UTF8_TEXT: Final = "coalesce(CAST(? AS TEXT), ?)"
_UTF16_TEXT: Final = "coalesce((SELECT CAST(v AS TEXT) FROM temp.odd_text WHERE id = ?), ?)"
# How long a value that the archive's definitions compute may be, beside what the rows themselves explain: an index on
# hex(zeroblob(400000000)) would take gigabytes for each row.
_COMPUTED_BYTES: Final = 1 << 20
_AT_ONCE: Final = 16_384  # rows whose values are made at once
_SIDE_FILES: Final = ("-journal", "-wal", "-shm")
# What integrity_check says of rows that were so in the source, not of the file's structure.
_CONTENT: Final = re.compile(r"(NULL|NUMERIC|TEXT|non-\w+) value in |missing value ")


class SqliteDestination(Closing):
    """A new database at ``path``, where nothing may exist. Use it as a context manager, or call ``close``.

    ``altered`` says that rows were changed on their way (a masked backup, erasures): then broken foreign keys
    that the source did not have are a warning, not ParityFailed. ``warnings`` is filled by ``finish``.
    """

    def __init__(self, path: Path, *, altered: bool = False) -> None:
        self._path, self._altered = path, altered
        self._partial: Partial | None = None
        self._connection: sqlite3.Connection | None = None
        self._roots: dict[int, int] = {}  # rowid in sqlite_schema > its page here
        self._largest = 0  # bytes of a batch of rows, or of a definition
        self._loaded = False  # from then on SQLite computes what the archive's definitions say
        self.warnings: list[str] = []
        self.loaders = 1  # SQLite has one writer

    def close(self) -> None:
        """Removes what is not finished; idempotent. Raises DestinationUnsuitable when it cannot."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        if self._partial is None:
            return
        partial, self._partial = self._partial, None
        try:
            partial.close()
        except OSError as error:
            raise not_removed(partial.folder, error) from error

    def require_free(self) -> None:
        """See the port. Raises DestinationUnsuitable."""
        self._refuse_existing()

    # --- prepare ----------------------------------------------------------------------------------

    def prepare(self, schema_files: Mapping[str, bytes]) -> None:
        """See the port. Raises DestinationUnsuitable, MemberDamaged."""
        self._schema = sqlite_schema.load(schema_files)
        self._largest = max((len(row.sql or b"") for row in self._schema.rows), default=0)
        self._text_or_other = _UTF8_TEXT if self._schema.codec == "utf-8" else _UTF16_TEXT
        self._refuse_existing()
        self._partial = Partial(self._path)
        pragmas = self._schema.pragmas
        with _building("make", str(self._path)):
            os.close(os.open(self._partial.copy, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
            connection = self._open()
            connection.execute(f"PRAGMA page_size = {pragmas['page_size']}")
            connection.execute(f"PRAGMA encoding = '{pragmas['encoding']}'")
            connection.execute(f"PRAGMA auto_vacuum = {pragmas['auto_vacuum']}")
            connection.execute("PRAGMA journal_mode = OFF").fetchone()
            self._make_pages(connection)
            connection = self._open()
            connection.execute("CREATE TEMP TABLE odd_text (id INTEGER PRIMARY KEY, v)")
            connection.execute("BEGIN")

    def _refuse_existing(self) -> None:
        refuse_existing(self._path)
        for suffix in _SIDE_FILES:  # SQLite would take one left there for part of the new database
            refuse_existing(self._path.with_name(self._path.name + suffix))

    def _open(self) -> sqlite3.Connection:
        """A fresh connection to the unfinished file: what was done to its sqlite_schema is read again."""
        if self._connection is not None:
            self._connection.close()
        assert self._partial is not None  # prepare made it, close() alone forgets it
        self._connection = sqlite3.connect(str(self._partial.copy), isolation_level=None, check_same_thread=False)
        # Nobody else knows the file, and it goes if anything fails: no journal and no lock are needed.
        for pragma in ("locking_mode = EXCLUSIVE", "journal_mode = OFF", "synchronous = OFF", "cache_size = -16384"):
            self._connection.execute(f"PRAGMA {pragma}").fetchone()
        for pragma in ("foreign_keys = OFF", "ignore_check_constraints = ON"):
            self._connection.execute(f"PRAGMA {pragma}")
        if self._loaded:
            longest = _COMPUTED_BYTES + 4 * self._largest
            self._connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, min(longest, 2**31 - 1))
        return self._connection

    def _make_pages(self, connection: sqlite3.Connection) -> None:
        """A plain table for each table, an empty root page for each index, in the source's order."""
        rows = [row for row in self._schema.rows if row.root]
        self._tables = {row.name.decode(): f"t{row.rowid}" for row in rows if row.type == "table"}
        connection.execute("BEGIN")
        for row in rows:
            if row.type == "table":
                name = row.name.decode()
                connection.execute(_plain_definition(self._tables[name], self._schema.layouts[name]))
        for row in rows:
            if row.type == "index":
                connection.execute(f"CREATE INDEX i{row.rowid} ON {self._tables[row.tbl_name.decode()]} (c0)")
        found = connection.execute("SELECT name, rootpage FROM sqlite_schema").fetchall()
        self._roots = {int(name[1:]): page for name, page in found if not name.startswith("sqlite_")}
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute("DELETE FROM sqlite_schema WHERE type = 'index'")
        connection.execute("COMMIT")

    # --- load -------------------------------------------------------------------------------------

    def load(self, table: Table, batches: Iterable[pa.RecordBatch]) -> int:
        """See the port. Raises MemberDamaged for batches that are not rows of the table."""
        connection = self._connected("load", table.name)
        layout = self._schema.layouts.get(table.name)
        if layout is None:
            raise MemberDamaged("load", table.name, f"schema/{sqlite_schema.MEMBER} does not define it")
        total = 0
        for batch in batches:
            for start in range(0, max(1, batch.num_rows), _AT_ONCE):
                with _building("load", table.name):
                    statement, columns = self._statement(layout, table, batch.slice(start, _AT_ONCE))
                    connection.executemany(statement, zip(*columns, strict=True))
            total += batch.num_rows
            self._largest = max(self._largest, batch.nbytes)
        return total

    def _statement(self, layout: Layout, table: Table, batch: pa.RecordBatch) -> tuple[str, list[Sequence[Any]]]:
        """An INSERT for the forms of ``batch``, and its parameters by column; what the table has no column for is NULL.
        Raises ValueError."""
        roles = [(field.metadata or {}).get(ROLE) for field in batch.schema]
        places = {field.name: place for place, field in enumerate(batch.schema) if roles[place] is None}
        if list(places) != [column.name for column in table.columns] or set(places) - {
            one.name for one in layout.loaded
        }:
            raise MemberDamaged("load", layout.name, "its columns are not those of the schema")
        targets: list[str] = []
        values: list[str] = []
        columns: list[Sequence[Any]] = []
        identity = places[layout.alias] if layout.alias is not None else roles.index(ROWID) if ROWID in roles else None
        if identity is not None and batch.num_rows:  # without rows it has no type to speak of
            batch = _in_order(batch, identity, layout.name)
            targets, values, columns = ["rowid"], ["?"], [batch.column(identity).to_pylist()]
        for number, column in enumerate(layout.columns):
            if column.generated or column.name == layout.alias or column.name not in places:
                continue  # stays NULL: that is how SQLite itself stores an alias of the row id
            targets.append(f"c{number}")
            array = batch.column(places[column.name])
            single = plain_values(array)
            values.append("?" if single is not None else self._text_or_other)
            columns += [single] if single is not None else self._variant(array)
        name = self._tables[layout.name]
        return f"INSERT INTO {name} ({', '.join(targets)}) VALUES ({', '.join(values)})", columns  # noqa: S608

    def _variant(self, array: pa.Array) -> tuple[list[Any], list[Any]]:
        """The parameters of ``_text_or_other`` for a column: two for each value. Raises ValueError."""
        texts, others = variant_values(array)
        codec = self._schema.codec
        if codec == "utf-8":
            return texts, others
        connection = self._connected("load", str(self._path))
        connection.execute("DELETE FROM temp.odd_text")
        for place, text in enumerate(texts):
            if text is None:
                continue
            try:
                others[place], texts[place] = text.decode(), None
            except UnicodeDecodeError:
                raw = text.decode("utf-8", "surrogatepass").encode(codec, "surrogatepass")
                connection.execute("INSERT INTO temp.odd_text VALUES (?, ?)", (place, raw))
                texts[place] = place
        return texts, others

    # --- finish -----------------------------------------------------------------------------------

    def finish(self, prove: Callable[[TableSource], None] | None = None, erased: Collection[str] = ()) -> None:
        """See the port. Compares foreign keys with the source and checks the file's integrity.

        Raises ParityFailed, MemberDamaged, and DestinationUnsuitable if an index needs a collation or function
        that SQLite lacks here, or if the name was taken meanwhile.
        """
        connection = self._connected("finish", str(self._path))
        with _building("finish", str(self._path)):
            connection.execute("COMMIT")
            self._loaded = True
            self._generate()
            self._define(self._schema.rows)
            connection = self._open()
        for table in dict.fromkeys(row.tbl_name.decode() for row in self._schema.rows if row.type == "index"):
            _build_indexes(connection, table)
        with _building("check", str(self._path)):
            self._check_foreign_keys(connection)
            self.warnings += _check_integrity(connection, str(self._path))
        with _building("finish", str(self._path)):
            partial = self._whole(connection)
        if prove is not None:
            prove(SqliteSource(partial))
        self.warnings += make_anew(partial, self._schema.rows, erased)
        if self._altered:
            self.warnings += make_all_anew(partial, self._schema.rows)
        with _building("finish", str(self._path)):
            self._take_name(partial)

    def _connected(self, verb: str, subject: str) -> sqlite3.Connection:
        if self._connection is None:
            raise DestinationUnsuitable(verb, subject, "the database is not being built")
        return self._connection

    def _define(self, rows: Iterable[SchemaRow]) -> None:
        """Replaces all definitions by ``rows``, each with the page it has here."""

        def text(cell: bytes | None) -> bytes | str | None:
            return cell if cell is None or self._schema.codec == "utf-8" else cell.decode()

        connection = self._open()
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute("BEGIN")
        connection.execute("DELETE FROM sqlite_schema")
        connection.executemany(
            "INSERT INTO sqlite_schema (rowid, type, name, tbl_name, rootpage, sql)"
            " VALUES (?, ?, CAST(? AS TEXT), CAST(? AS TEXT), ?, CAST(? AS TEXT))",
            (
                (row.rowid, row.type, text(row.name), text(row.tbl_name), self._roots.get(row.rowid, 0), text(row.sql))
                for row in rows
            ),
        )
        for name in ("application_id", "user_version"):
            connection.execute(f"PRAGMA {name} = {self._schema.pragmas[name]}")
        connection.execute("COMMIT")

    def _generate(self) -> None:
        """Computes stored generated columns: with the real definitions but no trigger there to fire."""
        generated = [layout for layout in self._schema.layouts.values() if layout.loaded != layout.columns]
        if not generated:
            return
        self._define(
            row for row in self._schema.rows if row.type == "table" or (row.type == "index" and row.sql is None)
        )
        connection = self._open()
        # The indexes are still empty: this lets SQLite find nothing in them to replace.
        connection.execute("PRAGMA writable_schema = ON")
        for layout in generated:
            column = quoted(layout.loaded[0].name)
            connection.execute(f"UPDATE {quoted(layout.name)} SET {column} = {column}")  # noqa: S608

    def _check_foreign_keys(self, connection: sqlite3.Connection) -> None:
        emptied = set(self._schema.emptied)
        for name, expected in self._schema.violations.items():
            if expected is None or name in emptied:
                continue
            allowed = {(parent, number): rows for parent, number, rows in expected}
            found = sqlite_schema.read_violations(connection, name) or ()
            # Fewer are fine: of rows that are left out, some may have broken one.
            if all(rows <= allowed.get((parent, number), 0) or parent in emptied for parent, number, rows in found):
                continue
            if not self._altered:
                raise ParityFailed("check", name, "its rows break other foreign keys than in the source")
            self.warnings.append(f"table '{name}': its rows break other foreign keys than in the source")

    def _whole(self, connection: sqlite3.Connection) -> Path:
        connection.close()
        self._connection = None
        assert self._partial is not None  # prepare made it, close() alone forgets it
        return self._partial.copy

    def _take_name(self, partial: Path) -> None:
        if self._schema.pragmas["journal_mode"] == "wal":
            last = sqlite3.connect(str(partial), isolation_level=None)
            last.execute("PRAGMA journal_mode = WAL").fetchone()
            last.close()
        sync(partial)
        self._refuse_existing()
        take_name(partial, self._path)
        self.close()  # of what is left nothing is data


@contextmanager
def _building(verb: str, subject: str) -> Iterator[None]:
    """Gives vendor exceptions this package's classes, and none of their words: they may quote a value."""
    try:
        yield
    except sqlite3.IntegrityError as error:
        raise MemberDamaged(verb, subject, "its rows repeat a key, or lack one") from error
    except sqlite3.Error as error:
        name = getattr(error, "sqlite_errorname", "") or "SQLITE_ERROR"
        if name == "SQLITE_CORRUPT":
            raise MemberDamaged(verb, subject, "its definitions do not fit together") from error
        if name == "SQLITE_TOOBIG":
            raise MemberDamaged(
                verb, subject, "a value that its definitions compute is far longer than its rows"
            ) from error
        if name == "SQLITE_FULL":
            raise StorageFull(verb, subject, "no space is left on its disk") from error
        cause = "its disk takes nothing more" if name == "SQLITE_IOERR_WRITE" else f"SQLite reports {name}"
        raise DestinationUnsuitable(verb, subject, cause) from error
    except MemoryError:  # Arrow's is an ArrowException too, and says nothing of the bytes
        raise
    except (ValueError, OverflowError, pa.ArrowException) as error:
        raise MemberDamaged(verb, subject, "its rows have no form of the format") from error
    except OSError as error:
        raise refused(verb, subject, error) from error


def _plain_definition(name: str, layout: Layout) -> str:
    places = {column.name: f"c{number}" for number, column in enumerate(layout.columns)}
    columns = ", ".join(places.values())
    if not layout.key:
        return f"CREATE TABLE {name} ({columns})"
    key = ", ".join(
        f"{places[part.name]} COLLATE {quoted(part.collation)} {'DESC' if part.descending else 'ASC'}"
        for part in layout.key
    )
    return f"CREATE TABLE {name} ({columns}, PRIMARY KEY ({key})) WITHOUT ROWID"


def _in_order(batch: pa.RecordBatch, place: int, table: str) -> pa.RecordBatch:
    """Sorted by row id, so that SQLite appends instead of splitting pages."""
    column = batch.column(place)
    if column.type != pa.int64() or column.null_count:
        raise MemberDamaged("load", table, "a row id is not an integer")
    if pc.all(pc.less_equal(column[:-1], column[1:])).as_py() is not False:
        return batch
    return batch.take(pc.sort_indices(column))


def _build_indexes(connection: sqlite3.Connection, table: str) -> None:
    try:
        connection.execute(f"REINDEX main.{quoted(table)}")
    except sqlite3.IntegrityError as error:
        raise ParityFailed("index", table, "its rows repeat a value in a unique index") from error
    except sqlite3.Error as error:
        name = getattr(error, "sqlite_errorname", "") or "SQLITE_ERROR"
        if not name.startswith("SQLITE_ERROR"):
            with _building("index", table):
                raise
        cause = "an index of it needs a collation or function that SQLite lacks here"
        hint = "restore where the application's own SQLite extensions are, or read data/ with any Parquet reader"
        raise DestinationUnsuitable("index", table, cause, hint) from error


def _check_integrity(connection: sqlite3.Connection, subject: str) -> list[str]:
    """What integrity_check says of the rows; raises ParityFailed for what it says of the file."""
    found = connection.execute(
        "SELECT integrity_check, count(*) FROM pragma_integrity_check(1000000) GROUP BY 1"
    ).fetchall()
    notes = [(message, rows) for message, rows in found if message != "ok"]
    faults = sum(rows for message, rows in notes if not _CONTENT.match(message))
    if faults:
        raise ParityFailed("check", subject, f"integrity_check finds {faults} faults in the file")
    return [f"{message}, in {rows} rows" for message, rows in notes]
