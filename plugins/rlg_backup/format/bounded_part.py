"""Parquet parts that are read whole, because the format bounds their rows: all but those of a table's rows and of a
tree's index."""

from __future__ import annotations

from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from ..core.errors import MemberDamaged


def read_bounded(file: BinaryIO, name: str, schema: pa.Schema, *, rows: range, what: str) -> pa.Table:
    """The part ``name``. Raises MemberDamaged when it is no Parquet, or not ``what``: of another schema, or with
    another number of rows than one in ``rows``."""
    try:
        part = pq.ParquetFile(file, pre_buffer=False)
        if not part.schema_arrow.equals(schema) or _rows(part.metadata) not in rows:
            raise MemberDamaged("read", name, f"it is not {what}")
        table = part.read(use_threads=False)
        table.validate(full=True)
    except MemoryError:  # Arrow's is an ArrowException too, and says nothing of the bytes
        raise
    except (pa.ArrowException, UnicodeDecodeError) as error:
        raise MemberDamaged("read", name, f"it is not a Parquet part ({type(error).__name__})") from None
    except OSError as error:
        if error.errno is not None:
            raise  # the file's own; what pyarrow finds wrong in a Parquet comes without a number
        raise MemberDamaged("read", name, "it is not a Parquet part (OSError)") from None
    return table


def _rows(metadata: pq.FileMetaData) -> int:
    """What its row groups give: the number that the file tells beside them binds no reader."""
    return sum(metadata.row_group(group).num_rows for group in range(metadata.num_row_groups))
