"""Servers for histories of PostgreSQL databases."""

from tests.postgres.conftest import database, servers, the_newest_programs

__all__ = ["database", "servers", "the_newest_programs"]
