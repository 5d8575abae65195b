"""The forms a column's values may take in a batch (FORMAT.md section 4), and the one that holds any of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from ..core.errors import SourceUnreadable

FORM, ROLE = b"rlg.form", b"rlg.role"  # metadata of an Arrow field
ROWID = b"rowid"
GEOGRAPHY = (b"region", b"country", b"city", b"town")

NULL, INTEGER, REAL, TEXT, BLOB = range(5)  # the classes of a variant
VARIANT = pa.struct([("class", pa.int8()), ("i", pa.int64()), ("r", pa.float64()), ("b", pa.binary())])
"""A cell of any class: ``i``, ``r`` or ``b`` is set, the others are null; of class 0 all are."""

TYPES = {
    "null": pa.null(),
    "bool": pa.bool_(),
    "int64": pa.int64(),
    "float64": pa.float64(),
    "utf8": pa.string(),
    "bytes": pa.binary(),
    "token": pa.binary(),
    "spans": pa.string(),
    "variant": VARIANT,
}
_TOLD = ("token", "spans")  # forms that the metadata tell, for their types are those of others
_FORMS = {kind: form for form, kind in TYPES.items() if form not in _TOLD}
_CLASSES = {"int64": INTEGER, "float64": REAL, "utf8": TEXT, "bytes": BLOB}

Value = int | float | str | bytes | bytearray | None


def form_of(field: pa.Field) -> str:
    """The form of a field by its type; binary is ``token``, and text ``spans``, where the metadata says so.

    Raises SourceUnreadable for a type that is no form.
    """
    if field.type not in _FORMS:
        raise SourceUnreadable("save", field.name, f"no form of the format holds values of type {field.type}")
    told = (field.metadata or {}).get(FORM, b"").decode("ascii", "replace")
    return told if told in _TOLD and TYPES[told] == field.type else _FORMS[field.type]


def role_of(field: pa.Field) -> bytes:
    """``rowid``, a level of geography, or b"" for a column of the table."""
    role: bytes = (field.metadata or {}).get(ROLE, b"")
    return role


def merge(first: str, second: str) -> str | None:
    """The form that holds the values of both, or None: a token stands beside no value that is none, nor a text with
    tokens in it, and no class of a variant is a boolean."""
    if first == second or second == "null":
        return first
    if first == "null":
        return second
    return None if {*_TOLD, "bool"} & {first, second} else "variant"


def convert(array: pa.Array, form: str) -> pa.Array:
    """The same values in a form that ``merge`` gave for the array's own."""
    if array.type == TYPES[form]:
        return array
    if pa.types.is_null(array.type):
        return _no_variants(len(array)) if form == "variant" else pa.nulls(len(array), TYPES[form])
    return to_variant(array)


def to_variant(array: pa.Array) -> pa.StructArray:
    """An array of any form but ``token`` and ``bool`` as variants; tokens look like blobs and must not come here."""
    if array.type == VARIANT:
        return array
    if pa.types.is_null(array.type):
        return _no_variants(len(array))
    own = _CLASSES[_FORMS[array.type]]
    classes = pc.if_else(array.is_valid(), pa.scalar(own, pa.int8()), pa.scalar(NULL, pa.int8()))
    parts = {INTEGER: pa.nulls(len(array), pa.int64()), REAL: pa.nulls(len(array), pa.float64())}
    parts[BLOB] = pa.nulls(len(array), pa.binary())
    parts[BLOB if own == TEXT else own] = array.cast(pa.binary()) if own == TEXT else array
    return _struct([classes, parts[INTEGER], parts[REAL], parts[BLOB]])


def from_python(values: Iterable[Value]) -> pa.StructArray:
    """Variants of None, int, float, str (text), bytes (blob) and bytearray (text that may be no UTF-8)."""
    classes: list[int] = []
    whole: list[int | None] = []
    real: list[float | None] = []
    raw: list[bytes | None] = []
    for value in values:
        cell: bytes | None = None
        match value:
            case None:
                kind = NULL
            case int():
                kind = INTEGER
            case float():
                kind = REAL
            case str() | bytearray():
                kind, cell = TEXT, value.encode() if isinstance(value, str) else bytes(value)
            case bytes():
                kind, cell = BLOB, value
        classes.append(kind)
        whole.append(value if isinstance(value, int) else None)
        real.append(value if isinstance(value, float) else None)
        raw.append(cell)
    arrays = [pa.array(column, field.type) for column, field in zip((classes, whole, real, raw), VARIANT, strict=True)]
    return _struct(arrays)


def to_python(array: pa.StructArray) -> list[Value]:
    """The inverse of ``from_python``: text comes as str, or as bytearray where it is no UTF-8."""
    columns = [part.to_pylist() for part in array.flatten()]
    return [_value(*cell) for cell in zip(*columns, strict=True)]


def fault(array: pa.StructArray) -> str | None:
    """What makes an array of type VARIANT not one of variants, or None."""
    classes, *parts = array.flatten()
    if classes.null_count or array.null_count:
        return "a variant has no class"
    for part, own in zip(parts, ((INTEGER,), (REAL,), (TEXT, BLOB)), strict=True):
        holds = pc.is_in(classes, value_set=pa.array(own, pa.int8()))
        if not holds.equals(part.is_valid()):
            return "a variant's value is not of its class"
    if len(classes) and not 0 <= pc.min(classes).as_py() <= pc.max(classes).as_py() <= BLOB:
        return "a variant has an unknown class"
    return None


def _value(kind: int, whole: int | None, real: float | None, raw: bytes | None) -> Value:
    if kind == TEXT and raw is not None:
        try:
            return raw.decode()
        except UnicodeDecodeError:
            return bytearray(raw)
    return (None, whole, real, raw, raw)[kind]


def _no_variants(length: int) -> pa.StructArray:
    classes = pa.repeat(pa.scalar(NULL, pa.int8()), length)
    return _struct(
        [classes, pa.nulls(length, pa.int64()), pa.nulls(length, pa.float64()), pa.nulls(length, pa.binary())]
    )


def _struct(arrays: Sequence[pa.Array]) -> pa.StructArray:
    return pa.StructArray.from_arrays(arrays, fields=list(VARIANT))
