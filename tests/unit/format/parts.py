"""Parts of a table, written into memory."""

from __future__ import annotations

import io
from collections.abc import Iterable
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from rlg_backup.format.digest import Xxh3RowDigest
from rlg_backup.format.forms import FORM
from rlg_backup.format.rows import PartWriter, read_part

KEY = bytes(32)


class Parts:
    """Parts kept in memory."""

    def __init__(self) -> None:
        self.files: list[io.BytesIO] = []
        self.contents: list[bytes] = []

    def open(self, number: int) -> BinaryIO:
        assert number == len(self.files) == len(self.contents)
        file = Kept(self.contents)
        self.files.append(file)
        return file

    def read(self) -> list[pa.RecordBatch]:
        return [batch for content in self.contents for batch in read_part(io.BytesIO(content))]

    def forms(self) -> list[list[str]]:
        schemas = [pq.read_schema(io.BytesIO(content)) for content in self.contents]
        return [[field.metadata[FORM].decode() for field in schema] for schema in schemas]


class Kept(io.BytesIO):
    def __init__(self, contents: list[bytes]) -> None:
        super().__init__()
        self.contents = contents

    def close(self) -> None:
        if not self.closed:
            self.contents.append(self.getvalue())
        super().close()


def written(*batches: pa.RecordBatch, **settings: int) -> Parts:
    parts = Parts()
    writer = PartWriter(parts.open, **settings)
    for batch in batches:
        writer.write(batch)
    assert writer.close() == list(range(len(parts.files)))
    assert len(parts.contents) == len(parts.files)
    return parts


def digest(batches: Iterable[pa.RecordBatch]) -> tuple[int, str]:
    taken = Xxh3RowDigest(KEY)
    for batch in batches:
        taken.update(batch)
    return taken.rows, taken.hexdigest()


def integers(*values: int | None) -> pa.RecordBatch:
    return pa.record_batch({"a": pa.array(values, pa.int64())})
