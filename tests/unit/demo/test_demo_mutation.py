"""A mutation changes every part in every way, the same way for the same seed, and breaks nothing."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rlg_backup.core.errors import ConfigurationError, InvalidSetting
from rlg_backup.demo import generate, mutate

from .conftest import DATABASES, INCLUDE, dump, sound, wrong_prices

KINDS = {
    *(f"{name}.{kind}" for name in DATABASES for kind in ("insert", "update", "delete", "rekey")),
    *(f"files.{kind}" for kind in ("create", "edit", "rename", "delete", "mode", "relink")),
}


def rows(folder: Path, name: str, sql: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(folder / f"{name}.db")) as database:
        return database.execute(sql).fetchall()


@pytest.mark.parametrize("changes", [50, 400])
def test_every_kind_of_change_occurs(copy: Path, changes: int) -> None:
    summary = mutate(copy, seed=3, changes=changes)
    assert set(summary.operations) == KINDS
    assert sum(summary.operations.values()) == changes


def test_rows_are_added_changed_removed_and_given_other_keys(made: Path, copy: Path) -> None:
    mutate(copy, seed=3, changes=300)
    for name, table in (("rlg_data", "accounts"), ("rlg_fans", "fan_accounts")):
        before, after = (dict(rows(folder, name, f"SELECT id, email FROM {table}")) for folder in (made, copy))
        assert set(after) - set(before) and set(before) - set(after)
        moved = {email for key, email in after.items() if before.get(key) != email} & set(before.values())
        assert moved, f"no key of {table} changed"
    dates = "SELECT id, updated_at FROM accounts"
    old, new = dict(rows(made, "rlg_data", dates)), dict(rows(copy, "rlg_data", dates))
    assert any(old[key] != new[key] for key in set(old) & set(new))


def test_files_are_added_edited_renamed_and_removed(made: Path, copy: Path) -> None:
    mutate(copy, seed=3, changes=80)

    def contents(folder: Path) -> dict[str, bytes]:
        root = folder / "files"
        return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file() and not p.is_symlink()}

    before, after = contents(made), contents(copy)
    assert set(after) - set(before) and set(before) - set(after)
    edited = [name for name in set(before) & set(after) if before[name] != after[name]]
    assert any(len(before[name]) == len(after[name]) for name in edited)
    assert any(len(before[name]) != len(after[name]) for name in edited)
    kept = set(before) - set(after)
    assert {before[name] for name in kept} & {after[name] for name in set(after) - set(before)}, "nothing was renamed"


def test_the_same_seed_changes_the_same_way_and_the_next_call_goes_on(made: Path, tmp_path: Path) -> None:
    dumps = []
    for name in ("one", "other"):
        folder = Path(shutil.copytree(made, tmp_path / name, symlinks=True))
        mutate(folder, seed=5, changes=120)
        once = dump(folder)
        mutate(folder, seed=5, changes=120)
        dumps.append((once, dump(folder)))
    assert dumps[0] == dumps[1]
    assert dumps[0][0] != dumps[0][1]


def test_no_trigger_writes_the_time_of_this_host(copy: Path) -> None:
    """The platform's clock begins in 2026-09 and moves one second a change."""
    mutate(copy, seed=1, changes=300)
    for name, table in (("rlg_data", "accounts"), ("rlg_fans", "fan_accounts")):
        ((latest,),) = rows(copy, name, f"SELECT max(updated_at) FROM {table}")
        assert "2026-09-01T00:00:00Z" < str(latest) < "2026-09-01T00:10:00Z"


def test_cancelling_is_logged_by_the_trigger(made: Path, copy: Path) -> None:
    logged = "SELECT count(*) FROM event_log WHERE service = 'subscriptions' AND event = 'cancelled'"
    assert rows(made, "rlg_data", logged) == [(0,)]
    mutate(copy, seed=3, changes=300)
    assert rows(copy, "rlg_data", logged) > [(0,)]


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seeds=st.lists(st.integers(0, 2**32), min_size=1, max_size=3), changes=st.integers(0, 250))
def test_any_mutations_leave_a_sound_platform_with_its_prices(
    made: Path, tmp_path_factory: pytest.TempPathFactory, seeds: list[int], changes: int
) -> None:
    folder = tmp_path_factory.mktemp("mutated") / "platform"
    shutil.copytree(made, folder, symlinks=True)
    before = {name: rows(folder, name, "SELECT * FROM prices") for name in DATABASES}
    for seed in (*seeds, seeds[0]):
        assert sum(mutate(folder, seed=seed, changes=changes).operations.values()) == changes
    assert sound(folder)
    assert {name: rows(folder, name, "SELECT * FROM prices") for name in DATABASES} == before
    with closing(sqlite3.connect(folder / "rlg_data.db")) as database:
        assert wrong_prices(database, "subscriptions", "accounts", "account_id") == 0
    with closing(sqlite3.connect(folder / "rlg_fans.db")) as database:
        assert wrong_prices(database, "fan_subscriptions", "fan_accounts", "fan_id") == 0
    named = rows(folder, "rlg_data", "SELECT path FROM report_runs WHERE path IS NOT NULL")
    named += rows(folder, "rlg_fans", "SELECT template FROM newsletters")
    assert [path for (path,) in named if not (folder / "files" / str(path)).is_file()] == []
    shutil.rmtree(folder)


def test_a_platform_of_one_account_survives_many_changes(tmp_path: Path) -> None:
    generate(tmp_path / "p", include=INCLUDE, size=1)
    mutate(tmp_path / "p", seed=1, changes=600)
    assert sound(tmp_path / "p")


def test_no_changes_change_nothing(made: Path, copy: Path) -> None:
    before = dump(copy)
    summary = mutate(copy, seed=3, changes=0)
    assert summary.operations == {}
    assert dump(copy) == before


def test_a_negative_number_of_changes_is_refused(copy: Path) -> None:
    with pytest.raises(InvalidSetting) as raised:
        mutate(copy, seed=1, changes=-1)
    assert str(raised.value) == f"unable to change '{copy}': the number of changes is -1, the least is 0"


def test_a_folder_without_a_platform_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as raised:
        mutate(tmp_path, seed=1, changes=1)
    assert type(raised.value) is ConfigurationError
    assert str(raised.value) == (
        f"unable to change '{tmp_path}': it has no rlg_data.db\nhint: generate a platform there first"
    )


def test_a_file_that_is_no_database_is_an_error_of_ours(copy: Path) -> None:
    (copy / "rlg_data.db").write_bytes(b"not a database, and long enough to be looked at" * 10)
    with pytest.raises(ConfigurationError) as raised:
        mutate(copy, seed=1, changes=1)
    assert type(raised.value) is ConfigurationError
    assert str(raised.value) == f"unable to change '{copy}': SQLite says SQLITE_NOTADB"
