"""The retention record: at its own place, in agreement with itself; and how each event changes the state."""

from __future__ import annotations

import copy
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.format.documents import BACKUP, COMMIT, PARENT, RETENTION, A
from tests.unit.format.signers import OURS, THEIRS

from rlg_backup.core.errors import CatalogForged, DocumentDamaged, SignatureInvalid, SignerUnknown
from rlg_backup.core.model import Tier
from rlg_backup.format.commit import CommitRecord
from rlg_backup.format.retention import (
    NOTHING,
    Archived,
    Drill,
    Drilled,
    Erased,
    Expired,
    Held,
    Hold,
    Kept,
    Mark,
    Marked,
    Released,
    Removal,
    RetentionRecord,
    State,
)
from rlg_backup.format.signing import SignerOf, sign

PATH = "catalog/rlg_data/00000013-20261124T090000Z-0a0b0c0d-retention.json"
NOW = datetime(2026, 11, 24, 9, tzinfo=UTC)


def load(value: dict[str, Any], *, path: str = PATH, target: str = "local") -> RetentionRecord:
    return RetentionRecord.load(sign("retention", value, OURS), [OURS.public], path=path, target=target)


def test_a_signed_record_is_read_back_from_its_place() -> None:
    record = RetentionRecord.from_dict(RETENTION, "x")
    assert record.path == PATH
    assert load(RETENTION) == record
    assert record.sign(OURS) == sign("retention", RETENTION, OURS)


@pytest.mark.parametrize(
    "field", [{"source": "rlg_fans"}, {"sequence": 14}, {"record_id": "20261124T090000Z-00000000"}]
)
def test_a_record_moved_to_another_place_is_refused(field: dict[str, object]) -> None:
    own = RetentionRecord.from_dict({**RETENTION, **field}, "x").path
    with pytest.raises(CatalogForged) as caught:
        load({**RETENTION, **field})
    assert str(caught.value) == f"unable to verify '{PATH}': it is the record '{own}'"


def test_a_record_of_another_target_and_one_signed_as_another_type_are_refused() -> None:
    with pytest.raises(CatalogForged) as moved:
        load(RETENTION, target="s3")
    assert str(moved.value) == f"unable to verify '{PATH}': it was made for target 'local', not for 's3'"
    with pytest.raises(SignatureInvalid):
        RetentionRecord.load(sign("commit", RETENTION, OURS), [OURS.public], path=PATH, target="local")


def test_a_signer_of_some_types_is_unknown_for_the_others() -> None:
    only = [SignerOf(OURS.public, frozenset({"retention"})), SignerOf(THEIRS.public, frozenset({"commit"}))]
    assert RetentionRecord.load(sign("retention", RETENTION, OURS), only, path=PATH, target="local")
    commit = f"catalog/rlg_data/00000012-{BACKUP}-full.json"
    assert CommitRecord.load(sign("commit", COMMIT, THEIRS), only, path=commit, target="local")
    with pytest.raises(SignerUnknown) as caught:
        RetentionRecord.load(sign("retention", RETENTION, THEIRS), only, path=PATH, target="local")
    assert f"it is signed by {THEIRS.key_id}, which is not trusted" in str(caught.value)
    with pytest.raises(SignerUnknown):
        CommitRecord.load(sign("commit", COMMIT, OURS), only, path=commit, target="local")


def change(**fields: object) -> Callable[[dict[str, Any]], object]:
    return lambda value: value.update(fields)


def state(**fields: object) -> Callable[[dict[str, Any]], object]:
    return lambda value: value["state"].update(fields)


def hold(**fields: object) -> Callable[[dict[str, Any]], object]:
    return lambda value: value["events"][0]["hold"].update(fields)


APART = "field 'state.removed': they are not ranges in order that are apart from each other"
LINE = "it is not one line of 1 to 500 printable characters"


@pytest.mark.parametrize(
    ("damage", "cause"),
    [
        (change(previous_sha256=None), "only the first record has none before it"),
        (change(witnesses={"local": {"sequence": 1, "sha256": A}}), "its own target is among its witnesses"),
        (change(events=[]), "field 'events': Tuple should have at least 1 item after validation, not 0"),
        (change(by="two\nlines"), f"field 'by': {LINE}"),
        (change(by=""), f"field 'by': {LINE}"),
        (state(removed=[[4, 1]]), APART),
        (state(removed=[[1, 4], [5, 6]]), APART),
        (state(removed=[[6, 6], [1, 4]]), APART),
        (state(removed=[[1, 4], [4, 6]]), APART),
        (hold(subject="a case"), "field 'events.0.held.hold': it holds either a backup or all those of a subject"),
        (hold(backup_id=None), "field 'events.0.held.hold': it holds either a backup or all those of a subject"),
        (hold(reason="x" * 501), f"field 'events.0.held.hold.reason': {LINE}"),
    ],
)
def test_a_record_that_contradicts_itself_is_damaged(damage: Callable[[dict[str, Any]], object], cause: str) -> None:
    value = copy.deepcopy(RETENTION)
    damage(value)
    with pytest.raises(DocumentDamaged) as caught:
        RetentionRecord.from_dict(value, "x")
    assert str(caught.value) == f"unable to read 'x': {cause}"


def test_an_event_that_is_not_known_is_damage() -> None:
    with pytest.raises(DocumentDamaged) as caught:
        RetentionRecord.from_dict({**RETENTION, "events": [{"what": "forgotten"}]}, "x")
    assert str(caught.value).startswith("unable to read 'x': field 'events.0': Input tag 'forgotten'")


# --- what events do ---------------------------------------------------------------------------------

HOLD = Hold(hold_id=BACKUP, backup_id=PARENT, subject=None, reason="r", by="b", since=NOW)
ALL = Hold(hold_id=PARENT, backup_id=None, subject="case", reason="r", by="b", since=NOW)
MARK = Mark(backup_id=BACKUP, reason="old", marked_at=NOW, due_at=NOW)
REMOVAL = Removal(backup_id=BACKUP, sequence=3, reason="old", since=NOW, objects=())


def test_holds_begin_and_end_one_by_one() -> None:
    both = NOTHING.after([Held(hold=HOLD), Held(hold=ALL)])
    assert [hold.covers(PARENT) for hold in both.holds] == [True, True]
    assert [hold.covers(BACKUP) for hold in both.holds] == [False, True]
    assert both.after([Released(hold_id=BACKUP, reason="r")]).holds == (ALL,)


def test_a_mark_is_set_once_taken_back_and_ends_when_the_backup_does() -> None:
    marked = NOTHING.after([Marked(mark=MARK), Marked(mark=MARK)])
    assert marked.marks == (MARK,)
    assert marked.marked().get(BACKUP) == MARK
    assert marked.marked().get(PARENT) is None
    assert marked.after([Kept(backup_id=BACKUP, reason="r")]) == NOTHING
    assert marked.after([Expired(removal=REMOVAL)]) == NOTHING.model_copy(update={"removals": (REMOVAL,)})


def test_a_backup_is_gone_from_its_removal_on() -> None:
    begun = NOTHING.after([Expired(removal=REMOVAL)])
    ended = begun.after([Erased(removal=REMOVAL, objects=())])
    assert (begun.gone(3), begun.gone(2), ended.gone(3), ended.gone(4)) == (True, False, True, False)
    assert ended == NOTHING.model_copy(update={"removed": ((3, 3),)})


def test_an_archived_backup_lies_in_one_tier_the_last_one_it_was_moved_to() -> None:
    moves = [(3, Tier.COOL), (4, Tier.COOL), (5, Tier.COOL), (4, Tier.ARCHIVE)]
    found = NOTHING.after(Archived(backup_id=BACKUP, sequence=number, tier=tier) for number, tier in moves)
    assert [found.tier_of(number).value for number in range(2, 7)] == ["hot", "cool", "archive", "cool", "hot"]
    assert State.from_dict(found.to_dict(), "x") == found
    again = found.after([Archived(backup_id=BACKUP, sequence=number, tier=Tier.COLD) for number in (3, 5)])
    assert again.archived == {Tier.ARCHIVE: ((4, 4),), Tier.COLD: ((3, 3), (5, 5))}


def test_the_last_drill_stands() -> None:
    first, second = (Drill(backup_id=name, manifest_sha256=A, at=NOW) for name in (BACKUP, PARENT))
    assert NOTHING.after([Drilled(drill=first), Drilled(drill=second)]).drilled == second


@given(st.lists(st.integers(1, 60), unique=True))
def test_removed_backups_are_told_by_as_few_ranges_as_can_be(sequences: list[int]) -> None:
    removals = [REMOVAL.model_copy(update={"sequence": sequence}) for sequence in sequences]
    found = NOTHING.after(Erased(removal=removal, objects=()) for removal in removals)
    assert State.from_dict(found.to_dict(), "x") == found
    assert [number for number in range(1, 62) if found.gone(number)] == sorted(sequences)
    assert len(found.removed) == sum(number - 1 not in sequences for number in sequences)
