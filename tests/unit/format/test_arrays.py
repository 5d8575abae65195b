"""Arrow arrays as NumPy's: the same numbers, of any width, wherever the array begins, and pandas stays away."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlg_backup.format import arrays

_KINDS = [pa.int8(), pa.uint8(), pa.int32(), pa.uint32(), pa.int64(), pa.uint64()]


@settings(deadline=None)
@given(st.data(), st.sampled_from(_KINDS), st.integers(0, 11))
def test_numbers_and_what_is_missing_are_those_of_the_array(data: st.DataObject, kind: pa.DataType, start: int) -> None:
    bounds = np.iinfo(kind.to_pandas_dtype())
    number = st.integers(int(bounds.min), int(bounds.max))
    cells = data.draw(st.lists(st.one_of(st.none(), number), max_size=30) | st.lists(number, max_size=30))
    array = pa.array(cells, kind)[start:]
    assert arrays.numbers(array, 7).tolist() == [7 if cell is None else cell for cell in cells[start:]]
    assert arrays.numbers(array).dtype == kind.to_pandas_dtype()
    assert arrays.missing(array).tolist() == [cell is None for cell in cells[start:]]


@pytest.mark.parametrize("kind", _KINDS)
def test_of_nothing_there_is_nothing(kind: pa.DataType) -> None:
    assert arrays.numbers(pa.nulls(0, kind)).tolist() == arrays.missing(pa.nulls(0, kind)).tolist() == []
    assert arrays.numbers(pa.nulls(2, kind), 1).tolist() == [1, 1]


def test_pandas_is_not_loaded() -> None:
    program = (
        "import sys; import pyarrow as pa; from rlg_backup.format import arrays\n"
        "array = pa.Array.from_buffers(pa.int32(), 2, [pa.py_buffer(b'\\x01'), pa.py_buffer(bytes(8))])\n"
        "print(arrays.numbers(array, 5).tolist(), 'pandas' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[0, 5] False\n"
