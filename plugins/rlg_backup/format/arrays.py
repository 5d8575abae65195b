"""Arrow arrays as NumPy's, by their buffers.

pyarrow's own way would load pandas, which takes 45 MB, and what polars makes of NULLs waits for one of its threads:
where many small batches come, that took longer than all that was done with them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

Numbers = np.ndarray[Any, np.dtype[Any]]
Mask = np.ndarray[Any, np.dtype[np.bool_]]


def numbers(array: pa.Array, null: int = 0) -> Numbers:
    """Whole numbers, of their own width: where there is no NULL the array's memory, not to be written to; else a copy
    with ``null`` for each."""
    size = array.type.bit_width // 8
    kind = np.dtype(f"{'u' if pa.types.is_unsigned_integer(array.type) else 'i'}{size}")
    found = np.frombuffer(array.buffers()[1] or b"", kind, len(array), array.offset * size if len(array) else 0)
    return np.where(missing(array), kind.type(null), found) if array.null_count else found


def missing(array: pa.Array) -> Mask:
    """For each place whether it is NULL."""
    bits = array.is_null()
    held = np.frombuffer(bits.buffers()[1] or b"", np.uint8)
    return np.unpackbits(held, bitorder="little")[bits.offset : bits.offset + len(bits)].view(np.bool_)
