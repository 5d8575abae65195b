"""Listing: from names alone, and names that contradict each other are never passed over."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from tests.unit.catalog.world import ROOT, SOURCE, MemoryStorage, Watched, backup_id, fill

from rlg_backup.catalog.points import RestorePoint, list_entries, parse_key
from rlg_backup.core.errors import CatalogForged, CatalogGap, InvalidSetting
from rlg_backup.core.model import Kind

COMPARE = "hint: compare with the source's other targets before restoring from this one"


def test_points_come_from_names_alone_newest_last_without_opening_anything() -> None:
    store = MemoryStorage()
    fill(store, 3)
    store.overwrite(f"{ROOT}lease.json", b"not read")

    def no_get(operation: str, key: str) -> None:
        assert operation == "list"

    points = list_entries(Watched(store, before=no_get), SOURCE)
    assert [point.sequence for point in points] == [1, 2, 3]
    assert points[2] == RestorePoint("nas", SOURCE, 3, backup_id(3), Kind.FULL)
    assert points[2].time == datetime(2026, 11, 23, 2, 0, 3, tzinfo=UTC)
    assert [point.key for point in points] == [key for key in sorted(store.objects) if "lease" not in key]


def test_a_source_that_was_never_backed_up_has_no_points_and_its_neighbour_is_not_listed() -> None:
    store = MemoryStorage()
    fill(store, 2, source="rlg_data_too")
    assert list_entries(store, SOURCE) == []


@pytest.mark.parametrize(
    "name",
    [
        "notes.txt",
        "lease.json.bak",
        f"00000000-{backup_id(1)}-full.json",
        f"1-{backup_id(1)}-full.json",
        f"00000001-{backup_id(1)}-copy.json",
        f"00000001-{backup_id(1)}-full.json.json",
        f"00000001-{backup_id(171).upper()}-full.json",
        "00000001-20261399T020001Z-00000001-full.json",
        f"old/00000001-{backup_id(1)}-full.json",
    ],
)
def test_a_name_that_is_no_records_is_an_error_and_not_passed_over(name: str) -> None:
    store = MemoryStorage()
    fill(store, 1)
    store.overwrite(ROOT + name, b"{}")
    with pytest.raises(CatalogForged) as caught:
        list_entries(store, SOURCE)
    assert str(caught.value) == (
        f"unable to list '{ROOT}{name}': its name on target 'nas' is not that of a commit record\n"
        "hint: find out who wrote it, then remove it"
    )


def test_control_characters_of_a_foreign_name_stay_out_of_the_error() -> None:
    with pytest.raises(CatalogForged) as caught:
        parse_key("nas", SOURCE, f"{ROOT}\x1b[2J{'x' * 300}")
    assert str(caught.value) == (
        f"unable to list '{ROOT}\\x1b[2J{'x' * (117 - len(ROOT) - 7)}...': "
        "its name on target 'nas' is not that of a commit record\nhint: find out who wrote it, then remove it"
    )


def test_a_key_outside_the_sources_folder_is_no_record_of_it() -> None:
    with pytest.raises(CatalogForged):
        parse_key("nas", SOURCE, f"catalog/rlg_fans/00000001-{backup_id(1)}-full.json")


def test_two_records_with_one_sequence_are_forged() -> None:
    store = MemoryStorage()
    keys = fill(store, 2)
    store.overwrite(f"{ROOT}00000002-{backup_id(9)}-full.json", store.data(keys[1]))
    with pytest.raises(CatalogForged) as caught:
        list_entries(store, SOURCE)
    assert str(caught.value) == (
        f"unable to list '{ROOT}00000002-{backup_id(9)}-full.json': "
        f"'{keys[1]}' has the same sequence on target 'nas'\n{COMPARE}"
    )


def test_one_backup_with_two_sequences_is_forged() -> None:
    store = MemoryStorage()
    keys = fill(store, 2)
    store.overwrite(f"{ROOT}00000003-{backup_id(1)}-full.json", b"")
    with pytest.raises(CatalogForged) as caught:
        list_entries(store, SOURCE)
    assert str(caught.value) == (
        f"unable to list '{ROOT}00000003-{backup_id(1)}-full.json': "
        f"'{keys[0]}' is of the same backup on target 'nas'\n{COMPARE}"
    )


@pytest.mark.parametrize(("removed", "missing"), [(0, 1), (1, 2), (2, 3)])
def test_a_hole_in_the_sequence_is_a_gap_also_at_the_beginning(removed: int, missing: int) -> None:
    store = MemoryStorage()
    store.remove(fill(store, 4)[removed])
    with pytest.raises(CatalogGap) as caught:
        list_entries(store, SOURCE)
    assert str(caught.value) == (
        f"unable to list 'catalog/{SOURCE}': record {missing:08d} is missing on target 'nas': "
        f"a backup is hidden, or was removed\n{COMPARE}"
    )
    assert caught.value.exit_code == 3
    assert len(list_entries(store, SOURCE, whole=False)) == 3


def test_a_commit_during_the_listing_is_not_taken_for_a_hole() -> None:
    store = MemoryStorage()
    hidden = fill(store, 3)[1]
    late = store.remove(hidden)

    def appears(operation: str, key: str) -> None:
        store.overwrite(hidden, late)

    assert len(list_entries(Watched(store, after=appears), SOURCE)) == 3


@pytest.mark.parametrize("source", ["", "RLG", "../etc", "a/b", "1st"])
def test_what_is_no_sources_name_is_refused_before_the_target_is_touched(source: str) -> None:
    def untouched(operation: str, key: str) -> None:
        raise AssertionError

    with pytest.raises(InvalidSetting) as caught:
        list_entries(Watched(MemoryStorage(), before=untouched), source)
    assert str(caught.value) == (
        f"unable to list 'catalog/{source}': the source's name is not lower-case letters, digits and '_'"
    )
