"""What a database needs of its server, and whether it is there: looked at before anything is made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from ...core.errors import DestinationUnsuitable
from .schema_document import SchemaDocument

if TYPE_CHECKING:
    import psycopg

_EXTENSIONS: Final = "SELECT name, default_version FROM pg_catalog.pg_available_extensions"
_ROLES: Final = "SELECT rolname FROM pg_catalog.pg_roles WHERE rolname = ANY (%s)"
_TABLESPACES: Final = "SELECT spcname FROM pg_catalog.pg_tablespace WHERE spcname = ANY (%s)"
_INSTALL: Final = "install their files on the server, then restore again"
_MAKE: Final = "make them there, or let the restore go without (missing_roles: report)"


@dataclass(frozen=True)
class Needs:
    """What a restore goes without: roles by name, and any tablespace or none; ``warnings`` tells."""

    absent_roles: tuple[str, ...]
    tablespaces: bool
    warnings: tuple[str, ...]


def look_at(connection: psycopg.Connection[Any], document: SchemaDocument, subject: str, *, missing_ok: bool) -> Needs:
    """Raises DestinationUnsuitable naming the extensions that the server lacks, and, unless ``missing_ok``, the roles
    and tablespaces; and psycopg.Error."""
    available = dict(connection.execute(_EXTENSIONS).fetchall())
    lacking = [one.name for one in document.extensions if one.name not in available]
    roles = _absent(connection, _ROLES, document.roles)
    tablespaces = _absent(connection, _TABLESPACES, document.tablespaces)
    missing = (("extensions", lacking, _INSTALL), ("roles", roles, _MAKE), ("tablespaces", tablespaces, _MAKE))
    warnings = []
    for kind, names, hint in missing:
        listed = ", ".join(f"'{name}'" for name in names)
        cause = f"the server lacks the {kind} {listed}"
        if names and (kind == "extensions" or not missing_ok):
            raise DestinationUnsuitable("restore to", subject, cause, hint)
        if names:
            warnings.append(f"{cause}: left out")
    warnings += [
        f"extension '{one.name}': version {available[one.name]} here, {one.version} in the source"
        for one in document.extensions
        if available[one.name] != one.version
    ]
    here, there = connection.info.server_version // 10_000, document.server_version // 10_000
    if here < there:
        warnings.append(f"the server is of version {here}, older than the source's {there}")
    return Needs(tuple(roles), not tablespaces, tuple(warnings))


def _absent(connection: psycopg.Connection[Any], query: str, wanted: Sequence[str]) -> list[str]:
    there = {name for (name,) in connection.execute(query.encode(), [list(wanted)])}
    return [name for name in wanted if name not in there]
