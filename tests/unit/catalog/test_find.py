"""Finding a backup by the beginning of its id."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.unit.catalog.world import SOURCE, MemoryStorage, backup_id, catalog, fill

from rlg_backup.catalog import Catalog
from rlg_backup.core.errors import BackupError, BackupNotFound


@pytest.fixture
def store() -> MemoryStorage:
    return MemoryStorage()


@pytest.fixture
def here(store: MemoryStorage, tmp_path: Path) -> Catalog:
    return catalog(store, tmp_path)


def fails(use: Callable[[], object], error: type[BackupError], text: str) -> None:
    with pytest.raises(BackupError) as caught:
        use()
    assert (type(caught.value), str(caught.value)) == (error, text)


def test_a_unique_prefix_finds_its_backup(store: MemoryStorage, here: Catalog) -> None:
    fill(store, 12)
    assert here.find(backup_id(7)).sequence == 7
    assert here.find(backup_id(7)[:15]).sequence == 7


def test_a_prefix_of_several_names_the_newest_of_them(store: MemoryStorage, here: Catalog) -> None:
    fill(store, 5)
    text = (
        "unable to find '20261123': 5 backups on target 'nas' begin with it\n"
        f"hint: there is {backup_id(3)} and {backup_id(4)} and {backup_id(5)}"
    )
    fails(lambda: here.find("20261123"), BackupNotFound, text)


def test_an_id_with_a_slip_names_the_nearest(store: MemoryStorage, here: Catalog) -> None:
    fill(store, 2)
    slip = backup_id(2).replace("00000002", "00000022")
    with pytest.raises(BackupNotFound) as caught:
        here.find(slip)
    assert caught.value.cause == f"target 'nas' lists no such backup of source '{SOURCE}'"
    assert caught.value.hint is not None
    assert caught.value.hint.startswith(f"there is {backup_id(2)}")


def test_no_prefix_finds_nothing_and_an_empty_catalog_has_no_hint(store: MemoryStorage, here: Catalog) -> None:
    fails(
        lambda: here.find("x"),
        BackupNotFound,
        f"unable to find 'x': target 'nas' lists no such backup of source '{SOURCE}'",
    )
    fill(store, 1)
    fails(
        lambda: here.find(""),
        BackupNotFound,
        f"unable to find '': target 'nas' lists no such backup of source '{SOURCE}'\nhint: there is {backup_id(1)}",
    )
