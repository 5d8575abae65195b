"""``schema/postgres.json``: what a PostgreSQL database is besides its rows and what pg_dump writes of its definitions.

Pure: no database is asked here. ``dump`` writes it as canonical JSON; ``load`` takes it from an archive, which anybody
may have written to our public recipients, and believes nothing of it that is not checked.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Final, TypeVar, get_type_hints

from ...core.errors import MemberDamaged

MEMBER: Final = "postgres.json"
DEFINITIONS: Final = "postgres.dump"  # pg_dump -Fc, pre-data and post-data
_VERSION: Final = 1
_PRIVILEGES: Final = frozenset({"CREATE", "CONNECT", "TEMPORARY", "SELECT", "UPDATE"})
_OID: Final = range(1, 2**32)
_SETTING: Final = re.compile(r"[A-Za-z_][\w$]*(\.[A-Za-z_][\w$]*)*", re.ASCII)
T = TypeVar("T")


@dataclass(frozen=True)
class Locale:
    """How a database orders and classifies text, as pg_database has it: ``encoding`` by name (pg_encoding_to_char),
    ``provider`` c (libc), i (ICU) or b (builtin), ``locale`` and ``rules`` of the latter two."""

    encoding: str
    provider: str
    collate: str
    ctype: str
    locale: str | None = None
    rules: str | None = None


@dataclass(frozen=True)
class Extension:
    """An installed extension. plpgsql, which every database has, is one of them."""

    name: str
    schema: str
    version: str


@dataclass(frozen=True)
class SequenceState:
    """Where a sequence stands; ``last_value`` has 64 bits, so the document has it as decimal text."""

    schema: str
    name: str
    last_value: int
    is_called: bool


@dataclass(frozen=True)
class Grant:
    """One privilege of an object. ``grantee`` is a role, or '' for PUBLIC."""

    grantee: str
    privilege: str
    grantable: bool = False


@dataclass(frozen=True)
class Setting:
    """What ALTER DATABASE ... SET, or ALTER ROLE ... IN DATABASE ... SET, made a parameter (pg_db_role_setting)."""

    role: str | None
    name: str
    value: str


@dataclass(frozen=True)
class Database:
    """The database as an object of its server. ``grants`` is None for what every new database grants."""

    owner: str
    comment: str | None = None
    connection_limit: int = -1
    grants: tuple[Grant, ...] | None = None
    settings: tuple[Setting, ...] = ()

    def without(self, roles: Collection[str]) -> Database:
        """What of it can be made where ``roles`` are not; an owner among them stays, for who makes it to tell."""
        grants = None if self.grants is None else tuple(one for one in self.grants if one.grantee not in roles)
        settings = tuple(one for one in self.settings if one.role not in roles)
        return replace(self, grants=grants, settings=settings)


@dataclass(frozen=True)
class LargeObject:
    """A large object without its pages, which are rows. ``grants`` is None for the owner's own rights alone."""

    oid: int
    owner: str
    comment: str | None = None
    grants: tuple[Grant, ...] | None = None


@dataclass(frozen=True)
class SchemaDocument:
    """``server_version`` and ``dumped_by`` are as server_version_num writes them; ``roles`` are all that an owner, a
    grant, a policy, a user mapping or a default privilege of the database names, ``tablespaces`` those that its
    relations lie in, the database's own not among them. Both are names, sorted."""

    server_version: int
    dumped_by: int
    locale: Locale
    database: Database
    extensions: tuple[Extension, ...] = ()
    roles: tuple[str, ...] = ()
    tablespaces: tuple[str, ...] = ()
    sequences: tuple[SequenceState, ...] = ()
    large_objects: tuple[LargeObject, ...] = ()


def dump(document: SchemaDocument) -> bytes:
    """``document`` as ``postgres.json``: sorted keys, no spaces, UTF-8."""
    written = asdict(document) | {"version": _VERSION}
    for sequence in written["sequences"]:
        sequence["last_value"] = str(sequence["last_value"])
    return json.dumps(written, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


def load(files: Mapping[str, bytes]) -> SchemaDocument:
    """Reads ``postgres.json`` among the members below ``schema/``; raises MemberDamaged, whatever the bytes are."""
    for member in (MEMBER, DEFINITIONS):
        if member not in files:
            raise MemberDamaged("read", f"schema/{member}", "the backup does not hold it")
    try:
        return _document(json.loads(files[MEMBER], parse_constant=_no_constant))
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        cause = "it does not describe a PostgreSQL database"
        raise MemberDamaged("read", f"schema/{MEMBER}", cause) from error


def _document(value: Any) -> SchemaDocument:
    given = dict(value)
    if given.pop("version") != _VERSION:
        raise ValueError("version")
    document = _record(
        SchemaDocument,
        given,
        locale=lambda one: _record(Locale, one),
        database=_database,
        extensions=_each(lambda one: _record(Extension, one)),
        roles=_each(_name),
        tablespaces=_each(_name),
        sequences=_each(lambda one: _record(SequenceState, one, last_value=_bigint)),
        large_objects=_each(_large_object),
    )
    for version in (document.server_version, document.dumped_by):
        if version not in range(90_000, 1_000_000):
            raise ValueError("a version")
    if document.locale.provider not in ("c", "i", "b"):
        raise ValueError("provider")
    _require_once([(one.schema, one.name) for one in document.sequences])
    _require_once([one.oid for one in document.large_objects])
    return document


def _database(value: Any) -> Database:
    found = _record(Database, value, grants=_grants, settings=_each(lambda one: _record(Setting, one)))
    if any(not _SETTING.fullmatch(setting.name) for setting in found.settings):
        raise ValueError("a setting's name")
    if found.connection_limit not in range(-1, 2**31):
        raise ValueError("connection_limit")
    return found


def _large_object(value: Any) -> LargeObject:
    found = _record(LargeObject, value, grants=_grants)
    if found.oid not in _OID:
        raise ValueError("a large object's number")
    return found


def _grants(value: Any) -> tuple[Grant, ...] | None:
    found = None if value is None else _each(lambda one: _record(Grant, one))(value)
    if any(grant.privilege not in _PRIVILEGES for grant in found or ()):
        raise ValueError("a privilege")
    return found


def _record(kind: type[T], value: Any, **parts: Callable[[Any], Any]) -> T:
    """An object with exactly the fields of ``kind``, those not among ``parts`` of exactly their declared type."""
    types = get_type_hints(kind)
    if type(value) is not dict or set(value) != {field.name for field in fields(kind)}:  # type: ignore[arg-type]
        raise ValueError(f"fields of {kind.__name__}")
    return kind(
        **{name: parts.get(name, lambda one, name=name: _plain(one, types[name]))(value[name]) for name in value}
    )


def _plain(value: Any, declared: Any) -> Any:
    allowed = (str, type(None)) if declared == str | None else (declared,)
    if type(value) not in allowed or (isinstance(value, str) and ("\0" in value or not _is_text(value))):
        raise ValueError("a field's type")
    return value


def _each(one: Callable[[Any], T]) -> Callable[[Any], tuple[T, ...]]:
    def parse(value: Any) -> tuple[T, ...]:
        if type(value) is not list:
            raise ValueError("it is no list")
        return tuple(one(item) for item in value)

    return parse


def _name(value: Any) -> str:
    return str(_plain(value, str))


def _bigint(value: Any) -> int:
    if type(value) is not str or not re.fullmatch(r"-?\d{1,19}", value, re.ASCII) or not -(2**63) <= int(value) < 2**63:
        raise ValueError("a sequence's value")
    return int(value)


def _is_text(value: str) -> bool:
    """Whether it is Unicode: JSON can spell half of a surrogate pair."""
    return not any("\ud800" <= letter <= "\udfff" for letter in value)


def _require_once(names: Sequence[object]) -> None:
    if len(set(names)) != len(names):
        raise ValueError("a name stands twice")


def _no_constant(text: str) -> None:
    raise ValueError(text)
