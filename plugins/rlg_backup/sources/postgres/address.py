"""Where a PostgreSQL database is and who asks: for psycopg, for ADBC, and for PostgreSQL's own programs.

Every session, of whatever client, gets the same settings, so that a value has one text, whoever's defaults differ.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from .faults import unreadable

if TYPE_CHECKING:
    import psycopg

PINNED = {
    "TimeZone": "UTC",
    "DateStyle": "ISO, YMD",
    "IntervalStyle": "postgres",
    "extra_float_digits": "3",
    "bytea_output": "hex",
    "array_nulls": "on",
    "lc_monetary": "C",
    "xmloption": "content",
    "search_path": "pg_catalog",
    "client_encoding": "UTF8",
    "row_security": "off",
    "constraint_exclusion": "off",
    "statement_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "quote_all_identifiers": "off",
}
"""What decides how a value is written as text, or read from one, or whether a session is ended while it waits for us.
With row security off, a role that a policy would show only some rows gets an error (PostgreSQL documentation,
row_security). With constraint exclusion off, the functions of a table's checks are not run to plan how it is read."""

_VARIABLES = {
    "sslmode": "PGSSLMODE",
    "sslrootcert": "PGSSLROOTCERT",
    "sslcert": "PGSSLCERT",
    "sslkey": "PGSSLKEY",
    "passfile": "PGPASSFILE",
    "target_session_attrs": "PGTARGETSESSIONATTRS",
    "channel_binding": "PGCHANNELBINDING",
}
OPTIONS = frozenset(_VARIABLES)
"""The libpq parameters that a connection may set beside its address."""
_PATIENCE = "15"  # seconds for a connection to be made, unless PGCONNECT_TIMEOUT says otherwise


@dataclass(frozen=True)
class Address:
    """A database. What is None is libpq's own default (``PGHOST`` and so on, or a password file)."""

    database: str
    host: str | None = None
    port: int | None = None
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    options: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        place = f"{self.host or 'localhost'}:{self.port}" if self.port else self.host or ""
        return f"{place}/{self.database}" if place else self.database

    def of(self, database: str) -> Address:
        """Another database of the same server, asked as the same user."""
        return replace(self, database=database)

    def parameters(self) -> dict[str, str]:
        """libpq's parameters, with the pinned settings."""
        found = {"dbname": self.database, "host": self.host, "port": _text(self.port), "user": self.user}
        found |= {"password": self.password, "application_name": "rlg-backup", "connect_timeout": _timeout()}
        pinned = " ".join(f"-c {name}={value.replace(' ', chr(92) + ' ')}" for name, value in PINNED.items())
        return {k: v for k, v in {**self.options, **found, "options": pinned}.items() if v is not None}

    def conninfo(self) -> str:
        """For the drivers; holds the password: never to be shown."""
        from psycopg.conninfo import make_conninfo

        return make_conninfo(**self.parameters())

    def url(self) -> str:
        """For SQLAlchemy, with the server's own settings; holds the password: never to be shown."""
        found = {"host": self.host, "port": _text(self.port), "user": self.user, "password": self.password}
        given = {name: value for name, value in {**self.options, **found}.items() if value is not None}
        return f"postgresql+psycopg:///{quote(self.database, safe='')}?{urlencode(given)}"

    def environment(self) -> dict[str, str]:
        """For pg_dump and its like: a password on a command line could be read by every user of the machine."""
        found = {"PGDATABASE": self.database, "PGHOST": self.host, "PGPORT": _text(self.port)}
        found |= {"PGUSER": self.user, "PGPASSWORD": self.password, "PGCONNECT_TIMEOUT": _timeout()}
        found |= {_VARIABLES[name]: value for name, value in self.options.items()}
        return {**os.environ, "PGAPPNAME": "rlg-backup", **{k: v for k, v in found.items() if v is not None}}

    @contextmanager
    def connected(self, **settings: Any) -> Iterator[psycopg.Connection[Any]]:
        """A session, in which each statement is a transaction of its own unless it begins one.

        Raises SourceUnreadable or SourceUnavailable with the server's reason, never with the password.
        """
        connection = self.connect(**settings)
        try:
            yield connection
        finally:
            connection.close()

    def connect(self, **settings: Any) -> psycopg.Connection[Any]:
        """As ``connected``, for who closes it himself."""
        import psycopg

        try:
            connection = psycopg.connect(self.conninfo(), autocommit=True, prepare_threshold=None, **settings)
            for statement in lasting(connection.info.server_version):
                connection.execute(statement.encode())
            return connection
        except psycopg.Error as error:
            raise unreadable("connect to", str(self), error) from None


def lasting(server_version: int) -> Sequence[str]:
    """Statements after which a session is not ended for its transaction's age; a server before 17 knows no such limit,
    and no session that pins it."""
    return ["SET transaction_timeout = 0"] if server_version >= 170_000 else []


def _text(port: int | None) -> str | None:
    return None if port is None else str(port)


def _timeout() -> str:
    return os.environ.get("PGCONNECT_TIMEOUT", _PATIENCE)
