"""The comparer of databases: a copy that pg_dump made passes it; one value, grant or sequence that differs does not."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from tests.support.postgres_compare import assert_same_database
from tests.support.postgres_server import (
    NEWEST,
    OLDEST,
    Servers,
    address_of,
    drop_database,
    execute,
    fresh_database,
    psql,
)
from tests.support.postgres_torture import make_torture

from rlg_backup.demo.server import Server, programs
from rlg_backup.sources.postgres.address import Address

UNKNOWN_TO_OLDER = (rb"^SET transaction_timeout = 0;$", rb" LOCALE_PROVIDER = libc(?=.*;$)")  # what pg_dump 18 writes
PUBLIC_SCHEMA = {
    rb"GRANT CREATE ON SCHEMA public TO PUBLIC;": "pg_dump 18 writes no REVOKE of what 15 and later do not grant"
}
WRITING = {"PGOPTIONS": "-c default_transaction_read_only=off"}  # the torture's own setting refuses its own dump


@contextmanager
def copied(server: Server, source: Address) -> Iterator[Address]:
    """``pg_dump --create | psql``, into a database whose name is one letter longer."""
    name = f"{source.database}c"
    dump = [programs() / "pg_dump", "--create", source.database]
    text = subprocess.run(dump, env=source.environment(), capture_output=True, check=True).stdout
    for pattern in UNKNOWN_TO_OLDER:
        text = re.sub(pattern, b"", text, flags=re.MULTILINE)
    text = text.replace(source.database.encode(), name.encode())
    try:
        done = subprocess.run(
            [programs() / "psql", "-Xq", "-v", "ON_ERROR_STOP=1"],
            env=address_of(server).environment() | WRITING, input=text, capture_output=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr.decode()
        yield source.of(name)
    finally:
        drop_database(server, name)


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
def test_a_copy_by_pg_dump_itself_is_the_same(servers: Servers, version: int) -> None:
    with fresh_database(servers[version]) as source:
        make_torture(source)
        with copied(servers[version], source) as copy:
            assert_same_database(source, copy, ignored=PUBLIC_SCHEMA if version < 15 else None)


@pytest.fixture
def pair(servers: Servers) -> Iterator[tuple[Address, Address]]:
    with fresh_database(servers[NEWEST]) as source:
        psql(source, "-c", SMALL)
        with copied(servers[NEWEST], source) as copy:
            assert_same_database(source, copy)
            yield source, copy


SMALL = """
CREATE TABLE t (id int, v float8); INSERT INTO t VALUES (1, 0), (2, 1), (1, 0);
CREATE SEQUENCE s; SELECT setval('s', 7); SELECT lo_from_bytea(5, 'x');
"""


@pytest.mark.parametrize(
    "difference",
    [
        "UPDATE t SET v = '-0' WHERE id = 1",
        "UPDATE t SET v = 1.0000000000000002 WHERE id = 2",
        "DELETE FROM t WHERE ctid = '(0,1)'",
        "GRANT SELECT ON t TO PUBLIC",
        "SELECT setval('s', 8)",
        "SELECT setval('s', 7, false)",
        "SELECT lo_put(5, 1, '\\x00')",
        "COMMENT ON COLUMN t.v IS 'v'",
        "ALTER TABLE t ALTER v SET NOT NULL",
        "CREATE INDEX ON t (v)",
    ],
)
def test_a_difference_is_found(pair: tuple[Address, Address], difference: str) -> None:
    source, copy = pair
    execute(copy, difference)
    with pytest.raises(AssertionError, match="differ"):
        assert_same_database(source, copy)


def test_the_order_of_rows_is_no_difference(pair: tuple[Address, Address]) -> None:
    source, copy = pair
    execute(copy, "UPDATE t SET v = v WHERE id = 1")
    assert_same_database(source, copy)
