"""How a scratch database is opened: never made, never written to, with temporary tables beside its own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ..core.errors import InvalidSetting, ValidationUnavailable
from .references import Relation


@dataclass(frozen=True)
class Database:
    name: str
    is_sqlite: bool


def sqlite_url(file: Path) -> str:
    """The URL ``run_suites`` takes for a SQLite file; a path may hold characters that a URL gives a meaning."""
    return f"sqlite:///{quote(str(file))}"


def connection_string(url: str) -> tuple[Database, str]:
    """The URL as the library takes it: an existing SQLite file is never made, and ``$`` is no variable."""
    import sqlalchemy as sa

    try:
        parsed = sa.make_url(url)
    except sa.exc.ArgumentError:
        raise InvalidSetting("validate", "database", "its URL does not parse") from None
    is_sqlite = parsed.get_backend_name() == "sqlite"
    name = Path(parsed.database or "").name or "database"
    if not is_sqlite:
        return Database(name, False), parsed.render_as_string(hide_password=False).replace("$", "%24")
    file = Path(parsed.database or "")
    if not file.is_file():
        raise ValidationUnavailable("open", name, "there is no such file")
    # Read and write, so that closing a database in WAL mode leaves no side files; query_only forbids writes.
    uri = file.absolute().as_uri().replace("$", "%24")
    opened = sa.URL.create("sqlite", database=uri, query={"mode": "rw", "uri": "true"})
    return Database(name, True), opened.render_as_string()


def prepare(raw: Any, dialect: Any, relations: Iterable[Relation], views: Mapping[str, str]) -> None:
    """Gives a new connection the temporary tables and views, then forbids it to write."""
    mark = "?" if dialect.paramstyle == "qmark" else "%s"
    cursor = raw.cursor()
    for relation in relations:
        columns = ", ".join(f'"{name}" {kind.upper()}' for name, kind in relation.columns.items())
        cursor.execute(f"CREATE TEMPORARY TABLE {relation.name} ({columns})")
        marks = ", ".join(mark for _ in relation.columns)
        if relation.rows:
            cursor.executemany(f"INSERT INTO {relation.name} VALUES ({marks})", relation.rows)  # noqa: S608  # checked names
    raw.commit()
    for name, query in views.items():
        try:
            cursor.execute(f"CREATE TEMPORARY VIEW {name} AS {query}")
            raw.commit()
        except dialect.loaded_dbapi.Error:  # a table of it is missing: the checks that use the view say so
            raw.rollback()
    only_read = {
        "sqlite": "PRAGMA query_only = ON",
        "postgresql": "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
    }
    if dialect.name in only_read:
        cursor.execute(only_read[dialect.name])
        raw.commit()
    cursor.close()
