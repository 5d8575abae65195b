"""The database of tests/postgres/torture.sql, made by psql."""

from __future__ import annotations

from pathlib import Path

from tests.support.postgres_server import address_of, psql

from rlg_backup.demo.server import Server
from rlg_backup.sources.postgres.address import Address

_FILES = Path(__file__).parents[1] / "postgres"


def make_torture(address: Address, *, whole: bool = True) -> Address:
    """Fills an empty database; returns ``address``. What is the same on every server (odd names, a text of 50 MB, a
    large object of 5 MB) is in the ``whole`` only."""
    psql(address, "-v", f"whole={str(whole).lower()}", "-f", _FILES / "torture.sql")
    return address


def make_roles(server: Server) -> None:
    """The roles that the torture database names: they are the server's, so a backup of a database has them not."""
    psql(address_of(server), "-f", _FILES / "torture" / "roles.sql")
