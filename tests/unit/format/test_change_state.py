"""The change state: of one backup, in one spelling, and in agreement with itself."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from tests.unit.format.documents import BACKUP, PARENT, STATE

from rlg_backup.core.errors import BackupError, DocumentDamaged, FormatUnsupported
from rlg_backup.format import change_state
from rlg_backup.format.canonical import serialize
from rlg_backup.format.change_state import ChangeState, identity_of

WHOLE = {"type": "change-state", "version": 1, **STATE}


def load(data: bytes, *, source: str = "rlg_data", backup_id: str = BACKUP) -> ChangeState:
    return ChangeState.load(data, source=source, backup_id=backup_id)


def failure(data: bytes, **of: str) -> tuple[type[BackupError], str]:
    with pytest.raises(BackupError) as caught:
        load(data, **of)
    return caught.type, str(caught.value)


def damaged(cause: str) -> tuple[type[BackupError], str]:
    return DocumentDamaged, f"unable to read 'state.json': {cause}"


def changed(change: Callable[[dict[str, Any]], object]) -> bytes:
    value = copy.deepcopy(WHOLE)
    change(value)
    return serialize(value, "x")


def test_a_state_is_read_back_and_does_not_show_its_key() -> None:
    state = load(serialize(WHOLE, "x"))
    assert state == ChangeState.from_dict(STATE, "x")
    assert state.to_bytes() == serialize(WHOLE, "x")
    assert state.digest_key not in repr(state)


def test_that_of_another_backup_or_another_source_is_refused() -> None:
    data, cause = serialize(WHOLE, "x"), f"it is of the backup 'rlg_data/{BACKUP}'"
    assert failure(data, backup_id=PARENT) == damaged(cause)
    assert failure(data, source="rlg_other") == damaged(cause)


def test_a_later_version_is_not_supported_and_another_type_is_no_state() -> None:
    hint = "use the release that wrote it, or a later one"
    text = f"unable to read 'state.json': it has version 2, this release reads 1\nhint: {hint}"
    assert failure(serialize({**WHOLE, "version": 2}, "x")) == (FormatUnsupported, text)
    cause = "it does not say that it is a change state, and its version"
    for wrong in ({"type": "profile"}, {"version": 0}, {"version": True}, {"version": "1"}, {"version": 1.5}):
        assert failure(serialize({**WHOLE, **wrong}, "x")) == damaged(cause)
    assert failure(serialize(STATE, "x")) == damaged(cause)


def test_there_is_one_spelling_of_it() -> None:
    data = serialize(WHOLE, "x")
    assert failure(data + b"\n") == damaged("its bytes are not canonical JSON")
    assert failure(json.dumps(WHOLE).encode()) == damaged("its bytes are not canonical JSON")
    assert failure(data[:-1]) == damaged("it is not JSON that has a canonical form")


def test_one_over_its_limit_is_neither_written_nor_read(monkeypatch: pytest.MonkeyPatch) -> None:
    data, state = serialize(WHOLE, "x"), ChangeState.from_dict(STATE, "x")
    monkeypatch.setattr(change_state, "DOCUMENT", replace(change_state.DOCUMENT, limit=len(data)))
    assert load(data).to_bytes() == data
    monkeypatch.setattr(change_state, "DOCUMENT", replace(change_state.DOCUMENT, limit=len(data) - 1))
    assert failure(data) == damaged(f"it is longer than {len(data) - 1} bytes")
    with pytest.raises(DocumentDamaged) as caught:
        state.to_bytes()
    assert str(caught.value) == f"unable to write 'state.json': it is longer than {len(data) - 1} bytes"


TABLE, EMPTY = STATE["tables"]
ADD_UP = "field 'tables.0': its parts do not add up to its rows"
WRONG: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "a table twice": (lambda state: state["tables"].append(TABLE), "it names one table twice"),
    "a row more than its parts have": (lambda state: state["tables"][0].update(rows=4), ADD_UP),
    "a row less than its parts have": (lambda state: state["tables"][0]["parts"][1].update(rows=2), ADD_UP),
    "a part less": (lambda state: state["tables"][0]["parts"].pop(), ADD_UP),
    "rows and no part": (lambda state: state["tables"][1].update(rows=1), ADD_UP.replace("0", "1")),
    "a part twice": (
        lambda state: state["tables"][0].update(rows=4, parts=TABLE["parts"][:1] * 2),
        "field 'tables.0': it names one member twice",
    ),
    "a part of a tree twice": (
        lambda state: state["tree"].update(parts=STATE["tree"]["parts"] * 2),
        "field 'tree': it names one member twice",
    ),
    "a backup of a tree twice": (
        lambda state: state["tree"].update(backups=[BACKUP, BACKUP]),
        "field 'tree': it names one backup twice",
    ),
    "a kind of digest that no release writes": (
        lambda state: state.update(row_digest="sha256"),
        "field 'row_digest': Input should be 'xxh3'",
    ),
    "a place below zero": (
        lambda state: state["tables"][0]["parts"][1].update(first=-1),
        "field 'tables.0.parts.1.first': Input should be greater than or equal to 0",
    ),
}


@pytest.mark.parametrize("what", WRONG)
def test_it_does_not_name(what: str) -> None:
    change, cause = WRONG[what]
    assert failure(changed(change)) == damaged(cause)


def test_tables_whose_names_only_look_alike_are_two() -> None:
    first, second = {**EMPTY, "schema": "a", "name": "bc"}, {**EMPTY, "schema": "ab", "name": "c"}
    state = load(changed(lambda state: state.update(tables=[first, second])))
    assert [(table.schema_name, table.name) for table in state.tables] == [("a", "bc"), ("ab", "c")]


def test_a_state_without_tables_or_tree_is_one() -> None:
    data = changed(lambda state: state.update(tables=[], tree=None, position={}))
    assert load(data).to_bytes() == data


def test_an_identity_is_of_each_word_and_of_where_it_ends() -> None:
    words = [("ab", "c"), ("a", "bc"), ("abc",), ("ab", "c", ""), ("", "ab", "c"), ("c", "ab"), (), ("1:a",), ("a",)]
    assert len({identity_of(*some) for some in words}) == len(words)
    known = "74df6a7d6c539ae9a55886a63a9c97fe34446b40b84171652581ab25dec320f5"  # printf '2:é1:x' | sha256sum
    assert identity_of("é", "x") == known
