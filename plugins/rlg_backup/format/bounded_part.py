"""Parquet parts that are read whole, because the format bounds their rows: all but those of a table's rows and of a
tree's index."""

from __future__ import annotations

from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from ..core.errors import MemberDamaged
from .parquet_faults import parquet_faults


def read_bounded(file: BinaryIO, name: str, schema: pa.Schema, *, rows: range, what: str) -> pa.Table:
    """The part ``name``. Raises MemberDamaged when it is no Parquet, or not ``what``: of another schema, or with
    another number of rows than one in ``rows``."""
    with parquet_faults(name):
        part = pq.ParquetFile(file, pre_buffer=False)
        if not part.schema_arrow.equals(schema) or _rows(part.metadata) not in rows:
            raise MemberDamaged("read", name, f"it is not {what}")
        table = part.read(use_threads=False)
        table.validate(full=True)
    return table


def _rows(metadata: pq.FileMetaData) -> int:
    """What its row groups give: the number that the file tells beside them binds no reader."""
    return sum(metadata.row_group(group).num_rows for group in range(metadata.num_row_groups))
