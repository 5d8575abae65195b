"""The forms of a column's values (docs/FORMAT.md, section 4): Python values to Arrow arrays and back.

SQLite gives each value a class of its own (NULL, integer, real, text, blob). A column of one class takes
that class's Arrow type; a column that mixes classes, or holds text that is not UTF-8, is a ``variant``.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import repeat
from typing import Any, Final

import pyarrow as pa

FORM: Final = b"rlg.form"
NULL, INTEGER, REAL, TEXT, BLOB = range(5)
VARIANT: Final = pa.struct([("class", pa.int8()), ("i", pa.int64()), ("r", pa.float64()), ("b", pa.binary())])
TYPES: Final = {
    "null": pa.null(),
    "int64": pa.int64(),
    "float64": pa.float64(),
    "utf8": pa.string(),
    "bytes": pa.binary(),
    "variant": VARIANT,
}
# The SQLite driver reads text as bytearray and blobs as bytes: the type alone tells the class.
_CLASSES: Final[dict[type, int]] = {type(None): NULL, int: INTEGER, float: REAL, bytearray: TEXT, bytes: BLOB}
_FORMS: Final[dict[type, str]] = {int: "int64", float: "float64", bytearray: "utf8", bytes: "bytes"}
_PLAIN: Final = (pa.types.is_int64, pa.types.is_float64, pa.types.is_binary, pa.types.is_large_binary)


class ColumnForm:
    """Decides the form of one column, batch by batch.

    A column that needs a second form, other than after only NULLs, is a variant from there on: so it has
    three forms at most, however its values alternate.
    """

    def __init__(self) -> None:
        self.form = "null"

    def array(self, values: Sequence[Any], kinds: set[type]) -> pa.Array:
        """``values`` (None, int, float, bytearray for text, bytes for a blob) as an array of ``form``.

        ``kinds`` is the set of the values' types.
        """
        present = kinds - {type(None)}
        if present and self.form != "variant":
            wanted = _FORMS[next(iter(present))] if len(present) == 1 else "variant"
            self.form = wanted if self.form in ("null", wanted) else "variant"
        if self.form == "utf8":
            raw = pa.array(values, pa.binary())
            try:
                return raw.cast(pa.string())
            except pa.ArrowInvalid:  # not UTF-8: only a variant can hold it
                self.form = "variant"
        if self.form == "variant":
            return variant_array(values)
        return pa.nulls(len(values)) if self.form == "null" else pa.array(values, TYPES[self.form])


def variant_array(values: Sequence[Any]) -> pa.Array:
    """Values of any class as a struct array; the struct itself is never null, class 0 is."""
    classes = [_CLASSES[type(value)] for value in values]
    integers = [value if kind == INTEGER else None for value, kind in zip(values, classes, strict=True)]
    reals = [value if kind == REAL else None for value, kind in zip(values, classes, strict=True)]
    octets = [value if kind >= TEXT else None for value, kind in zip(values, classes, strict=True)]
    arrays = [
        pa.array(part, field.type) for part, field in zip((classes, integers, reals, octets), VARIANT, strict=True)
    ]
    return pa.StructArray.from_arrays(arrays, fields=list(VARIANT))


def text_array(values: Sequence[bytearray | None]) -> pa.Array:
    """Text as a string array; bytes that are not UTF-8 become U+FFFD (for geography codes, not for columns)."""
    raw = pa.array(values, pa.binary())
    try:
        return raw.cast(pa.string())
    except pa.ArrowInvalid:
        return pa.array([None if value is None else value.decode("utf-8", "replace") for value in values], pa.string())


def plain_values(array: pa.Array) -> list[Any] | None:
    """The values of an array of one class (None, int, float, str, bytes), or None if it is a variant.

    Raises ValueError for a type no form has, or for a string array that is not UTF-8.
    """
    kind = array.type
    if pa.types.is_null(kind):
        return list(repeat(None, len(array)))
    if any(check(kind) for check in _PLAIN) or pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return list(array.to_pylist())
    if kind != VARIANT:
        raise ValueError(f"no form has the type {kind}")
    return None


def variant_values(array: pa.Array) -> tuple[list[Any], list[Any]]:
    """A variant as two lists: the text values (bytes), and the values of every other class.

    At each place one of the two is None, or both for NULL. Raises ValueError for a class out of range or
    a class without its value.
    """
    texts: list[Any] = []
    others: list[Any] = []
    parts = (array.field(name).to_pylist() for name in ("class", "i", "r", "b"))
    for valid, kind, integer, real, octets in zip(array.is_valid().to_pylist(), *parts, strict=True):
        kind = kind if valid else NULL
        if kind is None or not NULL <= kind <= BLOB:
            raise ValueError("a class is not one of 0 to 4")
        value: Any = (None, integer, real, octets, octets)[kind]
        if value is None and kind != NULL:
            raise ValueError("a class comes without its value")
        texts.append(value if kind == TEXT else None)
        others.append(None if kind == TEXT else value)
    return texts, others
