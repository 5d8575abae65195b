"""A project whose source ``app`` is a PostgreSQL database."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.postgres_server import query
from tests.support.world import World

from rlg_backup.config.connections import variable_of
from rlg_backup.sources.postgres.address import Address


def make_world(root: Path, address: Address, **settings: Any) -> World:
    """``settings`` are of the source. Its connection is ``app``, which ``connected`` makes known."""
    world = World.make(root)
    world.settings["sources"] = {"app": {"type": "postgres", "connection": "app", "targets": ["local"], **settings}}
    world.save()
    return world


def connection(address: Address) -> str:
    """The address as Airflow's JSON form of a connection."""
    fields = {"conn_type": "postgres", "host": address.host, "port": address.port, "schema": address.database}
    return json.dumps(fields | {"login": address.user, "password": address.password, "extra": dict(address.options)})


@contextmanager
def connected(**addresses: Address) -> Iterator[None]:
    """The connections of these names, in the environment while the block runs."""
    before = {variable_of(name): os.environ.get(variable_of(name)) for name in addresses}
    os.environ.update({variable_of(name): connection(address) for name, address in addresses.items()})
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def all_columns(address: Address) -> list[str]:
    """What ``personal_text_allowed`` calls every column there is."""
    found = query(
        address,
        "SELECT CASE nspname WHEN 'public' THEN '' ELSE nspname || '.' END || relname || '.' || attname "
        "FROM pg_attribute a JOIN pg_class c ON c.oid = attrelid JOIN pg_namespace n ON n.oid = relnamespace "
        "WHERE relkind IN ('r', 'p') AND attnum > 0 AND NOT attisdropped AND nspname !~ '^(pg_|information_schema)'",
    )
    return [str(name) for (name,) in found]
