"""What an incremental backup of PostgreSQL saves: what changed, whatever way it changed, and no more."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.postgres.sessions import until, writers
from tests.postgres.test_consistency import ACCOUNTS, WRITERS, assert_balanced, bank, move_money, moves
from tests.support.postgres_compare import assert_same_database
from tests.support.postgres_server import (
    NEWEST,
    Servers,
    address_of,
    drop_database,
    execute,
    programs_of,
    query,
    session,
)
from tests.support.postgres_world import connected, make_world
from tests.support.world import World

from rlg_backup.core.model import Kind
from rlg_backup.demo.server import Server
from rlg_backup.engine.archives import open_remote
from rlg_backup.engine.backup import BackupResult, backup
from rlg_backup.engine.restore_points import choose
from rlg_backup.format.profile import Profile, TableProfile
from rlg_backup.sources.postgres.address import Address

__all__ = ["bank"]

SHOP = (
    "CREATE TYPE mood AS ENUM ('low', 'high')",
    "CREATE TYPE part AS (name text, size int)",
    "CREATE DOMAIN parts AS part[]",
    "CREATE TABLE keyed (id int PRIMARY KEY, v text)",
    "CREATE TABLE keyless (v text, n int)",
    "CREATE TABLE moods (id uuid PRIMARY KEY, m mood[])",
    "CREATE TABLE built (id int, p parts)",
    "CREATE TABLE named (id int, r regclass)",
    "CREATE TABLE plain (v text)",
    "INSERT INTO keyed SELECT n, md5(n::text) FROM generate_series(1, 5000) n",
    "INSERT INTO keyless SELECT md5((n % 50)::text), n % 7 FROM generate_series(1, 5000) n",
    "INSERT INTO moods SELECT md5(n::text)::uuid, ARRAY['low', 'high']::mood[] FROM generate_series(1, 100) n",
    "INSERT INTO built SELECT n, ARRAY[ROW('a', n)]::part[] FROM generate_series(1, 100) n",
    "INSERT INTO named VALUES (1, 'plain'), (2, 'keyed')",
    "INSERT INTO plain VALUES ('x')",
)


class Shop:
    """A database and a project that backs it up."""

    def __init__(self, server: Server, address: Address, world: World) -> None:
        self.server, self.address, self.world = server, address, world
        self.wiring = world.wiring()

    def back_up(self, kind: Kind = Kind.INCREMENTAL) -> BackupResult:
        return backup(self.wiring, "app", kind)

    def profile(self, done: BackupResult) -> Profile:
        chosen = choose(self.wiring, "app", done.backup_id)
        return open_remote(self.wiring, chosen, self.wiring.identities()).profile()

    def saved(self) -> dict[str, tuple[int, int] | None]:
        """Of an incremental backup made now: rows that came and went of each table that is not saved whole."""
        done = self.back_up()
        assert (done.kind, done.complete) == ("incremental", True), done.warnings
        return {table.name: _changed(table) for table in self.profile(done).tables}

    def assert_restored(self, which: str = "latest") -> None:
        copy = self.address.of(f"{self.address.database}_again")
        done = self.world.run("restore", which, "--source", "app", "--to", f"postgres:app/{copy.database}")
        try:
            assert done.code == 0, done.out + done.err
            assert_same_database(self.address, copy)
        finally:
            drop_database(self.server, copy.database)


def _changed(table: TableProfile) -> tuple[int, int] | None:
    return None if table.change is None else (table.change.rows, table.change.removed_rows)


@pytest.fixture
def shop(servers: Servers, database: Address, tmp_path: Path) -> Iterator[Shop]:
    execute(database, *SHOP)
    with connected(app=database):
        made = Shop(servers[NEWEST], database, make_world(tmp_path / "world", database))
        assert made.back_up(Kind.FULL).complete
        yield made


NOTHING = {"keyed": (0, 0), "keyless": (0, 0), "moods": (0, 0), "built": (0, 0), "named": (0, 0), "plain": (0, 0)}


@pytest.mark.parametrize(
    ("statements", "changed"),
    [
        ([], {}),
        (["UPDATE keyed SET v = 'new' WHERE id % 100 = 0", "DELETE FROM keyed WHERE id = 1"], {"keyed": (50, 51)}),
        (["UPDATE keyed SET v = v WHERE id <= 10"], {"keyed": (10, 10)}),  # written again as it is
        (["UPDATE keyless SET n = 8 WHERE v = md5('3')"], {"keyless": (100, 100)}),
        (["INSERT INTO keyless SELECT * FROM keyless LIMIT 3"], {"keyless": (3, 0)}),
        (["VACUUM FULL keyless", "CLUSTER keyed USING keyed_pkey"], {}),  # all lies elsewhere, and is as it was
        (["VACUUM FULL keyless", "DELETE FROM keyless WHERE n = 6"], {"keyless": (0, 714)}),
        (["VACUUM FREEZE"], {}),
        (["CREATE TABLE kept AS TABLE keyed", "TRUNCATE keyed", "INSERT INTO keyed TABLE kept", "DROP TABLE kept"], {}),
        (["ALTER TYPE mood RENAME VALUE 'low' TO 'down'"], {"moods": None}),
        (["ALTER TYPE part DROP ATTRIBUTE size"], {"built": None}),
        (["ALTER TABLE plain RENAME TO simple"], {"plain": "gone", "simple": None, "named": (1, 1)}),
        (["ALTER TABLE keyed ADD COLUMN extra int DEFAULT 7"], {"keyed": None}),
        (["ALTER TABLE keyed ALTER v TYPE varchar"], {"keyed": None}),
        (["ALTER TABLE keyed DROP CONSTRAINT keyed_pkey"], {"keyed": None}),  # its columns are as they were
        (["ALTER DOMAIN parts SET NOT NULL"], {"built": None}),
        (["ALTER TABLE keyed SET (fillfactor = 50)", "CREATE INDEX ON keyless (n)", "ANALYZE"], {}),
        (
            [f"ALTER TABLE {old} RENAME TO {new}"
             for old, new in (("keyless", "other"), ("plain", "keyless"), ("other", "plain"))],
            {"keyless": None, "plain": None, "named": (1, 1)},
        ),
        (["CREATE TABLE fresh AS SELECT 1 AS one", "DROP TABLE built"], {"fresh": None, "built": "gone"}),
    ],
)  # fmt: skip
def test_what_changed_is_saved_and_nothing_else(shop: Shop, statements: list[str], changed: dict[str, Any]) -> None:
    execute(shop.address, *statements)
    expected = {name: rows for name, rows in {**NOTHING, **changed}.items() if rows != "gone"}
    assert shop.saved() == expected
    shop.assert_restored()


def test_rows_that_come_where_others_lay_are_new(shop: Shop) -> None:
    execute(shop.address, "DELETE FROM keyed WHERE id % 2 = 0", "VACUUM keyed")
    lay = query(shop.address, "SELECT count(DISTINCT ctid) FROM keyed")
    execute(shop.address, "INSERT INTO keyed SELECT n, 'new' FROM generate_series(10001, 12500) n")
    assert query(shop.address, "SELECT pg_relation_size('keyed') / 8192") == [(42,)], lay
    assert shop.saved()["keyed"] == (2500, 2500)
    shop.assert_restored()


def test_a_transaction_that_is_open_over_two_backups_is_saved_when_it_is_committed(shop: Shop) -> None:
    with session(shop.address) as early, session(shop.address) as never:
        for one in (early, never):
            one.autocommit = False
        early.execute("UPDATE keyed SET v = 'early' WHERE id <= 100")
        early.execute("SAVEPOINT s")
        early.execute("INSERT INTO keyless VALUES ('early', 1)")
        early.execute("RELEASE s")
        never.execute("DELETE FROM moods")
        execute(shop.address, "UPDATE keyed SET v = 'later' WHERE id = 200")
        assert shop.saved() == {**NOTHING, "keyed": (1, 1)}
        execute(shop.address, "UPDATE keyed SET v = 'later still' WHERE id = 300")
        assert shop.saved() == {**NOTHING, "keyed": (1, 1)}
        early.commit()
        never.rollback()
    assert shop.saved() == {**NOTHING, "keyed": (100, 100), "keyless": (1, 0)}
    shop.assert_restored()


def test_every_point_of_a_chain_made_under_load_balances(servers: Servers, bank: Address, tmp_path: Path) -> None:
    server, seen = servers[NEWEST], list[int]()
    copy = address_of(server, "bank_again")
    with connected(app=bank, there=address_of(server)):
        shop = Shop(server, bank, make_world(tmp_path / "world", bank, readers=3))
        with writers(WRITERS, lambda number, end: move_money(bank, number, end)):
            until(lambda: query(bank, "SELECT min(moves) FROM counted")[0][0] > 0)
            assert shop.back_up(Kind.FULL).complete
            for kind in (Kind.INCREMENTAL, Kind.INCREMENTAL, Kind.DIFFERENTIAL, Kind.INCREMENTAL):
                before = moves(bank)
                until(lambda: moves(bank) > before + 50)  # noqa: B023  # called at once
                done = shop.back_up(kind)
                assert (done.kind, done.complete) == (kind.value, True), done.warnings
                assert all(t.change and t.change.rows < ACCOUNTS / 2 for t in shop.profile(done).tables)
        for point in shop.world.run("list", "--source", "app", "--json").json:
            place = f"postgres:there/{copy.database}"
            done_again = shop.world.run("restore", point["backup_id"], "--source", "app", "--to", place)
            assert done_again.code == 0, done_again.out + done_again.err
            assert_balanced(copy)
            seen.append(int(query(copy, "SELECT coalesce(sum(moves), 0) FROM counted")[0][0]))
            drop_database(server, copy.database)
    assert seen == sorted(set(seen))
    assert len(seen) == 5


GEOGRAPHY = {
    "levels": {
        "region": {"table": "regions", "key": "code"},
        "country": {"table": "countries", "key": "code", "parent": "region"},
    },
    "tables": {
        "people": {"country": "country"},
        "orders": {"through": "person", "of": "people", "key": "id"},
        "visits": {"through": "person", "of": "people", "key": "id"},
        "zones": {"region": "n"},
    },
}
PLACED = (
    "CREATE TABLE regions (code text PRIMARY KEY)",
    "CREATE TABLE countries (code text PRIMARY KEY, region text)",
    "CREATE TABLE people (id int PRIMARY KEY, country text, email text NOT NULL, phone text)",
    "CREATE TABLE orders (id int, person int, cents bigint, weight numeric)",
    "CREATE TABLE visits (person int, at int) PARTITION BY RANGE (at)",
    "CREATE TABLE visits_1 PARTITION OF visits FOR VALUES FROM (0) TO (100)",
    "CREATE TABLE visits_2 PARTITION OF visits FOR VALUES FROM (100) TO (200)",
    "CREATE DOMAIN amount AS bigint",
    "CREATE TABLE zones (n numeric, paid amount)",
    "CREATE TABLE notes (cents int)",
    "INSERT INTO zones SELECT (ARRAY['1.0', '1.00', NULL])[n % 3 + 1]::numeric, n FROM generate_series(1, 30) n",
    "INSERT INTO notes VALUES (5)",
    "INSERT INTO regions VALUES ('north'), ('south')",
    "INSERT INTO countries VALUES ('A', 'north'), ('B', 'south'), ('C', NULL)",
    "INSERT INTO people SELECT n, (ARRAY['A', 'B', 'C', NULL])[n % 4 + 1], 'p' || n || '@example.org', '+27 11 ' || n"
    " FROM generate_series(1, 400) n",
    "INSERT INTO orders SELECT n, n % 401, n * 1000000007::bigint, n / 3.0 FROM generate_series(1, 3000) n",
    "INSERT INTO visits SELECT n % 400, n % 200 FROM generate_series(1, 2000) n",
)
TOTALS = {"orders": ["cents", "weight"], "people": ["id"], "zones": ["paid"], "notes": ["cents"]}


@pytest.fixture
def placed(servers: Servers, database: Address, tmp_path: Path) -> Iterator[Shop]:
    execute(database, *PLACED)
    policies = {"people.email": "tokenize", "people.phone": "hash"}
    with connected(app=database):
        world = make_world(tmp_path / "world", database, geography=GEOGRAPHY, totals=TOTALS, policies=policies)
        made = Shop(servers[NEWEST], database, world)
        assert made.back_up(Kind.FULL).complete
        yield made


def counts(profile: Profile) -> dict[str, Any]:
    return {table.name: (table.rows, table.geography, table.totals) for table in profile.tables}


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE people SET country = 'B' WHERE id % 10 = 0",
        "UPDATE countries SET region = 'south' WHERE code = 'A'",  # what lies in it moves, without a row of its own
        "DELETE FROM orders WHERE id % 3 = 0",
        "UPDATE orders SET cents = NULL WHERE id % 2 = 0",
        "TRUNCATE orders",
        "INSERT INTO visits SELECT 5, n FROM generate_series(1, 150) n",
        "DELETE FROM people WHERE id > 300",
        "DELETE FROM zones WHERE paid = 7",  # equal places that are written otherwise, a domain over whole numbers
        "DELETE FROM notes",
    ],
)
def test_counts_and_totals_of_a_table_that_is_not_read_are_those_of_one_that_is(placed: Shop, statement: str) -> None:
    execute(placed.address, statement)
    changes = placed.profile(placed.back_up())
    assert counts(changes) == counts(placed.profile(placed.back_up(Kind.FULL)))
    assert all(table.change for table in changes.tables)


def test_tokens_come_back_over_a_chain_and_what_is_hashed_stays_so(placed: Shop) -> None:
    execute(placed.address, "UPDATE people SET email = 'x' || email, phone = NULL WHERE id % 5 = 0")
    execute(placed.address, "DELETE FROM people WHERE id = 7")
    assert placed.saved()["people"] == (80, 81)
    copy = placed.address.of(f"{placed.address.database}_again")
    place = f"postgres:app/{copy.database}"
    done = placed.world.run("restore", "latest", "--source", "app", "--to", place, "--accept-masked")
    try:
        assert done.code == 0, done.out + done.err
        told = "SELECT id, country, email, phone IS NULL FROM people ORDER BY 1"
        assert query(copy, told) == query(placed.address, told)
        assert query(copy, "SELECT count(*) FROM people WHERE length(phone) <> 32") == [(0,)]
    finally:
        drop_database(placed.server, copy.database)


def test_a_table_whose_policies_changed_is_saved_whole(placed: Shop) -> None:
    placed.world.source["policies"]["people.phone"] = "tokenize"
    placed.world.save()
    placed.wiring = placed.world.wiring()
    others = ("regions", "countries", "orders", "visits_1", "visits_2", "zones", "notes")
    assert placed.saved() == {**dict.fromkeys(others, (0, 0)), "people": None}


def test_a_row_that_has_the_transaction_id_of_a_row_of_a_round_before_is_new(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Frozen rows keep their xmin; 2^32 transactions later another row may get it, and at the same address."""
    root = tmp_path_factory.mktemp("pg")
    server = Server(root / "server", settings=("autovacuum=off",)).start()  # the wheel's: it has pg_resetwal
    try:
        address = address_of(server)
        _use_transactions(address, 3000)
        execute(address, "CREATE TABLE t (id int, v text)")
        execute(address, "INSERT INTO t VALUES (1, 'old')", "INSERT INTO t VALUES (2, 'two')")
        ((lay, made),) = query(address, "SELECT ctid::text, xmin::text FROM t WHERE id = 1")
        execute(address, "VACUUM FREEZE")
        server.stop()
        server._run("reset", "pg_resetwal", "-e", "1", "-x", str(int(made) - 1000), "-D", str(server.folder / "data"))
        server.start(server.port)
        with connected(app=address):
            shop = Shop(server, address, make_world(root / "world", address))
            assert shop.back_up(Kind.FULL).complete
            assert shop.saved() == {"t": (0, 0)}
            execute(address, "DELETE FROM t WHERE id = 1", "VACUUM (DISABLE_PAGE_SKIPPING) t")
            _use_transactions(address, int(made))
            execute(address, "INSERT INTO t VALUES (3, 'new')")
            assert query(address, "SELECT ctid::text, xmin::text FROM t WHERE id = 3") == [(lay, made)]
            assert shop.saved() == {"t": (1, 1)}
    finally:
        server.stop("immediate")


def _use_transactions(address: Address, until: int) -> None:
    """Until the next one's id is that, by its lower half."""
    with session(address) as connection:
        while connection.execute("SELECT pg_current_xact_id()::xid::text::int").fetchall()[0][0] < until - 1:
            continue


class OwnServer:
    """A server whose files can be put back as they were."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self.server = Server(root / "server", programs=programs_of(NEWEST)).start()
        self.address = address_of(self.server, "shop")
        execute(address_of(self.server), "CREATE DATABASE shop")
        execute(self.address, "CREATE TABLE t (id int PRIMARY KEY, v text)", "INSERT INTO t VALUES (1, 'one')")
        self.server.stop()
        shutil.copytree(root / "server" / "data", root / "before")
        self.server.start(self.address.port or 0)

    def restart(self) -> None:
        self.server.stop()
        self.server.start(self.address.port or 0)

    def put_back(self) -> None:
        self.server.stop()
        shutil.rmtree(self._root / "server" / "data")
        shutil.copytree(self._root / "before", self._root / "server" / "data")
        self.server.start(self.address.port or 0)


@pytest.fixture
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnServer]:
    made = OwnServer(tmp_path_factory.mktemp("pg"))
    try:
        yield made
    finally:
        made.server.stop("immediate")


def test_a_server_that_went_back_in_time_is_backed_up_whole(own: OwnServer, tmp_path: Path) -> None:
    """Its files are put back as they were: the same transaction ids come again, for other rows."""
    with connected(app=own.address):
        shop = Shop(own.server, own.address, make_world(tmp_path / "world", own.address))
        execute(shop.address, "INSERT INTO t VALUES (2, 'lost')", "CHECKPOINT")
        assert shop.back_up(Kind.FULL).complete
        own.put_back()
        execute(shop.address, "INSERT INTO t VALUES (2, 'found')")
        done = shop.back_up()
    assert (done.kind, done.warnings) == (
        "full", ("full instead of incremental: the server went back in time since the backup before",),
    )  # fmt: skip


def test_a_server_that_went_back_and_has_passed_that_place_since_is_told_by_its_rows(
    own: OwnServer, tmp_path: Path
) -> None:
    """Where the lost row lay lies another now, of the same transaction id; the log has gone on past the backup."""
    with connected(app=own.address):
        shop = Shop(own.server, own.address, make_world(tmp_path / "world", own.address))
        execute(shop.address, "INSERT INTO t VALUES (2, 'lost')")
        lay = query(shop.address, "SELECT ctid::text, xmin::text FROM t WHERE id = 2")
        execute(shop.address, "CHECKPOINT")
        assert shop.back_up(Kind.FULL).complete
        own.put_back()
        execute(shop.address, "INSERT INTO t VALUES (2, 'found')")
        assert query(shop.address, "SELECT ctid::text, xmin::text FROM t WHERE id = 2") == lay
        execute(
            shop.address, *["CREATE TABLE u AS SELECT 1", "DROP TABLE u", "SELECT pg_switch_wal()"] * 4, "CHECKPOINT"
        )
        assert shop.saved() == {"t": (1, 1)}
        shop.assert_restored()


def test_after_a_restart_of_the_server_no_more_is_saved_than_what_changed(own: OwnServer, tmp_path: Path) -> None:
    with connected(app=own.address):
        shop = Shop(own.server, own.address, make_world(tmp_path / "world", own.address))
        execute(shop.address, "INSERT INTO t SELECT n, 'row ' || n FROM generate_series(2, 5000) n")
        assert shop.back_up(Kind.FULL).complete
        own.restart()
        execute(shop.address, "UPDATE t SET v = 'new' WHERE id % 1000 = 0", "DELETE FROM t WHERE id = 7")
        assert shop.saved() == {"t": (5, 6)}
        assert shop.saved() == {"t": (0, 0)}
        shop.assert_restored()
