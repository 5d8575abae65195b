"""The rows of a table as Parquet parts, written and read with bounded memory (FORMAT.md section 4)."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ..core.allocator import give_back_large_pieces
from ..core.errors import MemberDamaged, SourceUnreadable
from .cluster import ROLES, cluster
from .forms import FORM, ROLE, TYPES, convert, fault, form_of, merge, role_of
from .parquet_faults import parquet_faults

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

GROUP_ROWS = 65_536
PART_BYTES = 8 * 1024 * 1024  # a reader holds a part in memory: it is used only once all of it was checked
_CHUNK_BYTES = 8 * 1024 * 1024  # held before a row group is written
_CLUSTERED = 2  # times as much is held, and sorted together, where the table has geography
_GROUP_BYTES = 512 * 1024 * 1024  # of text in a row group of several rows when it is read; writers stay far below
_ZSTD_LEVEL = 1
_SAMPLE = 1000  # rows of a column that tell whether its texts repeat themselves

# Arrow's own allocators keep what is given back, and so does the one of polars beside them; the system's gives large
# pieces back at once, when it is asked to. Measured: a tenth less memory at the peak, and no slower.
give_back_large_pieces()
if "ARROW_DEFAULT_MEMORY_POOL" not in os.environ:
    pa.set_memory_pool(pa.system_memory_pool())


class PartWriter:
    """Writes the batches of one table, in any number and size, as parts numbered from 0.

    ``open_part(n)`` gives the file of part n; it is closed when the part is whole. The form of a column may
    change between batches: a part that already has row groups is then closed and another one begun; a
    column whose values were of two classes goes on as ``variant``. A part ends once it holds
    ``max_part_bytes``. ``columns`` names those of a table that never gives a batch. About 30 MiB are
    held, more only when single values are larger.

    Raises SourceUnreadable for a batch that does not fit the ones before it or cannot be stored.
    Errors of ``open_part`` and its files pass through; after an error the parts are void.
    """

    def __init__(
        self,
        open_part: Callable[[int], BinaryIO],
        *,
        max_part_bytes: int = PART_BYTES,
        columns: Sequence[str] = (),
        subject: str = "table",
    ) -> None:
        self._open_part = open_part
        self._max_part_bytes = max_part_bytes
        self._subject = subject
        self._fields = [(name, b"") for name in columns]
        self._forms = ["null"] * len(columns)
        self._begun = False  # whether a batch said what the fields are
        self._held: list[pa.RecordBatch] = []
        self._held_rows = self._held_bytes = 0
        self._writer: pq.ParquetWriter | None = None
        self._file: _Counted | None = None
        self._parts = 0

    def write(self, batch: pa.RecordBatch) -> None:
        """Takes a batch; its fields are those of FORMAT.md section 4, the same in every batch but for their form."""
        self._check_fields(batch.schema)
        forms = [form_of(field) for field in batch.schema]
        try:
            batch.validate(full=True)  # text must be UTF-8, or no reader could use it
        except pa.ArrowInvalid:
            raise self._unreadable("a batch of it holds text that is not UTF-8, or is malformed") from None
        self._adopt(forms)
        start = 0
        while start < len(batch):
            start += self._hold(batch.slice(start, _fitting(batch)))

    def close(self) -> list[int]:
        """Writes what is held and ends the last part; returns the numbers of all parts, at least [0]."""
        self._flush()
        if self._parts == 0:
            self._open(())
        self._end_part()
        return list(range(self._parts))

    @property
    def _groups(self) -> int:
        """How many row groups are held before they are written."""
        return _CLUSTERED if any(role in ROLES for _, role in self._fields) else 1

    def _check_fields(self, schema: pa.Schema) -> None:
        fields = [(field.name, role_of(field)) for field in schema]
        if not self._begun:
            self._fields, self._forms, self._begun = fields, ["null"] * len(fields), True
        if fields != self._fields:
            raise self._unreadable("its columns changed while it was read")

    def _adopt(self, forms: Sequence[str]) -> None:
        """Makes every column's form one that holds the coming batch, ending the part where it cannot go on."""
        merged = [merge(*pair) for pair in zip(self._forms, forms, strict=True)]
        wanted = [form or new for form, new in zip(merged, forms, strict=True)]
        if wanted == self._forms:
            return
        if None in merged:
            self._flush()  # what is held does not fit the new form
        self._end_part()  # what is held goes into the next one, in the wider form
        self._forms = wanted

    def _hold(self, piece: pa.RecordBatch) -> int:
        """Takes the first rows of a piece, as many as the chunk still has room for, and returns their number."""
        while len(piece) > 1 and piece.nbytes > _CHUNK_BYTES:  # its rows are far from all of one size
            piece = piece.slice(0, len(piece) // 2)
        if self._held_bytes + piece.nbytes > self._groups * _CHUNK_BYTES:
            self._flush()
        room = self._groups * GROUP_ROWS
        piece = piece.slice(0, room - self._held_rows)
        self._held.append(piece)
        self._held_rows += len(piece)
        self._held_bytes += piece.nbytes
        if self._held_rows >= room:
            self._flush()
        return len(piece)

    def _flush(self) -> None:
        if not self._held:
            return
        schema = self._schema()
        columns = pa.Table.from_batches([_as(batch, schema, self._forms) for batch in self._held]).columns
        self._held, self._held_rows, self._held_bytes = [], 0, 0
        writer = self._writer or self._open(columns)
        try:
            cluster(schema, columns)
            writer.write_table(pa.Table.from_arrays(columns, schema=schema), row_group_size=GROUP_ROWS)
        except MemoryError:  # Arrow's is an ArrowException too, and says nothing of the bytes
            raise
        except pa.ArrowException as error:
            raise self._unreadable(f"its rows do not fit Parquet ({type(error).__name__})") from None
        if self._file is not None and self._file.written >= self._max_part_bytes:
            self._end_part()

    def _schema(self) -> pa.Schema:
        fields = []
        for (name, role), form in zip(self._fields, self._forms, strict=True):
            metadata = {FORM: form.encode(), **({ROLE: role} if role else {})}
            fields.append(pa.field(name, TYPES[form], metadata=metadata))
        return pa.schema(fields)

    def _open(self, columns: Sequence[pa.ChunkedArray]) -> pq.ParquetWriter:
        """Begins a part, whose first rows tell which columns repeat themselves."""
        named = [(name, role, form) for (name, role), form in zip(self._fields, self._forms, strict=True)]
        texts = [
            name for (name, _, form), column in zip(named, columns, strict=False) if form == "utf8" and _repeats(column)
        ]
        texts += [f"{name}.{part}" for name, _, form in named if form == "variant" for part in ("class", "b")]
        self._file = _Counted(self._open_part(self._parts))
        self._parts += 1
        self._writer = pq.ParquetWriter(
            self._file,
            self._schema(),
            version="2.6",
            compression="zstd",
            compression_level=_ZSTD_LEVEL,
            use_dictionary=texts,  # numbers, and texts that differ, are smaller and faster without one
            write_statistics=[name for name, role, _ in named if role],  # to find a country's row groups
        )
        return self._writer

    def _end_part(self) -> None:
        writer, file = self._writer, self._file
        self._writer = self._file = None
        if writer is not None and file is not None:
            writer.close()
            file.close()

    def _unreadable(self, cause: str) -> SourceUnreadable:
        return SourceUnreadable("save", self._subject, cause)


def read_part(file: BinaryIO, subject: str = "part") -> Iterator[pa.RecordBatch]:
    """The rows of a part, one batch a row group, in the forms and with the field metadata they were written.

    ``file`` is seekable and its bytes are checked already. A part without rows gives one empty batch.
    Raises MemberDamaged when it is no Parquet, or not as this format writes it.
    """
    with parquet_faults(subject):
        schema = pq.ParquetFile(file, pre_buffer=False).schema_arrow.remove_metadata()
        _check_forms(schema, subject)
        # Texts come as numbers in a dictionary, whose size when it is written out can be told before it is.
        part = pq.ParquetFile(file, pre_buffer=False, read_dictionary=_texts(schema))
        if part.num_row_groups == 0:
            yield pa.RecordBatch.from_arrays([pa.nulls(0, field.type) for field in schema], schema=schema)
        for group in range(part.num_row_groups):
            if part.metadata.row_group(group).num_rows > GROUP_ROWS:
                raise MemberDamaged("read", subject, f"a row group of it has more than {GROUP_ROWS} rows")
            yield _checked(_written_out(part.read_row_group(group, use_threads=False), schema, subject), subject)


def read_texts(file: BinaryIO, choose: Callable[[int], pa.Array | None]) -> Iterator[pa.RecordBatch]:
    """The columns of a part that hold text, bytes or tokens, one batch a row group: for parts that this run has written
    and that were authenticated since. Of others nothing here bounds the memory or proves the values: ``read_part``.

    ``choose`` is asked, for so many rows, which of them: their places, or None for all. One column at a time is in
    memory whole.
    """
    part = pq.ParquetFile(file, pre_buffer=False)
    names = with_text(part.schema_arrow)
    schema = pa.schema([part.schema_arrow.field(name) for name in names])
    for group in range(part.num_row_groups):
        chosen = choose(part.metadata.row_group(group).num_rows)
        columns = []
        for name in names:
            column = part.read_row_group(group, columns=[name], use_threads=False).column(0).combine_chunks()
            columns.append(column if chosen is None else column.take(chosen))
        yield pa.RecordBatch.from_arrays(columns, schema=schema)


def with_text(schema: pa.Schema) -> list[str]:
    """The columns of stored rows that hold text, bytes or tokens."""
    return [field.name for field in schema if field.type in (pa.string(), pa.binary(), TYPES["variant"])]


class _Counted(io.RawIOBase):
    """Passes bytes on and counts them."""

    def __init__(self, sink: BinaryIO) -> None:
        super().__init__()
        self._sink = sink
        self.written = 0

    def writable(self) -> bool:
        return True

    def write(self, data: ReadableBuffer, /) -> int:
        self._sink.write(data)
        size = memoryview(data).nbytes
        self.written += size
        return size

    def close(self) -> None:
        if not self.closed:
            self._sink.close()
        super().close()


def _repeats(column: pa.ChunkedArray) -> bool:
    """Whether texts seem to come again and again: half of the first thousand have been there before."""
    first = column.slice(0, _SAMPLE)
    return bool(2 * len(first.unique()) <= len(first))


def _fitting(batch: pa.RecordBatch) -> int:
    """How many of its rows take about the bytes that are held at once; at least one."""
    size: int = batch.nbytes
    return max(1, len(batch) * _CHUNK_BYTES // max(1, size))


def _as(batch: pa.RecordBatch, schema: pa.Schema, forms: Sequence[str]) -> pa.RecordBatch:
    arrays = [convert(array, form) for array, form in zip(batch.columns, forms, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _check_forms(schema: pa.Schema, subject: str) -> None:
    for field in schema:
        form = (field.metadata or {}).get(FORM, b"").decode("ascii", "replace")
        if TYPES.get(form) != field.type:
            raise MemberDamaged("read", subject, f"field '{field.name}' is not of the form it tells")


def _texts(schema: pa.Schema) -> list[str]:
    """The Parquet columns that hold text or bytes."""
    plain = [field.name for field in schema if field.type in (pa.string(), pa.binary())]
    return plain + [f"{field.name}.b" for field in schema if field.type == TYPES["variant"]]


def _written_out(table: pa.Table, schema: pa.Schema, subject: str) -> pa.RecordBatch:
    """A row group as one batch of its schema, without dictionaries: a few bytes there can stand for any number."""
    columns = [column.combine_chunks() for column in table.columns]
    rows = len(table)
    del table
    for column in columns:
        column.validate(full=True)  # also that each number is one of its dictionary
    if rows > 1 and sum(map(_size_written_out, columns)) > _GROUP_BYTES:
        raise MemberDamaged("read", subject, f"a row group of it holds more than {_GROUP_BYTES} bytes of text")
    for place, field in enumerate(schema):  # one by one: that one is there twice, not all of them
        columns[place] = _without_dictionary(columns[place], field.type)
    batch = pa.RecordBatch.from_arrays(columns, schema=schema)
    batch.validate(full=True)
    return batch


def _size_written_out(array: pa.Array) -> int:
    if pa.types.is_struct(array.type):
        return sum(map(_size_written_out, array.flatten()))
    if not pa.types.is_dictionary(array.type):
        return 0  # a number: the rows and columns bound it
    return pc.sum(pc.binary_length(array.dictionary).take(array.indices)).as_py() or 0


def _without_dictionary(array: pa.Array, kind: pa.DataType) -> pa.Array:
    if pa.types.is_struct(kind):
        parts = [_without_dictionary(array.field(place), field.type) for place, field in enumerate(kind)]
        return pa.StructArray.from_arrays(parts, fields=list(kind), mask=array.is_null())
    return array.dictionary_decode() if pa.types.is_dictionary(array.type) else array


def _checked(batch: pa.RecordBatch, subject: str) -> pa.RecordBatch:
    for field, array in zip(batch.schema, batch.columns, strict=True):
        reason = fault(array) if form_of(field) == "variant" else None
        if reason:
            raise MemberDamaged("read", subject, f"field '{field.name}': {reason}")
    return batch
