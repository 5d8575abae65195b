"""The comparer of databases: a copy that pg_dump made passes it; one value, grant or sequence that differs does not."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.support.postgres_compare import assert_same_database, copied_by_pg_dump
from tests.support.postgres_server import NEWEST, Servers, execute, fresh_database
from tests.support.postgres_torture import make_torture

from rlg_backup.sources.postgres.address import Address


def test_a_copy_by_pg_dump_itself_is_the_same(servers: Servers) -> None:
    with fresh_database(servers[NEWEST]) as source:
        make_torture(source)
        with copied_by_pg_dump(source, servers[NEWEST]) as copy:
            assert_same_database(source, copy)


@pytest.fixture
def pair(servers: Servers) -> Iterator[tuple[Address, Address]]:
    with fresh_database(servers[NEWEST]) as source:
        execute(source, "CREATE TABLE t (id int, v float8)", "INSERT INTO t VALUES (1, 0), (2, 1), (1, 0)")
        execute(source, "CREATE SEQUENCE s", "SELECT setval('s', 7)", "SELECT lo_from_bytea(5, 'x')")
        with copied_by_pg_dump(source, servers[NEWEST]) as copy:
            assert_same_database(source, copy)
            yield source, copy


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
