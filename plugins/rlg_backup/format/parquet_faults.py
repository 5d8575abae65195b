"""What a Parquet reader says of bytes that are none, in our words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa

from ..core.errors import MemberDamaged


@contextmanager
def parquet_faults(name: str, what: str = "a Parquet part", *others: type[Exception]) -> Iterator[None]:
    """Turns what reading the member ``name`` in the block raises because its bytes are not ``what`` into MemberDamaged;
    ``others`` are errors that say the same here. A file's own errors and a lack of memory pass."""
    try:
        yield
    except MemoryError:  # Arrow's is an ArrowException too, and says nothing of the bytes
        raise
    except (pa.ArrowException, UnicodeDecodeError, *others) as error:
        raise MemberDamaged("read", name, f"it is not {what} ({type(error).__name__})") from None
    except OSError as error:
        if error.errno is not None:
            raise  # the file's own; what pyarrow finds wrong in a Parquet comes without a number
        raise MemberDamaged("read", name, f"it is not {what} (OSError)") from None
