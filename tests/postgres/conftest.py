"""Servers and databases for everything that is shown on a real PostgreSQL."""

from __future__ import annotations

from tests.support.postgres_server import database, servers

__all__ = ["database", "servers"]
