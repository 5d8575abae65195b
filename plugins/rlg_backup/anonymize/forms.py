"""The forms of a column (docs/FORMAT.md, section 4) and the plaintext of a token (section 7).

Between an Arrow column and its tokens lies one binary column: for each value a class byte (``i``, ``r``,
``t``, ``b``) and the value's bytes; NULL stays NULL. Numbers go through their 64-bit patterns, never
through Python floats, so that -0.0 and every NaN come back as they were.
"""

from __future__ import annotations

import struct
import sys
from array import array
from collections.abc import Sequence

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

FORM = b"rlg.form"
ROLE = b"rlg.role"  # a field that has it is no column of the table: no policy touches it
NULL, INT64, FLOAT64, UTF8, BYTES, VARIANT, TOKEN = "null", "int64", "float64", "utf8", "bytes", "variant", "token"
SPANS = "spans"  # text in which some spans are tokens

VARIANT_TYPE = pa.struct([("class", pa.int8()), ("i", pa.int64()), ("r", pa.float64()), ("b", pa.binary())])
TYPES: dict[str, pa.DataType] = {
    NULL: pa.null(),
    INT64: pa.int64(),
    FLOAT64: pa.float64(),
    UTF8: pa.string(),
    BYTES: pa.binary(),
    VARIANT: VARIANT_TYPE,
    TOKEN: pa.binary(),
    SPANS: pa.string(),
}
_CLASSES = {ord("i"): 1, ord("r"): 2, ord("t"): 3, ord("b"): 4}  # the variant's class of a class byte
_NUMBER = 9  # bytes of a number's plaintext


def form_of(field: pa.Field) -> str | None:
    """The form of a column: ``token`` and ``spans`` by its metadata, the others by their type; None for any other."""
    told: str = (field.metadata or {}).get(FORM, b"").decode()
    if told in (TOKEN, SPANS):
        return told
    return next((form for form, kind in TYPES.items() if kind == field.type), None)


def in_form(field: pa.Field, form: str) -> pa.Field:
    """The field of the same name in another form; other metadata stay."""
    return pa.field(field.name, TYPES[form], metadata={**(field.metadata or {}), FORM: form.encode()})


def to_plaintexts(values: pa.Array, form: str) -> pa.Array:
    """A column in one of the plain forms as plaintexts (binary, same length, NULL where it was NULL).

    Raises ValueError when a variant holds a class there is none of.
    """
    if form == NULL:
        return pa.nulls(len(values), pa.binary())
    if form in (UTF8, BYTES):
        return _prefixed(b"t" if form == UTF8 else b"b", values.cast(pa.binary()))
    if form == VARIANT:
        return _variant_plaintexts(values)
    # the distinct values only, so that the loop runs once for each
    encoded = _bits(values).dictionary_encode()
    mark = b"i" if form == INT64 else b"r"
    packed = [mark + number for number in _big_endian(encoded.dictionary)]
    return pa.array(packed, pa.binary()).take(encoded.indices)


def from_plaintexts(plaintexts: pa.Array) -> tuple[str, pa.Array]:
    """Plaintexts (binary, none of them NULL) as a column, in the narrowest form that holds all of them exactly.

    Raises ValueError when one is not a plaintext.
    """
    if not len(plaintexts):
        return NULL, pa.nulls(0)
    classes = set(pc.binary_slice(plaintexts, 0, 1).unique().to_pylist())
    if len(classes) == 1:
        (mark,) = classes
        if mark in (b"i", b"r"):
            numbers = _native(plaintexts.to_pylist())
            return (INT64, numbers) if mark == b"i" else (FLOAT64, numbers.view(pa.float64()))
        if mark in (b"t", b"b"):
            values = pc.binary_replace_slice(plaintexts, 0, 1, b"")
            if mark == b"b":
                return BYTES, values
            try:
                return UTF8, values.cast(pa.string())
            except pa.ArrowInvalid:  # text that is not UTF-8 needs the variant
                pass
    return VARIANT, _variant_array(plaintexts.to_pylist())


def in_rows(form: str, values: pa.Array, places: pa.Array) -> pa.Array:
    """Distinct values where the rows have them (``places``, or NULL); a variant is never NULL itself, its class is."""
    taken = values.take(places)
    if form != VARIANT:
        return taken
    classes, *parts = taken.flatten()
    present = pl.Series(pl.from_arrow(classes)).fill_null(0).to_arrow()
    return pa.StructArray.from_arrays([present, *parts], fields=list(VARIANT_TYPE))


def _prefixed(mark: bytes, values: pa.Array) -> pa.Array:
    return pc.binary_replace_slice(values, 0, 0, mark)  # a scalar of pyarrow's would load pandas, which takes 45 MB


def _bits(values: pa.Array) -> pa.Array:
    return values.view(pa.int64())


def _big_endian(numbers: pa.Array) -> list[bytes]:
    """Each int64 (no NULL among them) as 8 bytes, most significant first."""
    data = array("q", numbers.to_pylist())
    if sys.byteorder == "little":
        data.byteswap()
    raw = data.tobytes()
    return [raw[at : at + 8] for at in range(0, len(raw), 8)]


def _native(plaintexts: Sequence[bytes]) -> pa.Array:
    if any(len(plaintext) != _NUMBER for plaintext in plaintexts):
        raise ValueError("a number of another length than 8 bytes")
    data = array("q", b"".join([plaintext[1:] for plaintext in plaintexts]))
    if sys.byteorder == "little":
        data.byteswap()
    return pa.array(data, pa.int64())


def _variant_plaintexts(values: pa.Array) -> pa.Array:
    classes, integers, reals, texts = values.flatten()
    plaintexts: list[bytes | None] = []
    columns = (classes.to_pylist(), integers.to_pylist(), _bits(reals).to_pylist(), texts.to_pylist())
    for kind, integer, real, text in zip(*columns, strict=True):
        match kind:
            case None | 0:
                plaintexts.append(None)
            case 1:
                plaintexts.append(struct.pack(">cq", b"i", integer))
            case 2:
                plaintexts.append(struct.pack(">cq", b"r", real))
            case 3:
                plaintexts.append(b"t" + text)
            case 4:
                plaintexts.append(b"b" + text)
            case _:
                raise ValueError("a variant of an unknown class")
    return pa.array(plaintexts, pa.binary())


def _variant_array(plaintexts: Sequence[bytes]) -> pa.Array:
    try:
        classes = [_CLASSES[plaintext[0]] for plaintext in plaintexts]
    except (KeyError, IndexError):
        raise ValueError("a value of an unknown class") from None
    if any(kind < 3 and len(plaintext) != _NUMBER for kind, plaintext in zip(classes, plaintexts, strict=True)):
        raise ValueError("a number of another length than 8 bytes")
    pairs = list(zip(classes, plaintexts, strict=True))

    def numbers(wanted: int) -> pa.Array:
        return pa.array(
            [struct.unpack(">q", plaintext[1:])[0] if kind == wanted else None for kind, plaintext in pairs],
            pa.int64(),
        )

    texts = pa.array([plaintext[1:] if kind > 2 else None for kind, plaintext in pairs], pa.binary())
    children = [pa.array(classes, pa.int8()), numbers(1), numbers(2).view(pa.float64()), texts]
    return pa.StructArray.from_arrays(children, fields=list(VARIANT_TYPE))
