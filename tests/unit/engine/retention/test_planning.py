"""The decision itself, over any history: each rule holds, and what stays has its whole chain."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlg_backup.config.retention import Retention, RetentionRules
from rlg_backup.core.errors import ClockImplausible
from rlg_backup.core.model import Kind
from rlg_backup.engine.retention.planning import MOST, Action, Decision, Fact, Room, plan, require_plausible
from rlg_backup.format.retention import NOTHING, Drill, Hold, Mark, State

NOW = datetime(2031, 6, 1, 6, tzinfo=UTC)
DAY = timedelta(days=1)
STAYING = (Action.STAYS, Action.COMES_BACK)


def name(number: int) -> str:
    return f"20310101T000000Z-{number:08x}"


def fact(number: int, age: float, kind: Kind = Kind.FULL, parent: int | None = None, **more: object) -> Fact:
    return Fact(name(number), number, kind, NOW - age * DAY, parent and name(parent), **more)  # type: ignore[arg-type]


def mark(number: int, due: float) -> Mark:
    return Mark(backup_id=name(number), reason="old", marked_at=NOW - 9 * DAY, due_at=NOW + due * DAY)


def standing(**fields: object) -> State:
    return NOTHING.model_copy(update=fields)


def decided(facts: list[Fact], state: State | None = None, **rules: object) -> list[Decision]:
    return plan(facts, state or NOTHING, RetentionRules.model_validate(rules), NOW)


def test_the_default_policy_keeps_full_ones_three_months_and_the_others_one() -> None:
    facts = [
        fact(1, 93),
        fact(2, 91, Kind.INCREMENTAL, 1),
        fact(3, 91),
        fact(4, 32, Kind.DIFFERENTIAL, 3),
        fact(5, 30, Kind.DIFFERENTIAL, 3),
        fact(6, 20),
    ]
    found = decided(facts, at_least={})
    assert [one.action.value for one in found] == ["is marked", "is marked", "stays", "is marked", "stays", "stays"]
    assert [one.reasons[0] for one in found] == [
        "full, taken 2031-02-28 06:00Z, older than 3 months",
        "incremental, taken 2031-03-02 06:00Z, older than 1 month",
        "taken 2031-03-02 06:00Z, not older than 3 months",
        "differential, taken 2031-04-30 06:00Z, older than 1 month",
        "taken 2031-05-02 06:00Z, not older than 1 month",
        "taken 2031-05-12 06:00Z, not older than 3 months",
    ]
    assert [one.due_at for one in found if one.action is Action.IS_MARKED] == [NOW + 7 * DAY] * 3


def test_what_a_kept_backup_is_restored_from_stays_and_says_for_which() -> None:
    facts = [fact(1, 400), fact(2, 399, Kind.INCREMENTAL, 1), fact(3, 1, Kind.INCREMENTAL, 2), fact(4, 0)]
    found = decided(facts, at_least={})
    assert found[0].reasons == (f"'{name(2)}', which stays, is restored from it",)
    assert found[1].reasons == (f"'{name(3)}', which stays, is restored from it",)


def test_a_number_of_the_newest_that_can_be_restored_stays_whatever_its_age() -> None:
    facts = [fact(n, 400 - n) for n in range(1, 4)] + [fact(4, 300, whole=False), fact(5, 200, Kind.INCREMENTAL, 4)]
    assert [one.action in STAYING for one in decided(facts)] == [False, True, True, False, False]


def test_a_rule_of_one_source_stands_in_for_the_general_one() -> None:
    retention = Retention.model_validate({"full": "1 year", "sources": {"a": {"full": "7 years", "at_least": {}}}})
    assert (str(retention.rules("a", "t").full), retention.rules("a", "t").at_least) == ("7 years", {})
    assert (str(retention.rules("b", "t").full), retention.rules("b", "t").at_least) == ("1 year", {Kind.FULL: 2})
    assert str(retention.rules("a", "t").incremental) == "1 month"


def test_what_is_said_of_a_target_goes_before_what_is_said_of_a_source() -> None:
    rules = {"full": "1 year", "sources": {"a": {"full": "2 years"}}, "targets": {"vault": {"full": "7 years"}}}
    retention = Retention.model_validate(rules)
    found = [str(retention.rules(source, target).full) for source in "ab" for target in ("vault", "t")]
    assert found == ["7 years", "2 years", "7 years", "1 year"]


def test_a_parent_does_not_go_before_what_is_restored_from_it() -> None:
    facts = [fact(1, 400), fact(2, 399, Kind.INCREMENTAL, 1), fact(3, 1)]
    state = standing(marks=(mark(1, -1), mark(2, 1)))
    assert [one.action.value for one in decided(facts, state, at_least={})] == ["waits", "waits", "stays"]


def test_no_more_are_marked_than_a_record_may_tell_and_children_are_marked_first() -> None:
    facts = [fact(1, 400)] + [fact(n, 400, Kind.INCREMENTAL, n - 1) for n in range(2, MOST + 3)] + [fact(MOST + 3, 0)]
    found = decided(facts, at_least={})
    assert [one.action.value for one in found] == ["stays"] * 2 + ["is marked"] * MOST + ["stays"]
    assert found[0].reasons == (f"{MOST} others are marked already",)


def test_a_backup_from_the_future_stays_and_makes_no_other_young() -> None:
    found = decided([fact(1, 200), fact(2, -3000), fact(3, 190), fact(4, 1)], at_least={})
    assert [one.action in STAYING for one in found] == [False, True, False, True]


@pytest.mark.parametrize(
    ("days", "plausible"),
    [
        ([0], True),
        ([34.9], True),
        ([35.1], False),  # the last backup is long ago
        ([100, 6.9], False),  # they have gone on for less than a grace time since the pause
        ([100, 7.1], True),
        ([3, 4000, 1], True),  # one by a clock that was behind is no pause
        ([3, -4000, 1], True),
    ],
)
def test_a_pause_and_a_jump_of_the_clock_are_told_by_the_times_of_backups(days: list[float], plausible: bool) -> None:
    times = [NOW - age * DAY for age in days]
    if plausible:
        require_plausible(times, NOW, RetentionRules(), NOW)
    else:
        with pytest.raises(ClockImplausible):
            require_plausible(times, NOW, RetentionRules(), NOW)


def roomy(facts: list[Fact], wanted: int, **rules: object) -> list[str]:
    found = plan(facts, NOTHING, RetentionRules.model_validate(rules), NOW, Room(wanted, "it is full"))
    return [one.action.value for one in found]


def test_for_room_the_oldest_go_before_their_age_with_all_that_is_restored_from_them() -> None:
    facts = [
        fact(1, 20, size=50),
        fact(2, 19, Kind.INCREMENTAL, 1, size=10),
        fact(3, 10, size=50),
        fact(4, 9, Kind.INCREMENTAL, 3, size=10),
        fact(5, 2, size=50),
    ]
    assert roomy(facts, 0, at_least={}) == ["stays"] * 5
    assert roomy(facts, 1, at_least={}) == ["is marked"] * 2 + ["stays"] * 3
    assert roomy(facts, 60, at_least={}) == ["is marked"] * 2 + ["stays"] * 3
    assert roomy(facts, 61, at_least={}) == ["is marked"] * 4 + ["stays"]
    assert roomy(facts, 10**9, at_least={}) == ["is marked"] * 4 + ["stays"]
    at_least = ["is marked", "is marked", "stays", "is marked", "stays"]  # two full ones
    assert roomy(facts, 10**9) == at_least
    (first, *_) = plan(facts, NOTHING, RetentionRules(at_least={}), NOW, Room(1, "it is full"))
    assert first.reasons == ("full, taken 2031-05-12 06:00Z, goes before its age: it is full",)


def test_what_goes_for_its_age_makes_room_first_and_what_was_marked_for_room_comes_back_once_there_is() -> None:
    facts = [fact(1, 100, size=50), fact(2, 20, size=50), fact(3, 1, size=50)]
    assert roomy(facts, 50, at_least={}) == ["is marked", "stays", "stays"]
    found = plan(facts, standing(marks=(mark(1, 1), mark(2, 1))), RetentionRules(at_least={}), NOW)
    assert [one.action.value for one in found] == ["waits", "comes back", "stays"]


# --- any history -----------------------------------------------------------------------------------

AGES = st.sampled_from([-400, 1, 20, 29, 32, 60, 93, 200, 201, 202, 3000])
SPANS = st.sampled_from(["0 days", "10 days", "10 days", "1 month", "3 months"])


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[Fact], State, RetentionRules]:
    facts: list[Fact] = []
    for number in range(1, draw(st.integers(1, 14)) + 1):
        possible = [None, *range(1, number)]
        parent = draw(st.sampled_from(possible))
        kind = Kind.FULL if parent is None else draw(st.sampled_from([Kind.INCREMENTAL, Kind.DIFFERENTIAL]))
        lock = draw(st.sampled_from([None, None, None, NOW - DAY, NOW + DAY]))
        more = {"whole": draw(st.integers(0, 4)) > 0, "size": draw(st.sampled_from([0, 1, 10, 100]))}
        facts.append(fact(number, draw(AGES), kind, parent, locked_until=lock, **more))
    numbers = st.integers(1, len(facts))
    held = draw(st.lists(numbers, max_size=1)) + draw(st.sampled_from([[]] * 9 + [[None]]))
    holds = tuple(
        Hold(
            hold_id=name(n), backup_id=one and name(one), subject=None if one else "case", reason="r", by="b", since=NOW
        )
        for n, one in enumerate(held)
    )
    marks = tuple(mark(n, draw(st.sampled_from([-1, 0, 1]))) for n in sorted(draw(st.sets(numbers, max_size=8))))
    drilled = draw(
        st.one_of(st.none(), numbers.map(lambda n: Drill(backup_id=name(n), manifest_sha256="a" * 64, at=NOW)))
    )
    least = {kind: draw(st.sampled_from([0, 0, 0, 1, 3])) for kind in Kind}
    rules = {"full": draw(SPANS), "incremental": draw(SPANS), "differential": draw(SPANS), "at_least": least}
    return facts, standing(holds=holds, marks=marks, drilled=drilled), RetentionRules.model_validate(rules)


def chain(facts: list[Fact], one: Fact) -> list[Fact]:
    by_id = {other.backup_id: other for other in facts}
    found = [one]
    while found[-1].parent is not None:
        found.append(by_id[found[-1].parent])
    return found


@settings(max_examples=400, derandomize=True, database=None, deadline=None)
@given(histories())
def test_over_any_history_each_rule_holds(history: tuple[list[Fact], State, RetentionRules]) -> None:
    facts, state, rules = history
    found = {one.fact.backup_id: one for one in plan(facts, state, rules, NOW)}
    assert list(found) == [one.backup_id for one in facts]
    stays = {name for name, one in found.items() if one.action in STAYING}
    restorable = [one for one in facts if all(link.whole for link in chain(facts, one))]
    for one in facts:
        young = one.taken_at > rules.age(one.kind).before(NOW)
        held = any(hold.backup_id in (None, one.backup_id) for hold in state.holds)
        drilled = state.drilled is not None and state.drilled.backup_id == one.backup_id
        locked = one.locked_until is not None and one.locked_until > NOW
        of_kind = [other for other in restorable if other.kind is one.kind]
        counted = one in of_kind and len(of_kind) - of_kind.index(one) <= rules.at_least[one.kind]
        if young or held or drilled or locked or counted or one in restorable[-1:]:
            assert one.backup_id in stays
            assert {link.backup_id for link in chain(facts, one)} <= stays
        elif one.backup_id in stays:  # for another's sake, or by the order of commits
            needed = any(one in chain(facts, other)[1:] and other.backup_id in stays for other in facts)
            later = any(
                other.taken_at > rules.age(one.kind).before(NOW) and other.taken_at <= NOW
                for other in facts[: one.sequence]
            )
            assert needed or later


@settings(max_examples=400, derandomize=True, database=None, deadline=None)
@given(histories(), st.integers(0, 600))
def test_over_any_history_room_is_made_by_the_oldest_and_by_nothing_that_more_than_its_age_keeps(
    history: tuple[list[Fact], State, RetentionRules], wanted: int
) -> None:
    facts, state, rules = history
    without = {one.fact.backup_id: one for one in plan(facts, state, rules, NOW)}
    found = {one.fact.backup_id: one for one in plan(facts, state, rules, NOW, Room(wanted, "full"))}
    aged = [replace(one, taken_at=NOW - 4000 * DAY) for one in facts]
    firm = {one.fact.backup_id for one in plan(aged, state, rules, NOW) if one.action in STAYING}
    stays = {name for name, one in found.items() if one.action in STAYING}
    before = {name for name, one in without.items() if one.action in STAYING}
    assert firm <= stays <= before
    assert all(link.backup_id in stays for one in facts if one.backup_id in stays for link in chain(facts, one))
    gone = [one for one in facts if one.backup_id not in stays]
    if sum(one.size for one in gone) < wanted:  # then all went that may
        assert stays == firm
    early = [one for one in gone if one.backup_id in before]
    if early:  # without the family that went last there was too little room
        first = next(one for one in reversed(early) if one.parent not in {other.backup_id for other in early})
        last = {one.backup_id for one in early if first in chain(facts, one)}
        assert sum(one.size for one in gone if one.backup_id not in last) < wanted
        assert not {one.backup_id for one in facts[: facts.index(first)]} & stays - firm  # and none older was spared


@settings(max_examples=300, derandomize=True, database=None, deadline=None)
@given(histories(), st.sampled_from(["0 days", "1 month", "7 months", "forever"]))
def test_over_any_history_what_is_archived_goes_no_earlier_and_is_no_more_than_what_would_have_gone(
    history: tuple[list[Fact], State, RetentionRules], keep: str
) -> None:
    facts, state, rules = history
    archiving = RetentionRules.model_validate({**dict(rules), "archive": {"tier": "cold", "keep": keep}})
    without = {one.fact.backup_id: one.action for one in plan(facts, state, rules, NOW)}
    found = {one.fact.backup_id: one.action for one in plan(facts, state, archiving, NOW)}
    for one in facts:
        name = one.backup_id
        if without[name] in STAYING:
            assert found[name] is without[name]
        elif found[name] not in (*STAYING, Action.IS_ARCHIVED):
            assert one.taken_at <= archiving.archive.keep.before(NOW)  # type: ignore[union-attr]
            assert found[name] is without[name]
        if found[name] in (*STAYING, Action.IS_ARCHIVED):
            assert all(found[link.backup_id] in (*STAYING, Action.IS_ARCHIVED) for link in chain(facts, one))


@settings(max_examples=400, derandomize=True, database=None, deadline=None)
@given(histories())
def test_over_any_history_what_goes_leaves_whole_chains_and_was_marked_and_due(
    history: tuple[list[Fact], State, RetentionRules],
) -> None:
    facts, state, rules = history
    found = {one.fact.backup_id: one.action for one in plan(facts, state, rules, NOW)}
    for one in facts:
        before = state.marked().get(one.backup_id)
        action = found[one.backup_id]
        if action is Action.GOES:
            assert before is not None and before.due_at <= NOW
        else:
            assert all(found[link.backup_id] is not Action.GOES for link in chain(facts, one))
        assert (action in (Action.COMES_BACK, Action.GOES, Action.WAITS)) == (before is not None)
        if action in STAYING:
            assert all(found[link.backup_id] in STAYING for link in chain(facts, one))
