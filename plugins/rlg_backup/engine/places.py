"""Where a restore goes: a new file or folder, or a new database of a PostgreSQL server."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from ..config.connections import host_of
from ..config.settings import FilesSettings, PostgresSettings, SourceSettings
from ..core.errors import DestinationUnsuitable
from ..format.manifest import Manifest
from .residency import require_destination
from .wiring import Wiring

if TYPE_CHECKING:
    from ..sources.port import TableDestination
    from ..sources.postgres.address import Address

_BY_CONNECTION = re.compile(r"postgres:([A-Za-z0-9_.-]+)/(.+)", re.DOTALL)
_FORMS = {
    "files": ("a file tree", "file:///FOLDER or a plain path"),
    "sqlite": ("a SQLite database", "sqlite:///FILE or a plain path"),
    "postgres": ("a PostgreSQL database", "postgres:CONNECTION/DATABASE or postgresql://USER@HOST:PORT/DATABASE"),
}
_OWN = {"files": "file:", "sqlite": "sqlite:", "postgres": "postgres"}


def require_kind(source: SourceSettings, to: str) -> None:
    """A place that names its kind must be of the source's; raises DestinationUnsuitable."""
    kind, form = _FORMS[source.type]
    others = [prefix for name, prefix in _OWN.items() if name != source.type]
    wrong = to.startswith(tuple(others)) and ":" in to
    if wrong or (source.type == "postgres" and not to.startswith(("postgres:", "postgresql:"))):
        raise DestinationUnsuitable("restore to", _without_password(to), f"the source is {kind}", f"use {form}")


def database_at(wiring: Wiring, to: str) -> Address:
    """The database that ``postgres:CONNECTION/DATABASE`` or a URL without a password names.

    Raises DestinationUnsuitable, and InvalidSetting where there is no such connection.
    """
    from ..sources.postgres.address import OPTIONS, Address

    if match := _BY_CONNECTION.fullmatch(to):
        return wiring.postgres_address(match[1], match[2])
    try:
        parts = urlsplit(to if to.startswith("postgresql://") else "")
        options = dict(pair.split("=", 1) for pair in parts.query.split("&") if pair)
        name, port = unquote(parts.path.removeprefix("/")), parts.port
    except ValueError:
        name, port, options = "", None, {}
    if not name or set(options) - OPTIONS:
        raise DestinationUnsuitable(
            "restore to", _without_password(to), "it names no database", f"use {_FORMS['postgres'][1]}"
        )
    if parts.password is not None:
        cause = "a password on a command line can be read by every user of the machine"
        hint = "use postgres:CONNECTION/DATABASE, or put the password in PGPASSWORD or ~/.pgpass"
        raise DestinationUnsuitable("restore to", _without_password(to), cause, hint)
    user = parts.username
    return Address(name, host_of(parts), port, user and unquote(user), None, options)


def path_of(to: str) -> Path:
    """``sqlite:///file``, ``file:///folder`` or a plain path."""
    for prefix in ("sqlite:///", "file://"):
        if to.startswith(prefix):
            return Path(to.removeprefix(prefix))
    if "://" in to:
        scheme = to.split("://", 1)[0]
        raise DestinationUnsuitable(
            "restore to", f"{scheme}://", "there is no driver for it", "use sqlite:///FILE or a folder"
        )
    return Path(to)


def require_new(place: Path) -> Path:
    """The absolute path, when a restore may make it; raises DestinationUnsuitable. Live data is never replaced."""
    place = place.absolute()
    try:
        if place.lstat() and not (place.is_dir() and not any(place.iterdir())):
            hint = "name a new database file or folder; replacing live data is not supported yet"
            raise DestinationUnsuitable("restore to", str(place), "it exists", hint)
    except (FileNotFoundError, NotADirectoryError):
        pass  # as it must be: nothing has that name
    except (OSError, ValueError) as error:
        cause = (getattr(error, "strerror", None) or "it is not a path").lower()
        raise DestinationUnsuitable("restore to", str(place), cause) from None
    if not place.parent.is_dir():
        raise DestinationUnsuitable("restore to", str(place), "the folder it would be in does not exist")
    return place


def settled(wiring: Wiring, source: str, to: str, schemas: Mapping[str, str] | None = None) -> str:
    """The place as it is handed on: a path is made absolute, and must be free; ``schemas`` need a database that has
    some. Raises DestinationUnsuitable."""
    settings = wiring.source_settings(source)
    require_kind(settings, to)
    if schemas and not isinstance(settings, PostgresSettings):
        raise DestinationUnsuitable("restore to", to, f"the source is {_FORMS[settings.type][0]}, which has no schemas")
    if isinstance(settings, PostgresSettings):
        database_at(wiring, to)
        return to
    return str(require_new(path_of(to)))


def require_residence(wiring: Wiring, manifest: Manifest, to: str) -> None:
    """Raises ResidencyRefused unless all rows of a backup may lie there."""
    residency = wiring.settings.residency
    if isinstance(wiring.source_settings(manifest.source), PostgresSettings):
        match = _BY_CONNECTION.fullmatch(to)
        where = residency.connections.get(match[1]) if match else None
        require_destination(wiring.settings, manifest, where, _without_password(to), "residency.connections")
    else:
        require_destination(wiring.settings, manifest, residency.here, to, "residency.here")


def require_allowed(wiring: Wiring, source: str, to: str) -> str:
    """The place, when who may start a DAG may restore to it: a path in one of ``restore_folders``, a database of one of
    ``restore_connections``. He must not be able to write wherever the worker can. Raises DestinationUnsuitable."""
    settings = wiring.source_settings(source)
    require_kind(settings, to)
    if isinstance(settings, PostgresSettings):
        match = _BY_CONNECTION.fullmatch(to)
        allowed = wiring.settings.restore_connections
        if match is None or match[1] not in allowed:
            cause = "it is on none of the servers that are open to this"
            hint = f"name postgres:{allowed[0]}/DATABASE" if allowed else "set 'restore_connections'"
            raise DestinationUnsuitable("restore to", _without_password(to), cause, hint)
        return to
    resolved = path_of(to).expanduser().resolve()
    folders = [folder.resolve() for folder in wiring.settings.restore_folders]
    if not any(folder in resolved.parents for folder in folders):
        cause = "it is in none of the folders that are open to this"
        hint = f"name a path below {' or '.join(map(str, folders))}" if folders else "set 'restore_folders'"
        raise DestinationUnsuitable("restore to", to, cause, hint)
    return str(resolved)


def table_destination(
    wiring: Wiring, source: str, to: str, *, altered: bool, scratch: bool, schemas: Mapping[str, str]
) -> TableDestination:
    """What builds the database at ``to``. ``altered``: its rows are not quite the source's (a masked backup);
    ``scratch``: it is to be looked at and removed, so that roles the server lacks are no reason to refuse; with
    ``schemas`` (their names > their new names) they go into a database that exists. Raises DestinationUnsuitable."""
    settings = wiring.source_settings(source)
    assert not isinstance(settings, FilesSettings)
    if isinstance(settings, PostgresSettings):
        from ..sources.postgres.destination import PostgresDestination
        from ..sources.postgres.schemas_destination import PostgresSchemasDestination
        from ..sources.postgres.source import PostgresSource

        build = partial(PostgresSchemasDestination, schemas=schemas) if schemas else PostgresDestination
        return build(
            database_at(wiring, to),
            reopen=partial(PostgresSource.of_copy, readers=settings.readers),
            loaders=settings.readers,
            altered=altered,
            missing_roles="report" if scratch else wiring.settings.missing_roles,
        )
    from ..sources.sqlite_destination import SqliteDestination

    return SqliteDestination(Path(to), altered=altered)


def database_url(wiring: Wiring, source: str, to: str) -> str:
    """The restored database as a URL of SQLAlchemy; it may hold a password."""
    settings = wiring.source_settings(source)
    if isinstance(settings, PostgresSettings):
        return database_at(wiring, to).url()
    from ..validation import sqlite_url

    return sqlite_url(Path(to))


def _without_password(to: str) -> str:
    return re.sub(r"://[^/@]*@", "://...@", to)
