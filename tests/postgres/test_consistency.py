"""Money that moves between tables while several sessions read them in pieces: what is restored always balances."""

from __future__ import annotations

import random
import threading
from pathlib import Path

import psycopg
import pytest
from tests.postgres.sessions import until, writers
from tests.support.postgres_server import NEWEST, Servers, address_of, drop_database, execute, query, session
from tests.support.postgres_world import connected, make_world

from rlg_backup.sources.postgres.address import Address
from rlg_backup.sources.postgres.reader import PIECE_PAGES

ACCOUNTS, EACH, WRITERS = 180_000, 100, 4
TABLES = ("checking", "savings")


@pytest.fixture
def bank(database: Address) -> Address:
    """Few rows on each page (fillfactor), so that the tables are cut into pieces."""
    for name in TABLES:
        execute(
            database,
            f"CREATE TABLE {name} (id int, cents bigint NOT NULL) WITH (fillfactor = 10)",
            f"INSERT INTO {name} SELECT n, {EACH} FROM generate_series(1, {ACCOUNTS}) n",
            f"CREATE INDEX ON {name} (id)",
        )
    execute(
        database,
        "CREATE TABLE moved (id bigserial PRIMARY KEY, writer int, cents bigint)",
        f"CREATE TABLE counted AS SELECT n AS writer, 0 AS moves FROM generate_series(0, {WRITERS - 1}) n",
    )
    return database


def move_money(address: Address, writer: int, end: threading.Event) -> int:
    """Moves between random accounts, each noted and counted; the taker's row is made anew in another page."""
    chance, moves = random.Random(writer), 0
    with session(address) as connection:
        connection.autocommit = False
        while not end.is_set():
            giver, taker = chance.sample(TABLES, 2)
            one, other = chance.randint(1, ACCOUNTS), chance.randint(1, ACCOUNTS)
            cents = chance.randint(1, 50)
            statements = (
                f"UPDATE {giver} SET cents = cents - {cents} WHERE id = {one}",
                f"WITH gone AS (DELETE FROM {taker} WHERE id = {other} RETURNING *) "
                f"INSERT INTO {taker} SELECT id, cents + {cents} FROM gone",
                f"INSERT INTO moved (writer, cents) VALUES ({writer}, {cents})",
                f"UPDATE counted SET moves = moves + 1 WHERE writer = {writer}",
            )
            try:
                done = [connection.execute(statement.encode()).rowcount for statement in statements]
            except psycopg.errors.DeadlockDetected:
                connection.rollback()
                continue
            if done != [1] * len(statements):  # another writer just made that row anew: this one found none
                connection.rollback()
                continue
            connection.commit()
            moves += 1
    return moves


def moves(address: Address) -> int:
    return int(query(address, "SELECT sum(moves) FROM counted")[0][0])


def assert_balanced(copy: Address) -> None:
    rows = query(
        copy, "SELECT count(*), count(DISTINCT id), sum(cents) FROM (TABLE checking UNION ALL TABLE savings) _"
    )
    assert rows == [(2 * ACCOUNTS, ACCOUNTS, 2 * ACCOUNTS * EACH)]
    counted = query(copy, "SELECT writer, moves FROM counted ORDER BY 1")
    assert query(copy, "SELECT writer, count(*) FROM moved GROUP BY 1 ORDER BY 1") == counted


def test_every_restored_snapshot_balances(servers: Servers, bank: Address, tmp_path: Path) -> None:
    server, seen = servers[NEWEST], list[int]()
    copy = address_of(server, "bank_again")
    with connected(app=bank, there=address_of(server)):
        world = make_world(tmp_path / "world", bank, readers=4)
        pages = query(
            bank, "SELECT min(pg_relation_size(t) / 8192) FROM unnest(ARRAY['checking', 'savings']::regclass[]) t"
        )
        assert pages[0][0] > PIECE_PAGES
        with writers(WRITERS, lambda number, end: move_money(bank, number, end)):
            until(lambda: moves(bank) > 0)
            for _ in range(2):
                before = moves(bank)
                world.back_up()
                assert moves(bank) > before
        for point in world.run("list", "--source", "app", "--json").json:
            done = world.run(
                "restore", point["backup_id"], "--source", "app", "--to", f"postgres:there/{copy.database}"
            )
            assert done.code == 0, done.out + done.err
            assert_balanced(copy)
            seen.append(moves(copy))
            drop_database(server, copy.database)
    assert len(set(seen)) == 2
