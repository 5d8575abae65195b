"""What the declared type of a column takes, as far as policies need to know it."""

from __future__ import annotations

import re
from typing import Final

ANY: Final = "any"  # every value: SQLite's columns, whatever they are declared as, but for STRICT tables
OTHER: Final = "other"  # a type of which nothing is known but that its values have a text

CASELESS: Final = "public.citext"  # to which values are equal that differ in case

_NAMES: Final = {
    "text": ("text", "character varying", CASELESS),
    "bytes": ("bytea",),
    "number": ("smallint", "integer", "bigint", "double precision", "numeric"),
    "boolean": ("boolean",),
    "date": ("date", "timestamp without time zone", "timestamp with time zone"),
    "ip": ("inet", "cidr"),
    "json": ("json", "jsonb"),
}
_FORMED: Final = frozenset(
    (
        *("date", "interval", "time with time zone", "time without time zone"),
        *("timestamp with time zone", "timestamp without time zone"),
        *("daterange", "tsrange", "tstzrange", "datemultirange", "tsmultirange", "tstzmultirange"),
        *("box", "circle", "line", "lseg", "path", "point", "polygon"),
        *("bit", "bit varying", "macaddr", "macaddr8", "uuid"),
        *("cid", "oid", "pg_lsn", "tid", "xid", "xid8"),
    )
)
_FIELDS: Final = re.compile(r"(?<=^interval) [a-z ]+")  # ``interval day to second``
_KINDS: Final = {name: kind for kind, names in _NAMES.items() for name in names}
_STRICT: Final = {"INT": "number", "INTEGER": "number", "REAL": "number", "TEXT": "text", "BLOB": "bytes"}
_COARSE: Final = re.compile(r"numeric\(\d+,-(\d+)\)")
_SIZED: Final = re.compile(r"\((\d+)(?:,-?\d+)?\)")


def kind_of(declared: str) -> str:
    """The kind of a type, as PostgreSQL's ``format_type`` writes it: ``text``, ``bytes``, ``number``, ``boolean``,
    ``date``, ``ip``, ``json``, ``array``, else OTHER: of a domain too, whose checks nobody knows, and of ``character``,
    which pads what it is given."""
    if declared.endswith("[]"):
        return "array"
    return _KINDS.get(_SIZED.sub("", declared), OTHER)


def sqlite_kind(declared: str, *, rowid: bool, strict: bool) -> str:
    """The kind of a column of SQLite: ``number`` where it is the row id, and that of its type in a STRICT table."""
    if rowid:
        return "number"
    return _STRICT.get(declared.upper(), ANY) if strict else ANY


def has_form(declared: str) -> bool:
    """Whether a type of PostgreSQL, or an array of it, writes each value in a form of its own, whatever the value says:
    times, intervals, bits, hardware addresses, places in a plane. Digits in it are no phone number."""
    return _FIELDS.sub("", _SIZED.sub("", declared.removesuffix("[]"))) in _FORMED


def longest_text(declared: str) -> int | None:
    """How many characters a column of text takes; None: as many as there are."""
    found = _SIZED.search(declared)
    return int(found[1]) if found and declared.startswith("character varying") else None


def unit_of(declared: str) -> int:
    """What every number in a column is a multiple of, where it is a whole number: 100 of ``numeric(5,-2)``, else 1."""
    found = _COARSE.fullmatch(declared)
    return 10 ** int(found[1]) if found else 1
