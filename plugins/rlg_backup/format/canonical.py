"""One spelling for every document: RFC 8785 canonical JSON, written and strictly read (FORMAT.md section 1)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import NoReturn

import rfc8785

from ..core.errors import DocumentDamaged

DOCUMENT_LIMIT = 16 * 1024 * 1024  # bytes of a signed document
_SHOWN = 40  # of a field's name that stands in an error


def serialize(value: Mapping[str, object], subject: str) -> bytes:
    """The canonical bytes of a JSON object, without a newline.

    Raises DocumentDamaged for what has no canonical form: integers of 2^53 or more, NaN, infinities,
    unpaired surrogates, keys that are not text, types JSON does not have.
    """
    try:
        return rfc8785.dumps(value)  # type: ignore[arg-type]  # it checks the types as it goes
    except (ValueError, RecursionError) as error:
        # The library's text may quote a value, so only the kind of the fault is told.
        cause = f"it has no canonical form ({type(error).__name__})"
        raise DocumentDamaged("write", subject, cause) from None


def parse(data: bytes, subject: str, *, limit: int = DOCUMENT_LIMIT) -> dict[str, object]:
    """The JSON object that ``data`` is the canonical form of.

    Raises DocumentDamaged when the bytes are over ``limit``, are not JSON, repeat a key, hold an integer
    of 2^53 or more, are not an object, or are spelt in any other way than the canonical one.
    """
    if len(data) > limit:
        raise DocumentDamaged("read", subject, f"it is longer than {limit} bytes")
    try:
        value = json.loads(data.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_no_constant)
        same = rfc8785.dumps(value) == data
    except _Repeated as error:
        raise DocumentDamaged("read", subject, f"it has the field '{error.args[0][:_SHOWN]}' twice") from None
    except (ValueError, RecursionError):
        raise DocumentDamaged("read", subject, "it is not JSON that has a canonical form") from None
    if not isinstance(value, dict):
        raise DocumentDamaged("read", subject, "it is not a JSON object")
    if not same:
        raise DocumentDamaged("read", subject, "its bytes are not canonical JSON")
    return value


class _Repeated(ValueError):
    """An object names a key twice; never leaves this module."""


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise _Repeated(key)
            seen.add(key)
    return found


def _no_constant(text: str) -> NoReturn:
    raise ValueError(text)
