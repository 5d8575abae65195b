"""expire over real catalogs: two phases, holds, drills, clocks, locks, what runs left behind."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.faulty_storage import Damage, Fault, FaultyStorage
from tests.support.shelf import DAY, START, Shelves

from rlg_backup.core.errors import (
    BackupExpired,
    CatalogGap,
    ClockImplausible,
    LeaseHeld,
    ObjectMissing,
    SignatureInvalid,
)
from rlg_backup.core.model import Kind, Verdict
from rlg_backup.engine.lease import held
from rlg_backup.engine.restore_points import choose, list_points
from rlg_backup.engine.retention import Action, expire, hold, list_holds, note_drill, release, undo
from rlg_backup.engine.retention.standing import standing

RULES = {"full": "22 days", "incremental": "10 days", "at_least": {"full": 1}, "grace": "5 days"}


@pytest.fixture
def shelves(tmp_path: Path) -> Shelves:
    return Shelves.make(tmp_path / "world", rules=RULES)


def weekly(shelves: Shelves, weeks: int) -> list[str]:
    """A full backup and an incremental one after it, each week, from now on."""
    made = []
    for _ in range(weeks):
        made.append(shelves.back_up())
        shelves.pass_time(1)
        made.append(shelves.back_up(Kind.INCREMENTAL, made[-1]))
        shelves.pass_time(6)
    return made


def actions(shelves: Shelves, *, dry_run: bool = False, target: str = "local") -> dict[str, Action]:
    outcome = expire(shelves.wiring(), "app", target, dry_run=dry_run)
    assert (outcome.error, outcome.failures) == (None, [])
    return {one.fact.backup_id: one.action for one in outcome.decisions}


def test_what_is_too_old_is_marked_first_and_removed_by_a_run_after_the_grace_time(shelves: Shelves) -> None:
    made, stays, marked = weekly(shelves, 5), Action.STAYS, Action.IS_MARKED
    before = shelves.objects()
    assert list(actions(shelves).values()) == [marked] * 4 + [stays, marked, stays, marked, stays, stays]
    assert (shelves.listed(), shelves.objects()) == (made, before)
    shelves.pass_time(4.9)
    assert set(actions(shelves).values()) == {Action.STAYS, Action.WAITS, Action.IS_MARKED}
    assert shelves.objects() == before
    shelves.pass_time(0.2)
    gone = [name for name, action in actions(shelves).items() if action is Action.GOES]
    assert gone == [*made[:4], made[5], made[7]]
    assert shelves.listed() == [name for name in made if name not in gone]
    assert shelves.objects() == {key: data for key, data in before.items() if key.split("/")[1] not in gone}


def test_a_marked_backup_is_restored_by_its_id_and_is_neither_the_latest_nor_that_of_a_time(shelves: Shelves) -> None:
    made = weekly(shelves, 5)
    actions(shelves)
    wiring, then = shelves.wiring(), f"{START + 9 * DAY:%Y-%m-%dT%H:%M:%SZ}"
    assert choose(wiring, "app", made[3]).point.backup_id == made[3]
    shown = {point.backup_id: point.copies[0].due_at for point in list_points(wiring, "app").points}
    assert (shown[made[3]], shown[made[-1]]) == (shelves.clock.now + 5 * DAY, None)
    hold(wiring, "app", backup=made[2], reason="a claim")
    assert choose(wiring, "app", then).point.backup_id == made[2]  # made[3] is newer, and marked


def test_a_removed_backup_is_told_from_one_that_was_taken_away(shelves: Shelves) -> None:
    made = weekly(shelves, 5)
    actions(shelves)
    shelves.pass_time(5)
    actions(shelves)
    with pytest.raises(BackupExpired) as expired:
        choose(shelves.wiring(), "app", made[0])
    assert str(expired.value) == (
        f"unable to find '{made[0]}': it expired and was removed from target 'local'\n"
        "hint: 'rlg-backup list' shows what there is"
    )
    shelves.memory["local"].delete(f"app/{made[4]}/manifest.json")
    with pytest.raises(ObjectMissing):
        choose(shelves.wiring(), "app", made[4])


def test_each_removal_is_certified_with_its_objects_and_every_version_of_them(tmp_path: Path) -> None:
    shelves = Shelves.make(tmp_path / "world", rules=RULES)
    shelves.memory["local"].shelf.versioned = True
    made = weekly(shelves, 5)
    actions(shelves)
    shelves.memory["local"].delete(f"app/{made[0]}/state.zip.age")  # an older version and its marker are left
    shelves.pass_time(5)
    outcome = expire(shelves.wiring(), "app", "local")
    certificate = outcome.certificates[-1]
    assert certificate.removal.backup_id == made[0]
    assert certificate.removal.reason == "full, taken 2031-01-05 02:00Z, older than 22 days"
    assert {item.key.rpartition("/")[2]: item.versions for item in certificate.objects} == {
        "default.zip.age": 1,
        "state.zip.age": 1,
        "manifest.json": 1,
    }
    assert outcome.verdict is Verdict.PASS


def test_a_certificate_is_in_the_chain_and_names_who_when_and_by_which_key(shelves: Shelves) -> None:
    weekly(shelves, 5)
    actions(shelves)
    shelves.pass_time(5)
    actions(shelves)
    catalog = shelves.wiring().catalog("local", "app")
    head = catalog.verify_chain(down_to=1)
    assert head is not None
    assert [event.what for event in head.record.events] == ["erased"] * 6
    assert (head.record.made_at, head.record.state.removed) == (shelves.clock.now, ((1, 4), (6, 6), (8, 8)))


def test_a_hold_keeps_a_backup_with_its_chain_until_it_is_released(shelves: Shelves) -> None:
    made = weekly(shelves, 5)
    actions(shelves)
    one = hold(shelves.wiring(), "app", backup=made[1], reason="claim 1").hold
    two = hold(shelves.wiring(), "app", backup=made[1][:22], reason="claim 2").hold
    shelves.pass_time(5)
    found = actions(shelves)
    assert (found[made[0]], found[made[1]]) == (Action.STAYS, Action.STAYS)
    release(shelves.wiring(), "app", one.hold_id, "settled")
    assert actions(shelves)[made[1]] is Action.STAYS
    assert [held for held, _ in list_holds(shelves.wiring(), "app")] == [two]
    release(shelves.wiring(), "app", two.hold_id, "settled")
    assert list(actions(shelves).values())[:2] == [Action.IS_MARKED] * 2


def test_a_hold_for_a_case_keeps_every_backup_of_the_source(shelves: Shelves) -> None:
    made = weekly(shelves, 5)
    actions(shelves)
    hold(shelves.wiring(), "app", subject="claim-2031-7", reason="ordered by the court")
    shelves.pass_time(50)
    shelves.back_up()
    shelves.pass_time(5)  # the pause is over a grace time
    assert set(actions(shelves).values()) == {Action.STAYS}
    assert made[0] in shelves.listed()


def test_undoing_an_expiry_brings_the_backup_back_for_good(shelves: Shelves) -> None:
    made = weekly(shelves, 5)
    actions(shelves)
    undo(shelves.wiring(), "app", made[0], "the audit needs it")
    shelves.pass_time(6)
    assert actions(shelves)[made[0]] is Action.STAYS
    assert made[0] in shelves.listed()


def test_the_last_drilled_backup_stays_until_another_one_was(shelves: Shelves) -> None:
    made = weekly(shelves, 5)
    wiring = shelves.wiring()
    note_drill(wiring, "app", "local", made[1], shelves.manifests[made[1]])
    entries = wiring.catalog("local", "app").entries()
    note_drill(wiring, "app", "local", made[1], shelves.manifests[made[1]])
    assert wiring.catalog("local", "app").entries() == entries
    assert list(actions(shelves).values())[:3] == [Action.STAYS, Action.STAYS, Action.IS_MARKED]
    note_drill(wiring, "app", "local", made[-1], shelves.manifests[made[-1]])
    assert list(actions(shelves).values())[:3] == [Action.IS_MARKED, Action.IS_MARKED, Action.WAITS]


def test_the_newest_that_can_be_restored_stays_although_newer_ones_are_damaged(tmp_path: Path) -> None:
    shelves = Shelves.make(tmp_path / "world", rules={**RULES, "at_least": {}, "longest_gap": "forever"})
    made = weekly(shelves, 3)
    for name in made[4:]:
        shelves.memory["local"].delete(f"app/{name}/default.zip.age")
    shelves.pass_time(100)
    assert list(actions(shelves).values()) == [Action.IS_MARKED] * 2 + [Action.STAYS] * 2 + [Action.IS_MARKED] * 2
    assert expire(shelves.wiring(), "app", "local", dry_run=True).decisions[3].reasons == (
        "the newest that can be restored",
    )


def test_a_locked_backup_stays_until_its_lock_ends(shelves: Shelves) -> None:
    made = weekly(shelves, 5)
    shelves.memory["local"].lock(f"app/{made[0]}/manifest.json", shelves.clock.now + 30 * DAY)
    found = expire(shelves.wiring(), "app", "local", dry_run=True).decisions
    assert found[0].reasons == (f"locked by its target until {shelves.clock.now + 30 * DAY:%Y-%m-%d %H:%M}Z",)
    assert found[1].action is Action.IS_MARKED


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        ("commit record", "record 00000003 is missing on target 'local': a backup is hidden, or was removed"),
        ("manifest", "it is not on target 'local'"),
        ("retention record", "it ends at record 00000010 on target 'local', but this machine saw record 00000011"),
    ],
)
def test_nothing_happens_on_a_target_whose_catalog_cannot_be_read_whole(
    shelves: Shelves, damage: str, said: str
) -> None:
    made, memory = weekly(shelves, 5), shelves.memory["local"]
    actions(shelves)
    shelves.pass_time(5)
    keys = {"commit record": memory.keys("catalog/app/00000003")[0], "manifest": f"app/{made[-1]}/manifest.json"}
    memory.delete(keys.get(damage) or memory.keys("catalog/app/00000011")[0])
    before = shelves.objects(), memory.keys("catalog/app/0")
    outcome = expire(shelves.wiring(), "app", "local")
    assert said in str(outcome.error)
    assert (outcome.verdict is not Verdict.PASS, shelves.objects(), memory.keys("catalog/app/0")) == (True, *before)


def test_a_hold_that_the_target_hides_is_noticed_by_the_other_target(tmp_path: Path) -> None:
    shelves = Shelves.make(tmp_path / "world", "local", "second", rules=RULES)
    made = weekly(shelves, 5)
    hold(shelves.wiring(), "app", backup=made[0], reason="claim 1")
    memory = shelves.memory["local"]
    memory.delete(memory.keys("catalog/app/00000011")[0])
    (shelves.world.root / "state" / "seen.json").unlink()  # as on a machine that has seen nothing
    outcome = expire(shelves.wiring(), "app", "local")
    assert type(outcome.error) is CatalogGap
    assert "target 'second' saw record 00000011: a backup is hidden" in str(outcome.error)


def test_a_clock_before_the_newest_record_is_refused(shelves: Shelves) -> None:
    weekly(shelves, 5)
    actions(shelves)
    shelves.pass_time(-1)
    outcome = expire(shelves.wiring(), "app", "local")
    assert type(outcome.error) is ClockImplausible
    assert str(outcome.error) == (
        "unable to expire by 'this clock': by this machine's clock it is 2031-02-08 02:00Z, and the newest record was "
        "signed at 2031-02-09 02:00Z\nhint: set the clock; nothing was marked or removed"
    )
    assert outcome.verdict is Verdict.COULD_NOT_VERIFY


def test_a_clock_that_jumped_ahead_removes_nothing_even_when_backups_go_on_by_it(shelves: Shelves) -> None:
    weekly(shelves, 5)
    actions(shelves)
    before = shelves.objects()
    shelves.pass_time(400)
    assert type(expire(shelves.wiring(), "app", "local").error) is ClockImplausible
    shelves.back_up()
    shelves.pass_time(4.5)
    outcome = expire(shelves.wiring(), "app", "local")
    assert str(outcome.error) == (
        "unable to expire by 'this clock': no backup was made from 2031-02-03 02:00Z to 2032-03-15 02:00Z, which is "
        "longer than 35 days: the clock jumped, or backups paused\n"
        "hint: nothing is marked or removed before backups have gone on for 5 days"
    )
    assert before.items() <= shelves.objects().items()
    shelves.pass_time(1)
    assert Action.GOES in actions(shelves).values()


def test_a_backup_by_a_clock_that_was_behind_is_as_old_as_the_one_before_it(shelves: Shelves) -> None:
    weekly(shelves, 5)
    behind = shelves.back_up(at=START - 4000 * DAY)
    assert actions(shelves)[behind] is Action.STAYS


def test_what_runs_left_that_committed_nothing_goes_after_two_days(shelves: Shelves) -> None:
    made = weekly(shelves, 2)
    left = shelves.upload()
    shelves.memory["local"].plant("app/notes.txt", b"somebody's")
    shelves.pass_time(1.9)
    assert expire(shelves.wiring(), "app", "local").abandoned == []
    shelves.pass_time(0.2)
    assert expire(shelves.wiring(), "app", "local", dry_run=True).abandoned == [left]
    assert any(left in key for key in shelves.objects())
    assert expire(shelves.wiring(), "app", "local").abandoned == [left]
    assert {key.split("/")[1] for key in shelves.objects()} == {*made, "notes.txt"}


def test_what_was_removed_is_not_committed_again_and_what_came_back_of_it_goes(shelves: Shelves) -> None:
    made, before = weekly(shelves, 5), shelves.objects()
    actions(shelves)
    shelves.pass_time(5)
    actions(shelves)
    for key in [key for key in before if made[0] in key]:
        shelves.memory["local"].plant(key, before[key])
    with pytest.raises(BackupExpired) as caught:
        shelves.commit(made[0], Kind.FULL)
    assert str(caught.value) == f"unable to commit '{made[0]}': it expired and was removed from target 'local'"
    assert expire(shelves.wiring(), "app", "local").abandoned == [made[0]]
    assert not any(made[0] in key for key in shelves.objects())


def test_a_target_that_is_not_of_the_source_is_refused(shelves: Shelves) -> None:
    outcome = expire(shelves.wiring(), "app", "elsewhere", dry_run=True)
    assert str(outcome.error) == (
        "unable to find 'elsewhere': source 'app' has no target of that name\nhint: it has: local"
    )


def test_where_credentials_may_not_delete_no_record_says_that_something_went(shelves: Shelves) -> None:
    made = weekly(shelves, 5)
    actions(shelves)
    shelves.pass_time(5)
    shelves.memory["local"].shelf.may_delete = False
    outcome = expire(shelves.wiring(), "app", "local")
    assert str(outcome.error) == (
        "unable to remove from 'local': these credentials may not delete there\n"
        "hint: run retention where credentials may delete (retention.queue); nothing was removed"
    )
    assert shelves.listed() == made


def test_a_run_at_work_on_the_source_is_waited_for(shelves: Shelves) -> None:
    weekly(shelves, 5)
    wiring = shelves.wiring()
    with held(wiring, "app", "local"):
        assert type(expire(wiring, "app", "local").error) is LeaseHeld
        assert expire(wiring, "app", "local", dry_run=True).error is None


def test_a_dry_run_writes_nothing_and_needs_no_signing_key(shelves: Shelves) -> None:
    weekly(shelves, 5)
    shelves.world.settings["signing"].pop("key")
    shelves.world.save()
    everything = {key: shelves.memory["local"].bytes_of(key) for key in shelves.memory["local"].keys("")}
    assert Action.IS_MARKED in actions(shelves, dry_run=True).values()
    assert {key: shelves.memory["local"].bytes_of(key) for key in shelves.memory["local"].keys("")} == everything


def test_where_the_newest_decision_cannot_be_believed_all_is_listed_and_found_by_id_and_none_is_the_latest(
    shelves: Shelves,
) -> None:
    made = weekly(shelves, 5)
    actions(shelves)
    shelves.pass_time(5)
    actions(shelves)
    memory = shelves.memory["local"]
    key = [key for key in memory.keys("catalog/app/0") if key.endswith("-retention.json")][-1]
    memory.plant(key, memory.bytes_of(key).replace(b'"removed":[[1,4]', b'"removed":[[1,5]'))
    listing = list_points(shelves.wiring(), "app")
    assert [point.backup_id for point in listing.points] == made
    assert {target: type(error) for target, error in listing.unreadable.items()} == {"local": SignatureInvalid}
    assert choose(shelves.wiring(), "app", made[4]).point.backup_id == made[4]
    with pytest.raises(SignatureInvalid):
        choose(shelves.wiring(), "app", "latest")
    assert type(expire(shelves.wiring(), "app", "local").error) is SignatureInvalid


def test_what_a_target_does_not_let_go_is_told_each_time_and_by_doctor_after_two_days(shelves: Shelves) -> None:
    made, memory = weekly(shelves, 5), shelves.memory["local"]
    actions(shelves)
    shelves.pass_time(5)
    refused = FaultyStorage(memory, Fault(Damage.FAIL, keys=f"app/{made[0]}/manifest.json", operations=("erase",)))
    first = expire(shelves.wiring({"local": refused}), "app", "local")
    assert (first.verdict, len(first.failures), len(first.certificates)) == (Verdict.FAIL, 1, 5)
    assert made[0] not in shelves.listed()
    shelves.pass_time(2.1)
    again = expire(shelves.wiring({"local": refused}), "app", "local")
    assert (again.verdict, again.abandoned) == (Verdict.FAIL, [])
    assert standing(shelves.wiring(), "app") == ("local: 4 restore points, 1 marked, 0 holds", [made[0]])
    last = expire(shelves.wiring(), "app", "local")
    assert [item.versions for item in last.certificates[0].objects] == [0, 0, 1]
    assert standing(shelves.wiring(), "app")[1] == []


def test_where_the_oldest_are_locked_those_after_them_make_room(tmp_path: Path) -> None:
    shelves = Shelves.make(tmp_path / "world", rules={"at_least": {}, "longest_gap": "1 year"})
    made = []
    for _ in range(5):
        made.append(shelves.back_up())
        shelves.pass_time(1)
    for name in made[:3]:
        shelves.memory["local"].lock(f"app/{name}/manifest.json", shelves.clock.now + 90 * DAY)
    memory = shelves.memory["local"]
    used, backups = (sum(memory.stat(key).size for key in memory.keys(above)) for above in ("", "app/"))
    quota = used + backups - 500  # the next ones take as much as these, but for a part of one
    shelves.world.settings["targets"]["local"]["quota"] = f"{quota / 1000:.3f} kB"
    shelves.world.save()
    found = actions(shelves)
    assert [found[name] for name in made] == [Action.STAYS] * 3 + [Action.IS_MARKED, Action.STAYS]
