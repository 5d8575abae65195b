"""What is where a database is to be restored to: an empty one steps aside, all else is left alone."""

from __future__ import annotations

import pytest
from tests.support.postgres_server import address_of, execute, query, session
from tests.unit.sources.postgres.conftest import Place

from rlg_backup.core.errors import DestinationUnsuitable

pytestmark = pytest.mark.usefixtures("filled")


def test_an_empty_database_steps_aside_and_hands_on_its_own_facts(place: Place) -> None:
    name = place.target.database
    execute(
        address_of(place.server),
        f'CREATE DATABASE "{name}"',
        f"COMMENT ON DATABASE \"{name}\" IS 'kept'",
        f'ALTER DATABASE "{name}" SET work_mem = 1234',
        f'REVOKE CONNECT ON DATABASE "{name}" FROM PUBLIC',
    )
    facts = (
        "SELECT shobj_description(d.oid, 'pg_database'), setconfig, datacl::text FROM pg_database d"
        f" LEFT JOIN pg_db_role_setting ON setdatabase = d.oid WHERE datname = '{name}'"
    )
    before = query(place.target, facts)
    place.restore()
    assert query(place.target, facts) == before
    assert query(place.target, "SELECT count(*) FROM people") == [(2,)]
    assert not any(one.startswith("rlg_") for one in place.databases())


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE t ()",
        "CREATE VIEW v AS SELECT 1",
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE TYPE e AS ENUM ('a')",
        "CREATE SCHEMA s",
        "CREATE EXTENSION hstore",
        "SELECT lo_create(0)",
        "CREATE SEQUENCE s",
        "CREATE PUBLICATION p",
        "CREATE TEXT SEARCH CONFIGURATION c (COPY = english)",
        "CREATE TEXT SEARCH DICTIONARY d (TEMPLATE = simple)",
        "CREATE CONVERSION c FOR 'LATIN1' TO 'UTF8' FROM iso8859_1_to_utf8",
        "CREATE OPERATOR FAMILY f USING btree",
        "CREATE ACCESS METHOD a TYPE TABLE HANDLER heap_tableam_handler",
    ],
)
def test_a_database_that_is_not_empty_is_never_touched(place: Place, statement: str) -> None:
    execute(address_of(place.server), f'CREATE DATABASE "{place.target.database}"')
    execute(place.target, statement)
    assert place.refusal(DestinationUnsuitable) == (
        f"unable to restore to '{place.target}': it exists and is not empty\n"
        "hint: name a database that does not exist, or an empty one of your own that nobody is connected to"
    )


def test_an_empty_database_that_somebody_is_connected_to_is_refused_before_anything_is_made(place: Place) -> None:
    execute(address_of(place.server), f'CREATE DATABASE "{place.target.database}"')
    with session(place.target):
        assert "somebody is connected to it" in place.refusal(DestinationUnsuitable)


def test_the_database_that_restores_work_from_is_not_restored_to(place: Place) -> None:
    to = place.target.of("postgres")
    assert place.refusal(DestinationUnsuitable, to=to) == (
        f"unable to restore to '{to}': restores work from there\nhint: name another database"
    )


def test_a_name_that_is_too_long_is_refused(place: Place) -> None:
    to = place.target.of("ü" * 32)
    assert place.refusal(DestinationUnsuitable, to=to) == (
        f"unable to restore to '{to}': its name is longer than 63 bytes"
    )


def test_a_name_that_was_taken_meanwhile_is_not_taken_over(place: Place) -> None:
    def take(_: object) -> None:
        execute(address_of(place.server), f'CREATE DATABASE "{place.target.database}"')
        execute(place.target, "CREATE TABLE theirs ()")

    with pytest.raises(DestinationUnsuitable, match="it exists and is not empty"):
        place.restore(before_finish=take)
    assert query(place.target, "SELECT relname FROM pg_class WHERE relname IN ('theirs', 'people')") == [("theirs",)]
    assert not any(one.startswith("rlg_") for one in place.databases())


def test_what_a_killed_restore_left_is_removed_and_what_a_living_one_builds_is_not(place: Place) -> None:
    mark = "rlg-backup: an unfinished restore of x"
    execute(
        address_of(place.server),
        "CREATE DATABASE rlg_restore_0123456789ab",
        f"COMMENT ON DATABASE rlg_restore_0123456789ab IS '{mark}'",
        "CREATE DATABASE rlg_restore_unmarked",
        "CREATE DATABASE rlg_restore_ffffffffffff",
    )
    living: set[str] = set()

    def other(_: object) -> None:
        living.update(name for name in place.databases() if name.startswith("rlg_restore_"))
        place.restore(place.target.of(f"{place.target.database}_2"))
        assert living == {name for name in place.databases() if name.startswith("rlg_restore_")}

    place.restore(before_finish=other)
    assert len(living) == 3
    assert "rlg_restore_0123456789ab" not in living
    for name in ("rlg_restore_unmarked", "rlg_restore_ffffffffffff", f"{place.target.database}_2"):
        execute(address_of(place.server), f'DROP DATABASE "{name}"')
