"""The file that the DAG files read: where it is, and what is said when it is not."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.airflow_home import PROJECT
from tests.support.world import World

from rlg_backup.core.errors import ConfigurationError, InvalidSetting, SourceUnreadable, UnknownSetting
from rlg_backup.tasks.configuration import config_path, run_name, settings
from rlg_backup.tasks.wire import wire


def test_the_variable_names_the_file_and_without_it_the_projects_own_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RLG_BACKUP_CONFIG", "/elsewhere/backup.yaml")
    assert config_path() == Path("/elsewhere/backup.yaml")
    for value in ("", None):
        monkeypatch.setenv("RLG_BACKUP_CONFIG", value) if value is not None else monkeypatch.delenv("RLG_BACKUP_CONFIG")
        assert config_path() == PROJECT / "include" / "config" / "backup.yaml"


def test_a_file_that_is_not_there_is_said_with_the_way_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "absent.yaml"
    monkeypatch.setenv("RLG_BACKUP_CONFIG", str(place))
    with pytest.raises(ConfigurationError) as error:
        settings()
    assert type(error.value) is ConfigurationError
    assert str(error.value) == (
        f"unable to load '{place}': No such file or directory\n"
        "hint: set RLG_BACKUP_CONFIG, or write include/config/backup.yaml"
    )


@pytest.mark.parametrize(
    ("text", "kind", "cause"),
    [
        ("", InvalidSetting, "unable to load '{}': the file does not hold a mapping of settings"),
        (
            "version: 1\nversion: 1\n",
            InvalidSetting,
            "unable to load '{}': the key 'version' stands twice (line 2, column 1)",
        ),
        (
            "version: [1",
            InvalidSetting,
            "unable to load '{}': expected ',' or ']', but got '<stream end>' (line 1, column 12)",
        ),
    ],
    ids=["empty", "twice", "not-yaml"],
)
def test_a_file_that_is_no_configuration_is_one_clear_error(
    text: str, kind: type[ConfigurationError], cause: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "backup.yaml"
    place.write_text(text)
    monkeypatch.setenv("RLG_BACKUP_CONFIG", str(place))
    with pytest.raises(kind) as error:
        settings()
    assert (type(error.value), str(error.value)) == (kind, cause.format(place))


def test_a_changed_file_is_read_again_and_an_unchanged_one_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World.make(tmp_path / "project")
    monkeypatch.setenv("RLG_BACKUP_CONFIG", str(world.config))
    first = settings()
    assert settings() is first
    world.settings["restore_queue"] = "vault"
    world.save()
    os.utime(world.config, ns=(1, 1))  # an older file put in its place is a change as well
    assert settings().restore_queue == "vault"
    world.settings["restore_que"] = "x"
    world.save()
    with pytest.raises(UnknownSetting):
        settings()


def test_a_run_id_becomes_one_folder_name() -> None:
    given = "manual__2026-11-23T13:12:21.071587+00:00_PrYB2T2g"
    assert run_name(given) == "manual__2026-11-23T13_12_21_071587_00_00_PrYB2T2g"


@given(st.text(min_size=1, max_size=80))
def test_no_run_id_leads_out_of_the_staging_folder(run_id: str) -> None:
    assert re.fullmatch(r"[A-Za-z0-9_-]+", run_name(run_id))


def test_a_connection_gives_a_source_its_path_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever may edit connections gets no recipient, no signer and no policy of theirs into the configuration."""
    world = World.make(tmp_path / "project")
    del world.source["path"]
    world.save()
    monkeypatch.setenv("RLG_BACKUP_CONFIG", str(world.config))
    found = settings()
    theirs = json.loads(json.dumps(world.settings)) | {"recipients": ["age1theirs"]}
    extra = {**theirs, "policies": {}, "path": "/theirs", "targets": ["theirs"]}
    connection = {"conn_type": "sqlite", "host": "/from/the/connection.db", "schema": "theirs", "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_RLG_APP", json.dumps(connection))
    wiring = wire()
    assert wiring.settings == found
    with pytest.raises(SourceUnreadable) as raised, wiring.table_source("app").snapshot():
        pass
    assert raised.value.subject == "/from/the/connection.db"
