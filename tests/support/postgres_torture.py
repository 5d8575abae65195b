"""The databases of tests/postgres/torture.sql and quirks.sql, made by psql."""

from __future__ import annotations

from pathlib import Path

from tests.support.postgres_server import address_of, psql

from rlg_backup.demo.server import Server
from rlg_backup.sources.postgres.address import Address

_FILES = Path(__file__).parents[1] / "postgres"


def make_torture(address: Address, *, extensions: bool = True, huge: bool = False) -> Address:
    """Fills an empty database; returns ``address``. Without ``extensions`` it can be restored where there are none;
    ``huge`` adds a value of 50 MB."""
    chosen = {"extensions": extensions, "huge": huge}
    given = [part for name, yes in chosen.items() for part in ("-v", f"{name}={'true' if yes else 'false'}")]
    psql(address, *given, "-f", _FILES / "torture.sql")
    return address


def make_quirks(address: Address) -> Address:
    """Fills an empty database with what pg_dump itself brings back otherwise; returns ``address``."""
    psql(address, "-f", _FILES / "quirks.sql")
    return address


def make_roles(server: Server) -> None:
    """The roles that the torture database names: they are the server's, so a backup of a database has them not."""
    psql(address_of(server), "-f", _FILES / "torture" / "roles.sql")
