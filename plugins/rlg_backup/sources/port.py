"""What a source must be able to do: tables (databases) or entries (file trees), from one instant.

A restored copy is opened through the same port, so that parity compares like with like.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, Protocol

from ..core.model import Excluded, SnapshotIdentity
from .kinds import ANY

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

ROLE = b"rlg.role"  # metadata of an Arrow field that is not a column of the table
ROW_IDENTITY = "row_identity"  # option of every table of a SQLite file, and of no other
CASELESS = "caseless"  # option: columns in which no two values may differ in case alone, or whose collation is such
STRICT = "strict"  # option of those whose columns take values of their type only
ROWID = b"rowid"  # role: the row's implicit identity, kept and restored
PLACE, VERSION = b"place", b"version"  # roles: where a row lies (uint64), and which state of it (uint32); not saved
MOVES = "moves_within"  # option of a table whose rows another database may put into its siblings: of which table
# The roles b"region", b"country", b"city", b"town" are geography, made for the snapshot, not restored.


Piece = object  # a part of a table that one reader reads; the driver's own


@dataclass(frozen=True)
class Column:
    """A column as the source declares it. ``key`` is its place in the primary key from 1, or 0; ``kind`` what its type
    takes (kinds.py), at most ``longest`` characters of text; ``default``: where nothing is given, it has something."""

    name: str
    declared_type: str
    nullable: bool = True
    key: int = 0
    kind: str = ANY
    longest: int | None = None
    default: bool = False

    @property
    def any_text(self) -> bool:
        """Whether it takes every text, so that a policy may put one there for ever."""
        return self.kind == ANY or (self.kind == "text" and self.longest is None)

    def holds(self, length: int) -> bool:
        """Whether a text of so many characters is not too long."""
        return self.longest is None or length <= self.longest


RuleKind = Literal["place", "distinct", "computed", "reference"]


@dataclass(frozen=True)
class Rule:
    """What a restore will demand of values of ``columns`` together, so that no policy may put any text there for ever.

    ``kind``: they decide of the ``place`` where a row is stored; no two rows may hold the same (``distinct``);
    something is ``computed`` with them, which may refuse; the one column is a ``reference`` to ``refers`` (title,
    column). ``words`` is what messages call it.
    """

    kind: RuleKind
    words: str
    columns: tuple[str, ...]
    refers: tuple[str, str] = ("", "")


@dataclass(frozen=True)
class Table:
    """A table to save. ``fingerprint`` is the hex SHA-256 of its definition in the source's own words.

    ``options`` is the driver's own (JSON types only), stored in the profile and handed back at restore.
    ``within`` are the tables it is a part of (a partition's table, what an inherited table inherits from), nearest
    first, each as ``schema`` and ``name``: what the configuration says of those holds for it too.
    ``identity`` is of all that decides what a stored row means; ``storage`` of where the rows are stored: while both
    stay the same, a row of the same PLACE and VERSION is the same row. ``storage`` is None where no address says so.
    """

    schema: str
    name: str
    columns: tuple[Column, ...]
    fingerprint: str
    options: Mapping[str, object] = field(default_factory=dict)
    within: tuple[tuple[str, str], ...] = ()
    rules: tuple[Rule, ...] = ()
    identity: str = ""
    storage: str | None = None

    @property
    def title(self) -> str:
        """What the configuration, messages and reports call it."""
        return table_title(self.schema, self.name, self.options)

    @property
    def titles(self) -> tuple[str, ...]:
        """Its own title, then those of the tables it is within."""
        return (self.title, *(table_title(*one, {}) for one in self.within))

    @property
    def root(self) -> str:
        """The title of what it is a part of after all; its own where it stands by itself."""
        return self.titles[-1]


@dataclass(frozen=True)
class ForeignKey:
    """``columns`` of the table of that ``title`` refer to rows of the table ``refers`` (its title)."""

    title: str
    columns: tuple[str, ...]
    refers: str


class TableSnapshot(Protocol):
    """All tables at one instant. Closing it ends the source's transaction."""

    @property
    def identity(self) -> SnapshotIdentity: ...

    @property
    def tables(self) -> Sequence[Table]: ...

    @property
    def excluded(self) -> Sequence[Excluded]: ...

    @property
    def warnings(self) -> Sequence[str]: ...

    def foreign_keys(self) -> Sequence[ForeignKey]:
        """Those that the database declares; of partitioned tables, not of their parts."""
        ...

    def schema_files(self) -> Mapping[str, bytes]:
        """Member name (below ``schema/``) to content: what ``TableDestination`` needs to make the tables."""
        ...

    @property
    def readers(self) -> int:
        """How many threads may be in ``read`` at the same time."""
        ...

    def pieces(self, table: Table) -> Sequence[Piece]:
        """The table cut into parts of about one size, each row in exactly one; at least one part."""
        ...

    def read(
        self, table: Table, *, piece: Piece | None = None, geography: bool = True, batch_rows: int = 65_536
    ) -> Generator[pa.RecordBatch, None, None]:
        """The rows of a table, or of one of its ``pieces``, exactly, as batches of the columns in order.

        Close it where it is not read to its end: it holds a cursor. First a field of role ROWID where the driver keeps
        one; after the columns, with ``geography``, string fields with the roles region, country, city, town, for tables
        whose geography is configured. The type of a column may change from batch to batch (see docs/FORMAT.md, forms).
        """
        ...

    def sample(self, table: Table, rows: int) -> Generator[pa.RecordBatch, None, None]:
        """About so many rows of a table, or fewer, from its beginning, its end and between where it has addresses, else
        its first ones: as ``read`` without geography, in a time that does not grow with the table. Close it."""
        ...


@dataclass(frozen=True)
class Stretch:
    """The rows of a table from the place ``first`` to before ``last`` (None: to the end): their ``places`` in order,
    and ``versions``."""

    first: int
    last: int | None
    places: np.ndarray[Any, np.dtype[np.uint64]]
    versions: np.ndarray[Any, np.dtype[np.uint32]]


class AddressedSnapshot(TableSnapshot, Protocol):
    """One whose rows have addresses; of its tables only those with a ``storage`` may be asked for."""

    def position(self) -> Mapping[str, str]:
        """What tells, later, whether the source went on from here: of the driver's own, no secrets."""
        ...

    def wait_until_kept(self, position: Mapping[str, str]) -> None:
        """Returns when the source cannot lose any more what it was at a ``position`` of this snapshot."""
        ...

    def why_unrelated(self, position: Mapping[str, str]) -> str | None:
        """Why the source did not go on from a ``position``, so that no change can be told from it; None if it did."""
        ...

    def ran_on(self, position: Mapping[str, str]) -> bool:
        """Whether the source's own program ran on since a ``position``. Where it did not, its files may be another
        day's: an address then says nothing of what lies there."""
        ...

    def may_be_new(self, position: Mapping[str, str], versions: Any) -> Any:
        """Which (bool) of these versions (uint32) a row made after a ``position`` may have, as one from before has."""
        ...

    def read_addressed(self, table: Table, piece: Piece) -> Generator[pa.RecordBatch, None, None]:
        """As ``read``, with geography, and after all else fields of the roles PLACE and VERSION."""
        ...

    def addresses(self, table: Table, piece: Piece) -> Generator[Stretch, None, None]:
        """The addresses of a piece's rows, in stretches that follow each other and cover all places of the piece."""
        ...

    def read_at(self, table: Table, stretch: Stretch, places: Any) -> Generator[pa.RecordBatch, None, None]:
        """The rows of a stretch that lie at ``places`` (uint64, some of its own, in order), as ``read_addressed``."""
        ...

    def counted(self, table: Table, totals: Sequence[str]) -> Generator[pa.RecordBatch, None, None]:
        """The table's rows in groups of one place each: the fields of geography as in ``read``, where it has any; the
        number of rows; for each column of ``totals`` the sum as decimal text, NULL for one that is no whole number."""
        ...


class TableSource(Protocol):
    """A database."""

    def snapshot(self) -> AbstractContextManager[TableSnapshot]:
        """Opens one consistent snapshot; raises SourceUnreadable."""
        ...


class TableDestination(AbstractContextManager["TableDestination"], Protocol):
    """A new, empty database that is filled. Nothing of it exists under its name until ``finish``; what is not finished
    at the end of the block is removed."""

    @property
    def loaders(self) -> int:
        """How many threads may be in ``load`` at the same time."""
        ...

    @property
    def warnings(self) -> Sequence[str]:
        """What a restore could not make as it was, filled by the end of ``finish``."""
        ...

    def require_free(self) -> None:
        """Refuses a place that ``prepare`` would refuse whatever is restored, before anything is fetched for it."""
        ...

    def prepare(self, schema_files: Mapping[str, bytes]) -> None:
        """Makes the tables, without indexes, triggers or views."""
        ...

    def load(self, table: Table, batches: Iterable[pa.RecordBatch]) -> int:
        """Loads rows as ``read`` gave them (geography fields are ignored), some of a table or all; returns their
        number. May be called several times for a table."""
        ...

    def finish(self, prove: Callable[[TableSource], None] | None = None, erased: Collection[str] = ()) -> None:
        """Makes indexes, views, triggers; then the database takes its name.

        ``prove`` is called in between with the whole copy; what it raises leaves nothing behind. What was saved that a
        database computes of other tables' rows is made anew where these are ``erased``: titles of which rows were left
        out.
        """
        ...


@dataclass(frozen=True)
class Entry:
    """One file, folder or link of a tree. ``path`` is relative, in the bytes the system uses.

    ``kind`` is ``file``, ``folder``, ``symlink`` or ``hardlink``; ``target`` is where a link points (for a
    hardlink: the relative path of the first name); ``holes`` are (offset, length) of a sparse file. ``inode`` and
    ``ctime_ns`` tell, of a file, whether it is what it was at another time; they are not saved.
    """

    path: bytes
    kind: str
    mode: int
    mtime_ns: int
    size: int = 0
    target: bytes = b""
    holes: tuple[tuple[int, int], ...] = ()
    xattrs: tuple[tuple[bytes, bytes], ...] = ()
    inode: int = field(default=0, compare=False)
    ctime_ns: int = field(default=0, compare=False)


def table_title(schema: str, name: str, options: Mapping[str, object]) -> str:
    """``name`` alone of a SQLite file's table, or in PostgreSQL's schema public; ``schema.name`` in others."""
    alone = ROW_IDENTITY in options or (schema == "public" and "." not in name)
    return name if alone else f"{schema}.{name}"


def kept_mode(kind: str, mode: int) -> int:
    """The bits of a file's mode that a backup keeps: owners are not kept, so no program may act as its owner or group.

    Of a folder the set-group-ID bit is kept: there it only says which group new files are of.
    """
    return mode & (0o3777 if kind == "folder" else 0o1777)


class EntryReader(AbstractContextManager["EntryReader"], Protocol):
    """An open file of the tree, read forward once; holes read as zeros."""

    def read(self, size: int) -> bytes: ...

    def unchanged(self) -> bool:
        """After the last byte: whether the file is still the one that was opened."""
        ...


class FileSnapshot(Protocol):
    """A tree as it was listed. Files are read after; each says whether it changed meanwhile."""

    @property
    def identity(self) -> SnapshotIdentity: ...

    @property
    def excluded(self) -> Sequence[Excluded]: ...

    @property
    def warnings(self) -> Sequence[str]: ...

    def entries(self) -> Iterator[Entry]:
        """Every entry in order of path, a folder before what it holds; the root has the path b''."""
        ...

    def open(self, entry: Entry) -> EntryReader:
        """Raises SourceChanged when the file is gone or is no file any more, SourceUnreadable otherwise."""
        ...

    def restat(self, entry: Entry) -> Entry:
        """The entry as it is now, for another try after a change."""
        ...


class FileSource(Protocol):
    """A file tree."""

    def snapshot(self) -> AbstractContextManager[FileSnapshot]:
        """Lists the tree; raises SourceUnreadable."""
        ...


class FileDestination(Protocol):
    """A new folder that is filled; it takes its name at ``finish``."""

    def make(self, entry: Entry, content: BinaryIO | None) -> None:
        """Makes one entry; ``content`` for kind ``file``. Never writes outside the folder."""
        ...

    def finish(self, prove: Callable[[FileSource], None] | None = None) -> None:
        """Sets modes and times of folders, innermost first; calls ``prove`` as above; renames into place."""
        ...
