"""Changes the values of a column, each distinct one once, by their plaintexts (docs/FORMAT.md, section 7)."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence

import polars as pl
import pyarrow as pa

from .forms import from_plaintexts, in_rows, to_plaintexts

Change = Callable[[str], str | None]
"""The text of a value > what becomes of it; None for what the policy cannot read, of which nothing is left."""


def binaries(values: Sequence[bytes]) -> pa.Array:
    """Bytes as a column; pyarrow's own way would load pandas, which takes 45 MB."""
    return pl.Series(values, dtype=pl.Binary).to_arrow().cast(pa.binary())


def strings(values: Sequence[str | None]) -> pa.Array:
    """Texts as a column."""
    return pl.Series(values, dtype=pl.String).to_arrow().cast(pa.string())


def changed(
    values: pa.Array, form: str, change: Callable[[bytes], bytes | None], nullable: bool
) -> tuple[str, pa.Array]:
    """The column with every value's plaintext changed, in the narrowest form, and that form. None becomes NULL, or the
    empty text where the column is not ``nullable``. Raises ValueError for a variant of an unknown class."""
    encoded = to_plaintexts(values, form).dictionary_encode()
    instead = None if nullable else b"t"
    made = [instead if (new := change(old)) is None else new for old in encoded.dictionary.to_pylist()]
    left = [new for new in made if new is not None]
    form, plain = from_plaintexts(binaries(left))
    places = iter(range(len(left)))
    found = pl.Series([None if new is None else next(places) for new in made], dtype=pl.Int32).to_arrow()
    return form, in_rows(form, plain, found.take(encoded.indices))


def as_text(plaintext: bytes) -> str | None:
    """A value as text: numbers in decimal; None for what is no text (blobs, invalid UTF-8)."""
    kind, value = plaintext[:1], plaintext[1:]
    if kind == b"i":
        return str(struct.unpack(">q", value)[0])
    if kind == b"r":
        return repr(struct.unpack(">d", value)[0])
    try:
        return value.decode() if kind == b"t" else None
    except UnicodeDecodeError:
        return None


def on_text(change: Change) -> Callable[[bytes], bytes | None]:
    """A change of texts as one of plaintexts."""

    def of(plaintext: bytes) -> bytes | None:
        text = as_text(plaintext)
        new = None if text is None else change(text)
        return None if new is None else b"t" + new.encode()

    return of
