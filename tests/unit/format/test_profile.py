"""The profile: the bytes that the manifest names, and in agreement with itself."""

from __future__ import annotations

import copy
import hashlib
from typing import Any

import pytest
from tests.unit.format.documents import PROFILE, A

from rlg_backup.core.errors import BackupError, DocumentDamaged, FormatUnsupported
from rlg_backup.format.canonical import serialize
from rlg_backup.format.profile import Profile


def load(value: dict[str, Any]) -> Profile:
    data = serialize(value, "x")
    return Profile.load(data, sha256=hashlib.sha256(data).hexdigest())


def failure(value: dict[str, Any]) -> tuple[type[BackupError], str]:
    with pytest.raises(BackupError) as caught:
        load(value)
    return caught.type, str(caught.value)


WHOLE = {"type": "profile", "version": 1, **PROFILE}


def test_a_profile_is_read_back() -> None:
    profile = load(WHOLE)
    assert profile == Profile.from_dict(PROFILE, "x")
    assert profile.to_bytes() == serialize(WHOLE, "x")
    assert profile.tables[0].schema_name == "main"
    assert "digest_key" not in repr(profile)


def test_a_profile_of_before_names_no_kind_of_row_digest_and_no_table_that_another_is_within() -> None:
    value = copy.deepcopy(WHOLE)
    del value["row_digest"]
    for later in ("within", "change", "rules", "zones"):
        del value["tables"][0][later]
    profile = load(value)
    table = profile.tables[0]
    assert (profile.row_digest, table.within, table.change, table.rules) == ("sha256", (), None, ())
    assert table.stored_rows == table.rows


def test_other_bytes_than_the_manifest_names_are_refused() -> None:
    with pytest.raises(DocumentDamaged) as caught:
        Profile.load(serialize(WHOLE, "x"), sha256=A)
    assert str(caught.value) == "unable to read 'profile.json': its SHA-256 is not the one the manifest names"


def test_a_later_version_is_not_supported_and_another_type_is_no_profile() -> None:
    cause = "it has version 2, this release reads 1\nhint: use the release that wrote it, or a later one"
    assert failure({**WHOLE, "version": 2}) == (FormatUnsupported, f"unable to read 'profile.json': {cause}")
    cause = "it does not say that it is a profile, and its version"
    for kind in ({"type": "manifest"}, {"version": 0}, {"version": True}, {"version": "1"}):
        assert failure({**WHOLE, **kind}) == (DocumentDamaged, f"unable to read 'profile.json': {cause}")
    assert failure(PROFILE) == (DocumentDamaged, f"unable to read 'profile.json': {cause}")


def test_rows_by_place_must_add_up_to_the_rows() -> None:
    value = copy.deepcopy(WHOLE)
    value["tables"][0]["geography"]["country"]["fr"] = 3
    cause = "field 'tables.0': its rows by country do not add up to its rows"
    assert failure(value) == (DocumentDamaged, f"unable to read 'profile.json': {cause}")


@pytest.mark.parametrize("total", ["", "01", "1.", "+1", "-", "1e3", "NaN", "-01", " 1", "1\n"])
def test_a_total_is_a_plain_decimal(total: str) -> None:
    value = copy.deepcopy(WHOLE)
    value["tables"][0]["totals"]["cents"]["all"] = total
    assert failure(value)[0] is DocumentDamaged


def test_nothing_is_named_twice() -> None:
    table = WHOLE["tables"][0]
    twice = {**WHOLE, "tables": [table, table]}
    assert failure(twice)[1] == "unable to read 'profile.json': it names one table twice"
    other = {**WHOLE, "tables": [table, {**table, "name": "other"}]}
    assert failure(other)[1] == "unable to read 'profile.json': it names one member twice"
    columns = {**WHOLE, "tables": [{**table, "columns": table["columns"] * 2}]}
    assert failure(columns)[1] == "unable to read 'profile.json': field 'tables.0': it names one column twice"


def test_tables_whose_names_only_look_alike_are_two() -> None:
    table = WHOLE["tables"][0]
    first = {**table, "schema": "a", "name": "bc", "change": None, "members": ["x"]}
    second = {**table, "schema": "ab", "name": "c", "change": None, "members": ["y"]}
    assert len(load({**WHOLE, "tables": [first, second]}).tables) == 2


def test_a_profile_without_tables_or_tree_is_one() -> None:
    empty = {**WHOLE, "tables": [], "tree": None, "excluded": [], "warnings": []}
    assert load(empty).to_bytes() == serialize(empty, "x")
