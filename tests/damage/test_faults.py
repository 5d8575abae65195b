"""A target that flips, cuts, fails once or for ever, loses answers, answers late, fills up: in each operation of a run.

The tables say what must become of the run. Whatever it is, what holds afterwards is checked in ``with_fault``.
"""

from __future__ import annotations

import itertools

import pytest
from tests.damage.runs import KINDS, RUNS, Call, Outcome, calls_of, damages, fault_of, with_fault
from tests.damage.tiny import Tiny
from tests.damage.trials import BROKEN
from tests.support.faulty_storage import Damage

FLIP, TRUNCATE, FAIL, LOST = Damage.FLIP, Damage.TRUNCATE, Damage.FAIL, Damage.LOSE_ANSWER
LATE, ARRIVES_LATE, FULL = Damage.ANSWER_LATE, Damage.ARRIVE_LATE, Damage.FILL_UP
BROKEN_OFF, HIDDEN = Damage.BREAK_OFF, Damage.HIDE

CHANGED = (FLIP, TRUNCATE)
UNANSWERED = (FAIL, LOST)
IN_TIME = (LATE, ARRIVES_LATE)  # a late answer is an answer

# (operation, kind of key) > damage > what becomes of the run. A word where it ends well, otherwise its error's class.
Table = dict[Call, dict[tuple[Damage, ...], str]]

BACKUP: Table = {
    ("sweep", "all"): {UNANSWERED: "complete", IN_TIME: "complete"},  # leftovers stay for the next run
    ("get_bytes", "lease"): {
        CHANGED: "DocumentDamaged",
        UNANSWERED: "StorageUnavailable",
        IN_TIME: "complete",
        (HIDDEN,): "StorageUnavailable",  # it can be neither made nor replaced
    },
    ("put_bytes", "lease"): {
        CHANGED: "BackupIncomplete",  # it is taken, and cannot be read any more when it decides
        UNANSWERED: "StorageUnavailable",
        IN_TIME: "complete",
        (FULL,): "StorageFull",
    },
    ("put_file", "archive"): {
        CHANGED: "ObjectDamaged",
        UNANSWERED: "StorageUnavailable",
        IN_TIME: "complete",
        (FULL,): "StorageFull",
    },
    ("put_file", "state"): {
        CHANGED: "ObjectDamaged",
        UNANSWERED: "StorageUnavailable",
        IN_TIME: "complete",
        (FULL,): "StorageFull",
    },
    ("put_bytes", "manifest"): {
        CHANGED: "ObjectDamaged",
        UNANSWERED: "StorageUnavailable",
        IN_TIME: "complete",
        (FULL,): "StorageFull",
    },
    ("open", "archive"): {
        CHANGED: "ObjectDamaged",
        UNANSWERED: "StorageUnavailable",
        IN_TIME: "complete",
        (BROKEN_OFF,): "StorageUnavailable",
        (HIDDEN,): "ObjectMissing",
    },
    ("open", "state"): {
        CHANGED: "ObjectDamaged",
        UNANSWERED: "StorageUnavailable",
        IN_TIME: "complete",
        (BROKEN_OFF,): "StorageUnavailable",
        (HIDDEN,): "ObjectMissing",
    },
    ("delete", "state"): {UNANSWERED: "complete", IN_TIME: "complete"},  # one that is needed no more stays
    ("open", "manifest"): {
        CHANGED: "ObjectDamaged",
        UNANSWERED: "StorageUnavailable",
        IN_TIME: "complete",
        (BROKEN_OFF,): "StorageUnavailable",
        (HIDDEN,): "ObjectMissing",
    },
    ("get_bytes", "manifest"): {
        CHANGED: "BackupIncomplete",
        UNANSWERED: "BackupIncomplete",
        IN_TIME: "complete",
        (HIDDEN,): "BackupIncomplete",
    },
    ("list", "catalog"): {UNANSWERED: "BackupIncomplete", IN_TIME: "complete", (HIDDEN,): "BackupIncomplete"},
    # no backup depends on the erasure ledger; a restore does
    ("list", "ledger"): {UNANSWERED: "complete", IN_TIME: "complete", (HIDDEN,): "BackupIncomplete"},
    ("get_bytes", "record"): {
        CHANGED: "BackupIncomplete",
        UNANSWERED: "BackupIncomplete",
        IN_TIME: "complete",
        (HIDDEN,): "BackupIncomplete",
    },
    ("put_bytes", "record"): {
        CHANGED: "complete",  # it is read back and sent again (for ever: BackupIncomplete)
        UNANSWERED: "BackupIncomplete",  # it was decided: giving the lease back commits it
        IN_TIME: "complete",
        (FULL,): "BackupIncomplete",
    },
}
VERIFY: Table = {
    ("list", "catalog"): {UNANSWERED: "COULD-NOT-VERIFY", IN_TIME: "PASS", (HIDDEN,): "COULD-NOT-VERIFY"},
    ("get_bytes", "record"): {
        CHANGED: "FAIL",
        UNANSWERED: "COULD-NOT-VERIFY",
        IN_TIME: "PASS",
        (HIDDEN,): "COULD-NOT-VERIFY",
    },
    ("get_bytes", "manifest"): {CHANGED: "FAIL", UNANSWERED: "COULD-NOT-VERIFY", IN_TIME: "PASS", (HIDDEN,): "FAIL"},
    ("open", "archive"): {
        CHANGED: "FAIL",
        UNANSWERED: "COULD-NOT-VERIFY",
        IN_TIME: "PASS",
        (BROKEN_OFF,): "COULD-NOT-VERIFY",
        (HIDDEN,): "FAIL",
    },
    ("stat", "archive"): {UNANSWERED: "COULD-NOT-VERIFY", IN_TIME: "PASS", (HIDDEN,): "FAIL"},
    ("read_range", "archive"): {
        CHANGED: "FAIL",
        UNANSWERED: "COULD-NOT-VERIFY",
        IN_TIME: "PASS",
        (HIDDEN,): "FAIL",
    },
}
RESTORE: Table = {
    ("list", "catalog"): {UNANSWERED: "StorageUnavailable", IN_TIME: "restored", (HIDDEN,): "CatalogGap"},
    # another source's backups may know of more requests to erase; where they cannot be read, others tell
    ("list", "every catalog"): {UNANSWERED: "restored", IN_TIME: "restored", (HIDDEN,): "CatalogGap"},
    ("list", "ledger"): {UNANSWERED: "StorageUnavailable", IN_TIME: "restored", (HIDDEN,): "CatalogGap"},
    ("get_bytes", "record"): {
        CHANGED: "DocumentDamaged",
        UNANSWERED: "StorageUnavailable",
        IN_TIME: "restored",
        (HIDDEN,): "CatalogGap",
    },
    ("get_bytes", "manifest"): {
        CHANGED: "ObjectDamaged",
        UNANSWERED: "StorageUnavailable",
        IN_TIME: "restored",
        (HIDDEN,): "ObjectMissing",
    },
    ("open", "archive"): {
        CHANGED: "ObjectDamaged",
        UNANSWERED: "StorageUnavailable",
        IN_TIME: "restored",
        (BROKEN_OFF,): "StorageUnavailable",
        (HIDDEN,): "ObjectMissing",
    },
}
TABLES = {"backup": BACKUP, "verify": VERIFY, "restore": RESTORE}
ROWS = [
    pytest.param(name, call, id=f"{name}: {call[0]} of the {call[1]}")
    for name, table in TABLES.items()
    for call in table
]


def said_in(name: str, call: Call, damage: Damage) -> str:
    [said] = [said for damages, said in TABLES[name][call].items() if damage in damages]
    return said


def remove_lease(tiny: Tiny) -> None:
    """What the error's hint tells a person to do."""
    tiny.storage.delete(KINDS["lease"])


def try_one(tiny: Tiny, name: str, call: Call, damage: Damage, times: int | None, skip: int = 0) -> Outcome:
    lease_is_spoilt = call == ("put_bytes", "lease") and damage in CHANGED
    repaired = remove_lease if lease_is_spoilt else (lambda _: None)
    never_arrives = call == ("put_bytes", "record") and damage in CHANGED and times is None
    fault = fault_of(call, damage, times, skip=skip)
    return with_fault(tiny, RUNS[name], fault, repaired=repaired, listed_damaged=never_arrives)


@pytest.mark.parametrize("name", TABLES)
def test_the_tables_name_every_operation_of_a_run_and_all_that_can_go_wrong_with_it(tiny: Tiny, name: str) -> None:
    assert set(calls_of(tiny, RUNS[name])) == set(TABLES[name])
    for (operation, _), said in TABLES[name].items():
        assert sorted(itertools.chain(*said)) == sorted(damages(operation))


@pytest.mark.parametrize(("name", "call"), ROWS)
def test_a_fault_once_and_for_ever_ends_as_the_table_says_and_leaves_only_what_restores(
    tiny: Tiny, name: str, call: Call
) -> None:
    wrong = []
    for damage in damages(call[0]):
        for times in (1, None):
            if (times is None and damage in IN_TIME) or (times == 1 and damage in (FULL, HIDDEN)):
                continue  # a late answer is late once; what is full or gone stays so
            expected = said_in(name, call, damage)
            if times is None and damage in CHANGED and call == ("put_bytes", "record"):
                expected = "BackupIncomplete"  # sent three times, and never arrived sound
            found = try_one(tiny, name, call, damage, times)
            if found.said != expected:
                sound = found.said in ("complete", "PASS", "restored")
                wrong.append(f"{damage}, {times} times: {BROKEN if sound else found.said} {found.text}, not {expected}")
            # A backup that failed may have been decided before: it is listed only when it restores.
            assert found.listed >= (2 if (name, found.said) == ("backup", "complete") else 1)
    assert not wrong, "\n".join(wrong)


# --- every single operation of a run, not only the first of its kind ------------------------------------

NTH = (FAIL, LOST, FLIP)


def nth_operations(tiny: Tiny, damage: Damage) -> list[tuple[Call, int]]:
    calls = calls_of(tiny, RUNS["backup"])
    return [(call, number) for call in sorted(calls) if damage in damages(call[0]) for number in range(calls[call])]


@pytest.mark.parametrize("damage", NTH)
def test_a_fault_in_any_one_operation_of_a_backup_leaves_only_what_restores(tiny: Tiny, damage: Damage) -> None:
    """A heartbeat's lost renewal is no failure of the run; a renewal that spoils the lease is."""
    operations = nth_operations(tiny, damage)
    assert len(operations) > 25
    outcomes = [try_one(tiny, "backup", call, damage, 1, number) for call, number in operations]
    assert {outcome.said for outcome in outcomes} >= {"complete", "BackupIncomplete"}
    assert all(outcome.listed == 2 for outcome in outcomes if outcome.said == "complete")


def test_a_target_that_stops_listing_its_records_at_any_moment_of_a_commit_gets_no_second_record_of_one_sequence(
    tiny: Tiny,
) -> None:
    """What was listed when the chain was checked must still be when the record is made."""
    listings = calls_of(tiny, RUNS["backup"])["list", "catalog"]
    assert listings >= 3
    outcomes = [try_one(tiny, "backup", ("list", "catalog"), HIDDEN, None, skip) for skip in range(listings)]
    assert "lists no record 00000001 any more, which it did" in outcomes[2].text
    # By the last one it is committed: that one looks for change states that are needed no more.
    assert [outcome.said for outcome in outcomes] == [*["BackupIncomplete"] * (listings - 1), "complete"]


@pytest.mark.soak
@pytest.mark.parametrize("damage", Damage)
def test_every_fault_in_every_operation_once_and_from_then_on_leaves_only_what_restores(
    tiny: Tiny, damage: Damage
) -> None:
    for call, number in nth_operations(tiny, damage):
        for times in (1, None) if damage not in IN_TIME else (1,):
            try_one(tiny, "backup", call, damage, times, number)
