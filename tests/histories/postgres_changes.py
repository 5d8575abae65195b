"""What can happen to a PostgreSQL database between two backups. Each change takes a session and a source of chance."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import psycopg

Session = psycopg.Connection[Any]
Change = Callable[[Session, random.Random], None]

SETUP = (
    "CREATE TYPE mood AS ENUM ('low', 'mid', 'high')",
    "CREATE TYPE pair AS (a int, b text, c int)",
    "CREATE DOMAIN short AS text CHECK (length(VALUE) < 99)",
)
SHAPES = (
    "id int PRIMARY KEY, v text, n numeric",
    "id bigint GENERATED ALWAYS AS IDENTITY, v text, m mood",
    "k uuid PRIMARY KEY DEFAULT gen_random_uuid(), v jsonb",
    "k text UNIQUE NOT NULL, v text, p pair",
    "a int, b text, v text, PRIMARY KEY (a, b)",
    "v text, n int",  # no key
    "v text, r regclass",  # names an object
    "id int, v short, ms mood[], g int GENERATED ALWAYS AS (id * 2) STORED",
    "id serial PRIMARY KEY, v text, f float8, b bytea",
)
VALUES = {
    "text": ("'a'", "'b'", "NULL", "''", "repeat('long ', 900)", "'Ä'"),
    "integer": ("1", "2", "NULL", "-7"),
    "bigint": ("1", "9007199254740993"),
    "numeric": ("1", "1.0", "NULL", "'NaN'", "12345678901234567890.12"),
    "mood": ("(enum_range(NULL::mood))[1]", "(enum_range(NULL::mood))[2]", "NULL"),
    "mood[]": ("enum_range(NULL::mood)", "'{}'", "NULL"),
    "pair": ("NULL", "ROW(NULL)::text::pair", "NULL"),
    "jsonb": ("'1'", "'{\"a\": [1, null]}'", "NULL"),
    "regclass": ("NULL", "'pg_class'"),
    "short": ("'x'", "NULL"),
    "double precision": ("1", "'-0'", "'NaN'", "NULL"),
    "bytea": ("'\\x00'", "NULL"),
    "uuid": ("gen_random_uuid()", "'00000000-0000-0000-0000-000000000001'"),
}


def tables(session: Session) -> list[str]:
    found = session.execute(
        "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' ORDER BY 1"
    )
    return [name for (name,) in found]


def columns(session: Session, table: str) -> dict[str, str]:
    """Those that take a value, with their types."""
    found = session.execute(
        "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = %s::regclass"
        " AND attnum > 0 AND NOT attisdropped AND attgenerated = '' AND attidentity = ''",
        [f'public."{table}"'],
    )
    return dict(found.fetchall())


def one(session: Session, chance: random.Random) -> str:
    if not tables(session):
        create(session, chance)
    return chance.choice(tables(session))


def run(session: Session, statement: str) -> None:
    """What a constraint refuses has not happened."""
    try:
        with session.transaction():
            session.execute(statement.encode())
    except (psycopg.errors.IntegrityError, psycopg.errors.DataError):
        return


def create(session: Session, chance: random.Random) -> None:
    name = f"t{chance.randrange(3)}"
    if name not in tables(session):
        filled = chance.choice(["", " WITH (fillfactor = 20)"])
        run(session, f"CREATE TABLE {name} ({chance.choice(SHAPES)}){filled}")


def create_partitioned(session: Session, chance: random.Random) -> None:
    if not session.execute("SELECT to_regclass('public.parted')").fetchall()[0][0]:
        run(session, "CREATE TABLE parted (id int, v text, n int) PARTITION BY LIST (n)")
        run(session, "CREATE TABLE parted_1 PARTITION OF parted FOR VALUES IN (1, NULL)")
        run(session, "CREATE TABLE parted_rest PARTITION OF parted DEFAULT")


def insert(session: Session, chance: random.Random) -> None:
    for _ in range(chance.randrange(1, 4)):
        _insert(session, one(session, chance), chance)


def _insert(session: Session, table: str, chance: random.Random) -> None:
    if kinds := columns(session, table):
        cells = [_value(kind, name, chance) for name, kind in kinds.items()]
        names = ", ".join(f'"{name}"' for name in kinds)
        rows = f"SELECT {', '.join(cells)} FROM generate_series(1, {chance.randrange(1, 200)})"
        run(session, f'INSERT INTO public."{table}" ({names}) {rows} ON CONFLICT DO NOTHING')


def update(session: Session, chance: random.Random) -> None:
    table = one(session, chance)
    kinds = columns(session, table)
    if kinds:
        name = chance.choice(sorted(kinds))
        run(
            session, f'UPDATE public."{table}" SET "{name}" = {_value(kinds[name], name, chance)} WHERE {_some(chance)}'
        )


def touch(session: Session, chance: random.Random) -> None:
    """Writes rows again as they are: other versions of the same content."""
    table = one(session, chance)
    if kinds := columns(session, table):
        name = sorted(kinds)[0]
        run(session, f'UPDATE public."{table}" SET "{name}" = "{name}" WHERE {_some(chance)}')


def delete(session: Session, chance: random.Random) -> None:
    run(session, f'DELETE FROM public."{one(session, chance)}" WHERE {_some(chance)}')


def there_and_back(session: Session, chance: random.Random) -> None:
    """Within one transaction, savepoints and all: the same rows, deleted and made again."""
    table = one(session, chance)
    if not columns(session, table):
        return
    names = ", ".join(f'"{name}"' for name in columns(session, table))
    with session.transaction():
        session.execute(
            f'CREATE TEMP TABLE kept ON COMMIT DROP AS SELECT {names} FROM public."{table}" LIMIT 20'.encode()
        )
        with session.transaction():
            session.execute(f'DELETE FROM public."{table}" WHERE {_some(chance)}'.encode())
        try:
            with session.transaction():
                session.execute(
                    f'INSERT INTO public."{table}" ({names}) SELECT * FROM kept ON CONFLICT DO NOTHING'.encode()
                )
        except psycopg.errors.IntegrityError:
            return


def truncate(session: Session, chance: random.Random) -> None:
    run(session, f'TRUNCATE public."{one(session, chance)}"')


def reload(session: Session, chance: random.Random) -> None:
    table = one(session, chance)
    if names := ", ".join(f'"{name}"' for name in columns(session, table)):
        run(
            session,
            f'DO $$BEGIN CREATE TEMP TABLE kept AS SELECT {names} FROM public."{table}" ORDER BY random();'
            f' TRUNCATE public."{table}"; INSERT INTO public."{table}" ({names}) SELECT * FROM kept;'
            f" DROP TABLE kept; END$$",
        )


def vacuum(session: Session, chance: random.Random) -> None:
    how = chance.choice(["", "FULL", "FREEZE", "(TRUNCATE)", "(FULL, FREEZE)"])
    session.execute(f'VACUUM {how} public."{one(session, chance)}"'.encode())


def reuse(session: Session, chance: random.Random) -> None:
    """New rows where others lay."""
    table = one(session, chance)
    run(session, f'DELETE FROM public."{table}" WHERE {_some(chance)}')
    session.execute(f'VACUUM public."{table}"'.encode())
    _insert(session, table, chance)


def drop(session: Session, chance: random.Random) -> None:
    table = one(session, chance)
    if not table.startswith("parted"):
        run(session, f'DROP TABLE public."{table}"')


def rename(session: Session, chance: random.Random) -> None:
    table, name = one(session, chance), f"t{chance.randrange(3)}"
    if name not in tables(session):
        run(session, f'ALTER TABLE public."{table}" RENAME TO {name}')


def swap(session: Session, chance: random.Random) -> None:
    found = tables(session)
    if len(found) > 1:
        first, second = chance.sample(found, 2)
        with session.transaction():
            for old, new in ((first, "between"), (second, first), ("between", second)):
                session.execute(f'ALTER TABLE public."{old}" RENAME TO "{new}"'.encode())


def alter(session: Session, chance: random.Random) -> None:
    """Definitions, some of which write every row again and some none."""
    table, number = one(session, chance), chance.randrange(4)
    kinds = columns(session, table)
    own = [name for name, kind in kinds.items() if name.startswith("c") and kind in ("integer", "bigint")]
    choices = [
        f"ADD COLUMN IF NOT EXISTS c{number} int",
        f"ADD COLUMN IF NOT EXISTS c{number} int DEFAULT {chance.randrange(9)}",
        f"ADD COLUMN IF NOT EXISTS c{number} int DEFAULT (random() * 100)::int",
        f"DROP COLUMN IF EXISTS c{number}",
        *(f"ALTER COLUMN {name} TYPE {chance.choice(['bigint', 'int'])}" for name in own),
        *(f"ALTER COLUMN {name} SET DEFAULT 5" for name in own),
    ]
    if not session.execute(
        "SELECT relispartition FROM pg_class WHERE oid = %s::regclass", [f'public."{table}"']
    ).fetchall()[0][0]:
        run(session, f'ALTER TABLE public."{table}" {chance.choice(choices)}')


def alter_type(session: Session, chance: random.Random) -> None:
    """Content that changes although no row is written."""
    labels = [label for (label,) in session.execute("SELECT enumlabel FROM pg_enum ORDER BY enumsortorder")]
    fields = session.execute(
        "SELECT attname FROM pg_attribute WHERE attrelid = 'public.pair'::regclass AND NOT attisdropped AND attnum > 0"
    ).fetchall()
    choices = [f"ALTER TYPE public.mood RENAME VALUE '{chance.choice(labels)}' TO 'm{chance.randrange(1000)}'"]
    choices.append(f"ALTER TYPE public.mood ADD VALUE IF NOT EXISTS 'x{chance.randrange(3)}'")
    if len(fields) > 1:
        choices.append(f"ALTER TYPE public.pair DROP ATTRIBUTE {chance.choice(fields)[0]} CASCADE")
    choices.append(f"ALTER TYPE public.pair ADD ATTRIBUTE n{chance.randrange(1000)} int CASCADE")
    try:
        session.execute(chance.choice(choices).encode())
    except psycopg.errors.DuplicateObject:
        return


def sequence(session: Session, chance: random.Random) -> None:
    run(session, "CREATE SEQUENCE IF NOT EXISTS numbers")
    session.execute("SELECT nextval('public.numbers')")


def large_object(session: Session, chance: random.Random) -> None:
    found = [oid for (oid,) in session.execute("SELECT oid FROM pg_largeobject_metadata ORDER BY 1")]
    if not found or chance.random() < 0.3:
        session.execute(f"SELECT lo_from_bytea(0, decode(repeat('ab', {chance.randrange(5000)}), 'hex'))".encode())
    elif chance.random() < 0.3:
        session.execute("SELECT lo_unlink(%s)", [chance.choice(found)])
    else:
        session.execute("SELECT lo_put(%s, %s, '\\x0102')", [chance.choice(found), chance.randrange(6000)])


def rolled_back(session: Session, chance: random.Random) -> None:
    """Room that is taken and given back."""
    table = one(session, chance)
    try:
        with session.transaction():
            session.execute(f'UPDATE public."{table}" SET {sorted(columns(session, table))[0]} = DEFAULT'.encode())
            raise psycopg.errors.QueryCanceled
    except (psycopg.Error, IndexError):
        return


CHANGES: tuple[Change, ...] = (
    *(insert,) * 6, *(update,) * 5, *(delete,) * 4, *(reuse,) * 4, touch, touch, there_and_back, truncate, reload,
    *(vacuum,) * 3, drop, create, create, create_partitioned, rename, swap, alter, alter, alter_type, sequence,
    large_object, rolled_back,
)  # fmt: skip


def _value(kind: str, name: str, chance: random.Random) -> str:
    if kind == "integer" and name in ("id", "a"):
        return f"{chance.randrange(500)} + i" if False else "(random() * 500)::int"
    if kind == "text" and name == "k":
        return "(random() * 500)::int::text"
    return chance.choice(VALUES.get(kind, ("NULL",)))


def _some(chance: random.Random) -> str:
    """A condition that holds for some rows, wherever they lie."""
    return f"(ctid::text::point)[1]::int % {chance.randrange(1, 9)} = 0" if chance.random() < 0.8 else "true"
