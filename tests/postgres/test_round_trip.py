"""Databases through the whole engine, by the command line: what comes back is the same to pg_dump."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
from tests.support.postgres_compare import assert_same_database, copied_by_pg_dump
from tests.support.postgres_server import (
    NEWEST,
    VERSIONS,
    Servers,
    address_of,
    drop_database,
    execute,
    fresh_database,
    query,
)
from tests.support.postgres_torture import make_roles, make_torture
from tests.support.postgres_world import all_columns, connected, make_world
from tests.support.world import World

from rlg_backup.demo.server import Server
from rlg_backup.sources.postgres.address import Address

BackedUp = tuple[Address, World]
MOODS = ("sad", "so so", "happy", "calm", "angry", "bored", "proud", "tired")
LEAVES = [f"CREATE TABLE leaf_{n} PARTITION OF hashed FOR VALUES WITH (MODULUS 3, REMAINDER {n})" for n in range(3)]


def hashed_by(kind: str, key: str) -> tuple[list[str], str]:
    """A table cut by the hash of a ``kind``, whose value an expression makes of the mood m, and how to read it."""
    definition = [
        f"CREATE TYPE mood AS ENUM ({', '.join(repr(mood) for mood in MOODS)})",
        "CREATE TYPE moods AS RANGE (SUBTYPE = mood)",
        "CREATE TYPE of_mood AS (m mood)",
        *(f'CREATE TYPE "{mood}" AS ENUM ()' for mood in MOODS),
        f"CREATE TABLE hashed (k {kind}, n int) PARTITION BY HASH (k)",
        *LEAVES,
        f"INSERT INTO hashed SELECT {key}, n FROM unnest(enum_range(NULL::mood)) m, generate_series(1, 5) n",
    ]
    return definition, "SELECT k::text, n FROM hashed ORDER BY 1, 2"


QUIRKS = {  # what pg_dump itself makes otherwise than it was
    # the hash of an enumeration is that of its label's object id, which is another in every database
    "rows in another leaf": hashed_by("mood", "m"),
    "by arrays": hashed_by("mood[]", "ARRAY[m]"),
    "by ranges": hashed_by("moods", "moods(m, NULL)"),
    "by composites": hashed_by("of_mood", "ROW(m)::of_mood"),
    "by names of types": hashed_by("regtype", "quote_ident(m::text)::regtype"),
    # inherited columns come first
    "columns in another order": (
        [
            "CREATE TABLE parent (id int PRIMARY KEY, v text DEFAULT 'p')",
            "CREATE TABLE adopted (more text, v text DEFAULT 'own', id int NOT NULL)",
            "INSERT INTO adopted VALUES ('m', 'v', 5)",
            "ALTER TABLE adopted INHERIT parent",
        ],
        "SELECT id, v, more FROM adopted",
    ),
}


def back_up(folder: Path, source: Address) -> World:
    with connected(app=source):
        world = make_world(folder / "world", source, personal_text_allowed=all_columns(source))
        world.back_up()
    return world


@contextmanager
def restored(world: World, there: Server) -> Iterator[Address]:
    """The latest backup, restored on a server."""
    copy = address_of(there, "db_restored")
    try:
        with connected(there=copy):
            done = world.run("restore", "latest", "--source", "app", "--to", f"postgres:there/{copy.database}")
        assert done.code == 0, done.out + done.err
        yield copy
    finally:
        drop_database(there, copy.database)


@pytest.fixture(scope="module")
def tortured(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[int], BackedUp]]:
    """The torture database on a server of a version, and a project that has backed it up."""
    with ExitStack() as stack:

        @cache
        def made(version: int) -> BackedUp:
            source = stack.enter_context(fresh_database(servers[version]))
            make_torture(source, whole=version == NEWEST)
            return source, back_up(tmp_path_factory.mktemp("torture"), source)

        yield made


@pytest.mark.parametrize("version", VERSIONS)
def test_the_torture_database_comes_back_the_same(
    servers: Servers, tortured: Callable[[int], BackedUp], version: int
) -> None:
    source, world = tortured(version)
    with restored(world, servers[version]) as copy:
        assert_same_database(source, copy)


@pytest.mark.parametrize("version", [14, 16])
def test_on_a_newer_server_it_comes_back_as_pg_dump_would_bring_it(
    servers: Servers, tortured: Callable[[int], BackedUp], version: int
) -> None:
    source, world = tortured(version)
    make_roles(servers[NEWEST])
    with restored(world, servers[NEWEST]) as copy, copied_by_pg_dump(source, servers[NEWEST]) as measure:
        assert_same_database(measure, copy)


@pytest.mark.parametrize("quirk", QUIRKS)
def test_what_a_dump_makes_otherwise_comes_back_with_its_rows(servers: Servers, tmp_path: Path, quirk: str) -> None:
    definition, rows = QUIRKS[quirk]
    with fresh_database(servers[NEWEST]) as source:
        execute(source, *definition)
        with restored(back_up(tmp_path, source), servers[NEWEST]) as copy:
            assert query(copy, rows) == query(source, rows) != []


@pytest.mark.parametrize("version", [14, 15, 16])
def test_every_byte_of_a_char_comes_back(servers: Servers, tmp_path: Path, version: int) -> None:
    """Up to version 15 the server writes one over 127 as a text of no encoding, and reads none from any text."""
    with fresh_database(servers[version]) as source:
        execute(
            source,
            'CREATE DOMAIN letter AS "char"',
            'CREATE TABLE t (n int GENERATED ALWAYS AS IDENTITY, c "char", "d %" letter, rest numeric, raw bytea)',
            'INSERT INTO t (c, "d %", rest, raw) SELECT n::"char", (-1 - n)::"char", n / 3.0, int2send(n::int2) '
            "FROM generate_series(-128, 127) n",
            "INSERT INTO t (c) VALUES (NULL)",
        )
        rows = 'SELECT n, c::int, "d %"::"char"::int, rest, raw FROM t ORDER BY n'
        with restored(back_up(tmp_path, source), servers[version]) as copy:
            assert query(copy, rows) == query(source, rows)


@pytest.mark.parametrize(("encoding", "word"), [("LATIN1", "ñé"), ("EUC_JP", "日本"), ("SQL_ASCII", "plain")])
def test_a_database_of_another_encoding_comes_back_the_same(
    servers: Servers, tmp_path: Path, encoding: str, word: str
) -> None:
    options = f"ENCODING '{encoding}' LOCALE 'C' TEMPLATE template0"
    with fresh_database(servers[NEWEST], options=options) as source:
        execute(source, f'CREATE TABLE "{word}" ("{word}" text DEFAULT \'{word}\', w name[], x bytea)')
        execute(source, f"INSERT INTO \"{word}\" VALUES (DEFAULT, '{{{word}}}', '\\xff')")
        with restored(back_up(tmp_path, source), servers[NEWEST]) as copy:
            assert_same_database(source, copy)


@pytest.mark.parametrize(
    ("version", "locale"),
    [
        (15, "LOCALE_PROVIDER icu ICU_LOCALE 'de'"),
        (18, "LOCALE_PROVIDER icu ICU_LOCALE 'und' ICU_RULES '&a < g'"),
        (18, "LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8'"),
    ],
)
def test_a_database_of_another_locale_comes_back_in_its_order(
    servers: Servers, tmp_path: Path, version: int, locale: str
) -> None:
    with fresh_database(servers[version], options=f"{locale} TEMPLATE template0") as source:
        execute(source, "CREATE TABLE t (v text PRIMARY KEY)", "INSERT INTO t VALUES ('ä'), ('z'), ('a'), ('g')")
        with restored(back_up(tmp_path, source), servers[version]) as copy:
            assert_same_database(source, copy)
            in_order = "SELECT v FROM t ORDER BY v"
            assert query(copy, in_order) == query(source, in_order)


def test_a_subscription_comes_back_and_does_not_begin(servers: Servers, tmp_path: Path) -> None:
    subscribe = "CREATE SUBSCRIPTION s CONNECTION 'host=nowhere' PUBLICATION p WITH (connect = false, slot_name = NONE)"
    with fresh_database(servers[NEWEST]) as source, ExitStack() as end:
        execute(source, subscribe)
        end.callback(execute, source, "DROP SUBSCRIPTION s")
        copy = end.enter_context(restored(back_up(tmp_path, source), servers[NEWEST]))
        end.callback(execute, copy, "DROP SUBSCRIPTION s")  # else neither database could be dropped
        assert_same_database(source, copy)
        assert query(
            copy,
            "SELECT subenabled FROM pg_subscription JOIN pg_database d ON d.oid = subdbid "
            "WHERE datname = current_database()",
        ) == [(False,)]


def test_a_user_who_may_only_read_backs_up_everything(servers: Servers, tmp_path: Path) -> None:
    """But the options of user mappings, which the server shows to superusers only."""
    server = servers[NEWEST]
    login = "LOGIN BYPASSRLS PASSWORD 'reader' IN ROLE pg_read_all_data"
    with fresh_database(server) as source:
        make_torture(source, whole=False)
        without_options = 'ALTER USER MAPPING FOR torture_reader SERVER "far away" OPTIONS (DROP "user")'
        execute(source, "SET default_transaction_read_only = off", without_options)
        execute(address_of(server), f"CREATE ROLE reader_of_all {login}")
        try:
            world = back_up(tmp_path, replace(source, user="reader_of_all", password="reader"))
            with restored(world, server) as copy:
                assert_same_database(source, copy)
        finally:
            execute(address_of(server), "DROP ROLE reader_of_all")
