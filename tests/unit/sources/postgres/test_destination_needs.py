"""What the server lacks that a database needs: named before anything is made, or left out and told."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from tests.support.postgres_server import Servers, address_of, execute, query
from tests.unit.sources.postgres.conftest import Place, edited

from rlg_backup.core.errors import DestinationUnsuitable

pytestmark = pytest.mark.usefixtures("filled")


@pytest.fixture
def _roles(filled: Place) -> None:
    """Roles that the database names, and that another server has not."""
    execute(address_of(filled.server), "CREATE ROLE gone", "CREATE ROLE stays")
    execute(
        filled.source,
        "ALTER TABLE towns OWNER TO gone",
        "GRANT SELECT ON people TO gone, stays",
        "CREATE POLICY theirs ON people TO gone USING (true)",
        "ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO stays, gone",
    )


@pytest.fixture(autouse=True)
def _no_roles(place: Place) -> Iterator[None]:
    yield
    for name in ("gone", "stays"):
        if query(address_of(place.server), f"SELECT FROM pg_roles WHERE rolname = '{name}'"):
            execute(place.source, f"DROP OWNED BY {name} CASCADE")
            if place.target.database in place.databases():
                execute(place.target, f"DROP OWNED BY {name} CASCADE")
            execute(address_of(place.server), f"DROP ROLE {name}")


@pytest.mark.usefixtures("_roles")
def test_a_role_that_is_missing_is_named_before_anything_is_made(place: Place, servers: Servers) -> None:
    other = servers[16]
    place_there = Place(other, place.source, address_of(other, place.target.database))
    assert place_there.refusal(DestinationUnsuitable) == (
        f"unable to restore to '{place_there.target}': the server lacks the roles 'gone', 'stays'\n"
        "hint: make them there, or let the restore go without (missing_roles: report)"
    )


@pytest.mark.usefixtures("_roles")
def test_what_a_missing_role_owned_is_ours_and_what_others_were_granted_stays(place: Place, servers: Servers) -> None:
    other = servers[16]
    there = Place(other, place.source, address_of(other, place.target.database))
    execute(address_of(other), "CREATE ROLE stays")
    try:
        there.restore(missing_roles="report")
        assert there.warnings == [
            "the server lacks the roles 'gone': left out",
            "the server is of version 16, older than the source's 18",
            "towns: what names the role 'gone' was left out",
            "people: what names the role 'gone' was left out",
        ]
        assert query(there.target, "SELECT pg_get_userbyid(relowner) FROM pg_class WHERE relname = 'towns'") == [
            ("postgres",)
        ]
        assert query(there.target, "SELECT has_table_privilege('stays', 'people', 'SELECT')") == [(True,)]
        assert query(there.target, "SELECT defaclacl::text FROM pg_default_acl") == [
            ("{postgres=arwdDxt/postgres,stays=r/postgres}",)
        ]
    finally:
        execute(there.target, "DROP OWNED BY stays CASCADE")
        execute(address_of(other), f'DROP DATABASE IF EXISTS "{there.target.database}"', "DROP ROLE stays")


def test_an_extension_that_is_missing_is_named_before_anything_is_made(place: Place) -> None:
    lacking = [{"name": name, "schema": "public", "version": "1"} for name in ("nonesuch", "postgis", "plpgsql")]
    assert place.refusal(DestinationUnsuitable, change=edited(extensions=lacking)) == (
        f"unable to restore to '{place.target}': the server lacks the extensions 'nonesuch', 'postgis'\n"
        "hint: install their files on the server, then restore again"
    )


def test_a_tablespace_that_is_missing_is_refused_or_left_out(place: Place) -> None:
    assert "the server lacks the tablespaces 'fast'" in place.refusal(
        DestinationUnsuitable, change=edited(tablespaces=["fast"])
    )
    place.restore(change=edited(tablespaces=["fast"]), missing_roles="report")
    assert place.warnings == ["the server lacks the tablespaces 'fast': left out"]


def test_a_locale_that_the_server_has_not_is_told_with_the_way_out(place: Place) -> None:
    locale = {"encoding": "UTF8", "provider": "c", "collate": "tlh_QO", "ctype": "C", "locale": None, "rules": None}
    assert place.refusal(DestinationUnsuitable, change=edited(locale=locale)) == (
        f"unable to restore to '{place.target}': the server cannot make a database of encoding UTF8 and locale"
        " 'tlh_QO'\nhint: install that locale on the server's machine (locale-gen), or restore to a server that has it"
    )


def test_a_user_who_may_make_no_databases_is_told_so(place: Place) -> None:
    execute(address_of(place.server), "CREATE ROLE gone LOGIN PASSWORD 'x'")
    to = replace(place.target, user="gone", password="x")
    assert place.refusal(DestinationUnsuitable, to=to) == f"unable to restore to '{to}': permission denied"
