"""What goes wrong while a database is restored: one error in our words, no value of a row, nothing left."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest
from tests.support.postgres_server import address_of, execute, query
from tests.unit.sources.postgres.conftest import Place, edited

from rlg_backup.core.errors import (
    DestinationUnavailable,
    DestinationUnsuitable,
    MemberDamaged,
    ParityFailed,
    StorageFull,
)
from rlg_backup.sources.port import Column, Table
from rlg_backup.sources.postgres.building import complained, refused
from rlg_backup.sources.postgres.destination import PostgresDestination
from rlg_backup.sources.postgres.programs import complaints
from rlg_backup.sources.postgres.source import PostgresSource

pytestmark = pytest.mark.usefixtures("filled")


def spoiled(statement: str) -> Callable[[PostgresDestination], None]:
    """Changes a row of the copy before its constraints are made."""

    def change(destination: PostgresDestination) -> None:
        assert destination._temporary is not None
        execute(destination._temporary.address, statement)

    return change


@pytest.mark.parametrize(
    ("statement", "text"),
    [
        (
            "INSERT INTO people SELECT * FROM people",
            "unable to make 'people': rows repeat a value that must be unique (constraint 'people_pkey')",
        ),
        (
            "UPDATE people SET town = 4711",
            "unable to make 'people': a row refers to one that is not there (constraint 'people_town_fkey')",
        ),
    ],
    ids=["unique", "foreign key"],
)
def test_rows_that_break_a_constraint_name_it_and_no_value(place: Place, statement: str, text: str) -> None:
    assert place.refusal(ParityFailed, before_finish=spoiled(statement)) == text


def test_a_row_that_breaks_a_check_names_it_and_no_value(place: Place) -> None:
    towns = Table("public", "towns", (Column("id", ""), Column("name", "")), "")

    def load(destination: PostgresDestination) -> None:
        destination.load(towns, [pa.record_batch([pa.array([9]), pa.array([""])], names=["id", "name"])])

    assert place.refusal(ParityFailed, before_finish=load) == (
        "unable to load 'towns': a row breaks a check (table 'towns', constraint 'towns_name_check')"
    )


def test_a_value_that_is_not_of_its_column_s_type_is_not_shown(place: Place) -> None:
    towns = Table("public", "towns", (Column("id", ""),), "")

    def load(destination: PostgresDestination) -> None:
        destination.load(towns, [pa.record_batch([pa.array(["5555-4444"])], names=["id"])])

    assert place.refusal(MemberDamaged, before_finish=load) == (
        "unable to load 'towns': a value is not of its column's type"
    )


def test_masked_rows_that_break_a_foreign_key_are_a_warning(place: Place) -> None:
    place.restore(before_finish=spoiled("UPDATE people SET town = 4711"), altered=True)
    assert place.warnings == [
        "people: the constraint 'people_town_fkey' was not made: a row refers to one that is not there"
    ]
    assert query(place.target, "SELECT conname FROM pg_constraint WHERE conname = 'people_town_fkey'") == []
    assert query(place.target, "SELECT tgname FROM pg_trigger WHERE tgname = 'fires'") == [("fires",)]


def test_a_table_that_the_definitions_do_not_make_is_damage(place: Place) -> None:
    stray = Table("public", "stray", (Column("a", ""),), "")

    def load(destination: PostgresDestination) -> None:
        destination.load(stray, [pa.record_batch([pa.array([1])], names=["a"])])

    assert place.refusal(MemberDamaged, before_finish=load) == (
        "unable to load 'stray': the definitions lack it, a column of it, or what a value of it names"
    )


def test_a_sequence_that_the_definitions_do_not_make_is_damage(place: Place) -> None:
    stray = [{"schema": "public", "name": "stray", "last_value": "1", "is_called": True}]
    assert place.refusal(MemberDamaged, change=edited(sequences=stray)) == (
        "unable to read 'schema/postgres.json': it sets sequences that the definitions do not make"
    )


def test_definitions_that_are_no_dump_are_damage(place: Place) -> None:
    assert place.refusal(MemberDamaged, change=lambda files: files.update({"postgres.dump": b"PGDMP?"})) == (
        "unable to read 'schema/postgres.dump': pg_restore cannot read it"
    )


def test_a_session_that_ends_while_rows_are_loaded_is_a_passing_fault(place: Place) -> None:
    towns = Table("public", "towns", (Column("id", ""),), "")

    def batches() -> Any:
        yield pa.record_batch([pa.array([10])], names=["id"])
        query(
            address_of(place.server),
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE query LIKE 'COPY%' AND datname LIKE 'rlg_restore%'",
        )
        yield pa.record_batch([pa.array(range(11, 200_000))], names=["id"])

    text = place.refusal(DestinationUnavailable, before_finish=lambda there: there.load(towns, batches()))
    assert text == "unable to load 'towns': the connection to the server was lost or refused"


def test_a_server_that_is_not_there_is_a_passing_fault(place: Place) -> None:
    to = replace(place.target, port=1)
    assert place.refusal(DestinationUnavailable, to=to) == f"unable to restore to '{to}': no server answers there"


def test_what_is_loaded_after_the_end_is_refused(place: Place) -> None:
    destination = PostgresDestination(place.target, reopen=PostgresSource.of_copy)
    destination.close()
    destination.close()
    with pytest.raises(DestinationUnsuitable) as caught:
        destination.load(Table("public", "t", (), ""), [])
    assert str(caught.value) == "unable to load 't': nothing is being built"


def test_a_full_disk_is_told_as_that(place: Place) -> None:
    assert type(refused("load", "t", "53100", "any")) is StorageFull
    said = (
        'pg_restore: error: could not execute query: ERROR:  could not extend file "base/1": No space left on device\n'
    )
    (complaint,) = complaints(iter([said]))
    assert str(complained(complaint, place.target)) == f"unable to make '{place.target}': the server's disk is full"
