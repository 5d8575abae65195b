"""A SQLite database as a source: one read transaction, every value with its storage class."""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import Path
from urllib.parse import quote as percent_encoded

import pyarrow as pa

from ..core.errors import SourceChanged, SourceUnreadable
from ..core.model import Excluded, SnapshotIdentity
from . import sqlite_schema
from .geography import Geography
from .kinds import sqlite_kind
from .port import CASELESS, ROW_IDENTITY, STRICT, Column, ForeignKey, Piece, Rule, Table
from .sqlite_append import AppendOnlyReading, storages
from .sqlite_read import TableReader
from .sqlite_schema import DatabaseSchema, Layout, SchemaRow

_CAUSES = {
    "SQLITE_NOTADB": "it is not a SQLite database",
    "SQLITE_CORRUPT": "it is damaged: SQLite cannot follow its pages",
    "SQLITE_BUSY": "another process holds it locked",
    "SQLITE_CANTOPEN": "SQLite cannot open it, or the -wal and -shm files beside it",
    "SQLITE_READONLY": "it needs a recovery that this user may not write",
    "SQLITE_PERM": "this user may not read it",
    "SQLITE_IOERR": "the disk does not give its pages",
}


def cause_of(error: Exception) -> str:
    """A SQLite error as words; never its message, which may quote a value."""
    name = getattr(error, "sqlite_errorname", "") or "SQLITE_ERROR"
    for prefix, cause in _CAUSES.items():
        if name.startswith(prefix):
            return cause
    if isinstance(error, UnicodeDecodeError):
        return "a name or text in it is not valid Unicode"
    return f"SQLite reports {name}"


class SqliteSource:
    """The database in the file ``path``, which is opened read-only and never made or changed.

    ``exclude`` are globs of table names whose rows are left out; their definitions are kept, so that they are
    there, and empty, after a restore. Rows of ``append_only`` tables never change. ``busy_seconds`` is how long a
    locked database is waited for.
    """

    def __init__(
        self,
        path: Path,
        *,
        geography: Geography | None = None,
        exclude: Sequence[str] = (),
        append_only: Sequence[str] = (),
        busy_seconds: float = 30.0,
    ) -> None:
        self._path, self._geography, self._exclude = path, geography, tuple(exclude)
        self._append_only = tuple(append_only)
        self._busy_seconds = busy_seconds

    @contextmanager
    def snapshot(self) -> Iterator[SqliteSnapshot]:
        """One read transaction. In WAL mode writers go on; in another mode they wait, and a warning says so.

        Raises SourceUnreadable (missing, damaged, locked, no database), InvalidSetting (geography), and at the end
        SourceChanged when the file was written to by what takes no locks (a copy over it).
        """
        with closing(self._connect()) as connection:
            try:
                _begin(connection)
                opened = SqliteSnapshot(connection, self._path, self._geography, self._exclude, self._append_only)
            except (sqlite3.Error, UnicodeDecodeError) as error:
                raise SourceUnreadable("read", str(self._path), cause_of(error)) from error
            before = _state(self._path)
            try:
                yield opened
            except SourceUnreadable:  # the pages fit together no more: this may be why
                opened.check_unwritten(before, _state(self._path))
                raise
            opened.check_unwritten(before, _state(self._path))

    def _connect(self) -> sqlite3.Connection:
        if not self._path.is_file():
            cause = "it is not a file" if self._path.exists() else "there is no such file"
            raise SourceUnreadable("open", str(self._path), cause)
        if not os.access(self._path, os.R_OK):
            raise SourceUnreadable("open", str(self._path), "permission denied")
        uri = f"file:{percent_encoded(os.fsencode(self._path.absolute()))}?mode=ro"
        try:
            return sqlite3.connect(
                uri, uri=True, timeout=self._busy_seconds, isolation_level=None, check_same_thread=False
            )
        except sqlite3.Error as error:
            raise SourceUnreadable("open", str(self._path), cause_of(error)) from error


@dataclass(frozen=True)
class _FileState:
    inode: tuple[int, int]
    size: int
    modified_ns: int


def _state(path: Path) -> _FileState | None:
    """By its name: closing a descriptor of the file would drop this process's locks on it."""
    try:
        found = path.stat()
    except OSError:
        return None
    return _FileState((found.st_dev, found.st_ino), found.st_size, found.st_mtime_ns)


def _begin(connection: sqlite3.Connection) -> None:
    # The driver's fastest way that tells text (bytearray) from blobs (bytes) and never decodes.
    connection.text_factory = bytearray
    # trusted_schema stays on: off, SQLite 3.40 takes no JSON function in a generated column or an index. This
    # connection has no functions but SQLite's own, and asks neither views nor virtual tables.
    for pragma in ("cell_size_check = ON", "mmap_size = 0"):
        connection.execute(f"PRAGMA {pragma}")
    connection.execute("BEGIN")
    connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()  # the first read fixes the instant


class SqliteSnapshot(AppendOnlyReading):
    """All tables at one instant. Tables are read one thread at a time."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        path: Path,
        geography: Geography | None,
        exclude: Sequence[str],
        append_only: Sequence[str] = (),
    ) -> None:
        self._connection, self._path, self._geography = connection, path, geography
        self.identity = _identity(connection, path)
        self._pragmas = sqlite_schema.read_pragmas(connection)
        self._rows = sqlite_schema.read_rows(connection)
        if connection.execute("PRAGMA page_count").fetchone()[0] == 0:
            raise SourceUnreadable("read", str(path), "the file is empty: no database was ever made in it")
        indexes = {row.name.decode() for row in self._rows if row.type == "index"}
        names = [row.name.decode() for row in self._rows if row.type == "table" and row.root]
        self._layouts = {name: sqlite_schema.read_layout(connection, name, indexes) for name in names}
        if geography is not None:
            geography.check({layout.name: [c.name for c in layout.loaded] for layout in self._layouts.values()})
        left_out = {name: pattern for name in names for pattern in exclude if fnmatchcase(name, pattern)}
        self._emptied = tuple(left_out)
        known = storages(connection, self._layouts, append_only, geography.tables if geography else ())
        strict = _strict_tables(connection)
        tables = [
            _table(connection, row, self._layouts[row.name.decode()], row.name in strict)
            for row in self._rows
            if row.type == "table" and row.root and row.name.decode() not in left_out
        ]
        self.tables: Sequence[Table] = tuple(replace(table, storage=known.get(table.name)) for table in tables)
        self.excluded: Sequence[Excluded] = (
            *(Excluded(name, f"excluded by the configuration: {pattern}") for name, pattern in left_out.items()),
            *(
                Excluded(row.name.decode(), "virtual table: kept as its definition, its rows lie in tables of its own")
                for row in self._rows
                if row.virtual
            ),
        )
        self.warnings: Sequence[str] = tuple(
            self._warn([row.name.decode() for row in self._rows if row.type == "table"], exclude)
        )

    def _warn(self, names: Iterable[str], exclude: Sequence[str]) -> Iterator[str]:
        if self._pragmas["journal_mode"] != "wal":
            yield "the database is not in WAL mode: whoever writes to it waits until the backup has read it"
        for layout in self._layouts.values():
            if layout.rowid_lost:
                yield f"table '{layout.name}': its columns hide the row id, which is not kept"
        known = list(names)
        for pattern in exclude:
            if not any(fnmatchcase(name, pattern) for name in known):
                yield f"exclude: the pattern '{pattern}' matches no table"
        for table in self.tables:
            if self._reader(table, self._geography).place_without_index():
                yield f"table '{table.name}': its geography is looked up without an index, which is slow"
        yield from _missing_collations(self._connection, self._rows)

    def check_unwritten(self, before: _FileState | None, after: _FileState | None) -> None:
        """Raises SourceChanged when the file is another than before. In WAL mode a checkpoint may write to it; in any
        other nobody who takes SQLite's locks can, while this transaction reads. One that was replaced by another file,
        or removed, was read to its end as it was."""
        if self._pragmas["journal_mode"] == "wal" or before is None or after is None:
            return
        if before.inode == after.inode and before != after:
            cause = "it was written to while it was read, past SQLite's locks"
            hint = "copy a database with its '.backup' command or a rename, never over the file in use"
            raise SourceChanged("read", str(self._path), cause, hint)

    def foreign_keys(self) -> Sequence[ForeignKey]:
        """See the port."""
        return sqlite_schema.read_foreign_keys(self._connection, list(self._layouts))

    def schema_files(self) -> Mapping[str, bytes]:
        """``sqlite.json`` for a restore and ``schema.sql`` for a person. Checks the foreign keys, one look-up a row."""
        violations = {name: sqlite_schema.read_violations(self._connection, name) for name in self._layouts}
        schema = DatabaseSchema(self._pragmas, self._rows, self._layouts, self._emptied, violations)
        return {sqlite_schema.MEMBER: sqlite_schema.dump(schema), sqlite_schema.SCRIPT: sqlite_schema.script(schema)}

    @property
    def readers(self) -> int:
        """One connection holds the transaction."""
        return 1

    def pieces(self, table: Table) -> Sequence[Piece]:
        """The whole table."""
        return (None,)

    def read(
        self, table: Table, *, piece: Piece | None = None, geography: bool = True, batch_rows: int = 65_536
    ) -> Generator[pa.RecordBatch, None, None]:
        """See the port. An empty table gives no batch; a batch ends early where its values take 8 MiB of memory.

        Raises SourceUnreadable naming the table; a damaged page is met when it is read.
        """
        reader = self._reader(table, self._geography if geography else None)
        try:
            yield from reader.batches(batch_rows)
        except (sqlite3.Error, UnicodeDecodeError) as error:
            raise self._failed(table, error) from error

    def sample(self, table: Table, rows: int) -> Generator[pa.RecordBatch, None, None]:
        """See the port. By row id; of a table WITHOUT ROWID the first rows."""
        try:
            yield from self._reader(table, None).sample(rows)
        except (sqlite3.Error, UnicodeDecodeError) as error:
            raise self._failed(table, error) from error

    def _failed(self, table: Table, error: Exception) -> SourceUnreadable:
        return SourceUnreadable("read", table.name, cause_of(error))

    def _reader_of(self, table: Table) -> TableReader:
        return self._reader(table, None)

    def _reader(self, table: Table, geography: Geography | None) -> TableReader:
        codec = sqlite_schema.ENCODINGS[str(self._pragmas["encoding"])]
        return TableReader(self._connection, self._layouts[table.name], codec, geography)


def _table(connection: sqlite3.Connection, row: SchemaRow, layout: Layout, strict: bool) -> Table:
    columns = tuple(
        # A column that is the row id takes no NULL, whatever its declaration says, and integers only.
        Column(
            column.name,
            column.declared_type,
            column.nullable and column.name != layout.alias,
            column.key,
            kind=sqlite_kind(column.declared_type, rowid=column.name == layout.alias, strict=strict),
        )
        for column in layout.loaded
    )
    identity = "column" if layout.alias else "key" if layout.key else "rowid" if layout.rowid else "none"
    caseless = _caseless(connection, layout.name)
    said = {STRICT: strict, CASELESS: caseless}
    options = {ROW_IDENTITY: identity, **{name: value for name, value in said.items() if value}}
    fingerprint, rules = hashlib.sha256(row.sql or b"").hexdigest(), _rules(connection, layout.name)
    return Table("main", layout.name, columns, fingerprint, options, rules=rules)


def _strict_tables(connection: sqlite3.Connection) -> set[bytes]:
    """The names of tables whose columns take values of their type only; before version 3.37 there were none."""
    if sqlite3.sqlite_version_info < (3, 37):
        return set()
    query = "SELECT CAST(name AS BLOB) FROM pragma_table_list WHERE schema = 'main' AND strict"
    return {bytes(name) for (name,) in connection.execute(query).fetchall()}


def _caseless(connection: sqlite3.Connection, table: str) -> list[str]:
    """The columns by which a unique index tells rows apart whatever their case. How another column compares, SQLite
    does not tell."""
    query = (
        "SELECT DISTINCT c.name FROM pragma_index_list(?) i, pragma_index_xinfo(i.name) c"
        " WHERE i.\"unique\" AND c.key AND c.name IS NOT NULL AND c.coll = 'NOCASE' COLLATE NOCASE ORDER BY 1"
    )
    return [sqlite_schema.text_of(name) for (name,) in connection.execute(query, (table,)).fetchall()]


def _rules(connection: sqlite3.Connection, table: str) -> tuple[Rule, ...]:
    """Unique indexes, those of keys included, references, and generated columns. Which columns an expression has,
    SQLite does not tell: a generated column may have any; one in an index is not looked at."""
    found: dict[str, list[str]] = {}
    query = (
        "SELECT i.name, c.name FROM pragma_index_list(?) i, pragma_index_xinfo(i.name) c"
        ' WHERE i."unique" AND c.key AND c.name IS NOT NULL ORDER BY 1, 2'
    )
    for index, column in connection.execute(query, (table,)).fetchall():
        found.setdefault(sqlite_schema.text_of(index), []).append(sqlite_schema.text_of(column))
    unique = [Rule("distinct", f"the unique index {name}", tuple(columns)) for name, columns in found.items()]
    references = [
        Rule("reference", f"{refers}.{column}", (own,), (refers, column))
        for own, refers, column in sqlite_schema.read_references(connection, table)
    ]
    query = "SELECT name, hidden FROM pragma_table_xinfo(?) ORDER BY cid"
    listed = [(sqlite_schema.text_of(name), hidden) for name, hidden in connection.execute(query, (table,)).fetchall()]
    stored = tuple(name for name, hidden in listed if not hidden)
    return (
        *unique,
        *references,
        *(Rule("computed", f"the generated column {name}", stored) for name, hidden in listed if hidden > 1),
    )


def _identity(connection: sqlite3.Connection, path: Path) -> SnapshotIdentity:
    """A SQLite file holds no id of its own, and its inode changes at every restore: the file's place is what
    stays, as a digest, since a path may tell names. The marker comes from the times and sizes of the
    database and its write-ahead log: reading the header would need a second descriptor, and closing that
    drops every lock of this process on the file."""
    place = hashlib.sha256(str(path.resolve()).encode("utf-8", "surrogateescape")).hexdigest()[:16]
    state = [connection.execute("PRAGMA schema_version").fetchone()[0]]
    for name in (path, path.with_name(path.name + "-wal")):
        if name.exists() and (found := name.stat()).st_size:
            state += [found.st_size, found.st_mtime_ns]
    marker = hashlib.sha256(repr(state).encode()).hexdigest()[:16]
    return SnapshotIdentity(f"sqlite:{place}", marker, datetime.now(UTC))


def _missing_collations(connection: sqlite3.Connection, rows: Sequence[SchemaRow]) -> Iterator[str]:
    for row in rows:
        if row.type != "index":
            continue
        name = row.name.decode()
        used = connection.execute("SELECT DISTINCT coll FROM pragma_index_xinfo(?) WHERE coll IS NOT NULL", (name,))
        for collation in [sqlite_schema.text_of(cell) for (cell,) in used.fetchall()]:
            try:  # PRAGMA collation_list lists one that is merely named, too
                connection.execute(f"SELECT 'a' < 'b' COLLATE {sqlite_schema.quoted(collation)}")
            except sqlite3.OperationalError:
                missing = f"needs the collation '{collation}', which SQLite lacks here"
                yield f"index '{name}' {missing}: a restore must have it"
