"""Connections as Airflow writes them in the environment, read without Airflow; each form is held to Airflow's own."""

from __future__ import annotations

import json

import pytest

from rlg_backup.config.connections import Connection, connection_in
from rlg_backup.core.errors import InvalidSetting

URIS = {
    "postgres://u%40x:p%2Fss@db.example:5433/da%20ta?sslmode=require": Connection(
        "postgres", "db.example", 5433, "u@x", "p/ss", "da ta", {"sslmode": "require"}
    ),
    "postgres://%2Ftmp%2FUpper/data": Connection("postgres", "/tmp/Upper", None, None, None, "data", {}),
    "postgresql://user@[::1]:5432/data": Connection("postgresql", "::1", 5432, "user", None, "data", {}),
    "postgres://host": Connection("postgres", "host"),
    "postgres://host/data?__extra__=%7B%22sslmode%22%3A+%22require%22%7D": Connection(
        "postgres", "host", None, None, None, "data", {"sslmode": "require"}
    ),
}


@pytest.mark.parametrize("text", URIS)
def test_a_uri_is_read_with_every_part_as_it_was_written(text: str) -> None:
    assert connection_in({"AIRFLOW_CONN_RLG_DATA": text}, "rlg_data") == URIS[text]


@pytest.mark.parametrize("text", [text for text in URIS if "[" not in text and "Upper" not in text])
def test_airflow_reads_the_same_of_a_uri(text: str) -> None:
    from airflow.sdk import Connection as Theirs

    theirs, ours = Theirs.from_uri(text, conn_id="x"), URIS[text]
    found = (theirs.host, theirs.port, theirs.login, theirs.password, theirs.schema or None, theirs.extra_dejson)
    assert found == (ours.host, ours.port, ours.login, ours.password, ours.database, ours.extra)


def test_json_is_read_with_extras_of_either_kind() -> None:
    fields = {"conn_type": "postgres", "host": "h", "port": "5432", "login": "u", "password": "p", "schema": "d"}
    for extra in ({"sslmode": "require"}, '{"sslmode": "require"}'):
        found = connection_in({"AIRFLOW_CONN_X": json.dumps({**fields, "extra": extra})}, "x")
        assert found == Connection("postgres", "h", 5432, "u", "p", "d", {"sslmode": "require"})


def test_one_that_is_not_set_or_empty_is_none() -> None:
    assert connection_in({}, "x") is connection_in({"AIRFLOW_CONN_X": " "}, "x") is None


@pytest.mark.parametrize(
    "text",
    ["{opensesame", '{"port": "opensesame"}', "opensesame", "postgres://h:opensesame/d", '{"extra": "opensesame"}'],
)
def test_what_is_no_connection_is_refused_and_not_shown(text: str) -> None:
    with pytest.raises(InvalidSetting) as caught:
        connection_in({"AIRFLOW_CONN_X": text}, "x")
    assert str(caught.value) == (
        "unable to read 'AIRFLOW_CONN_X': it is not a connection\n"
        "hint: give it as a URI, postgres://user:password@host:5432/database, or as JSON"
    )


def test_a_password_is_in_no_representation() -> None:
    assert "opensesame" not in repr(Connection("postgres", password="opensesame", extra={"key": "opensesame"}))
