"""expire where the policy archives: whole chains to a colder tier, and from there out."""

from __future__ import annotations

from pathlib import Path

from tests.support.faulty_storage import Damage, Fault, FaultyStorage
from tests.support.shelf import Shelves
from tests.unit.engine.retention.test_execution import RULES, actions, weekly

from rlg_backup.core.model import Tier, Verdict
from rlg_backup.engine.restore_points import choose, list_points
from rlg_backup.engine.retention import Action, expire


def archiving(tmp_path: Path, **archive: str) -> Shelves:
    """A project whose target has tiers: to the engine it is a bucket, and what stands in for it is in memory."""
    shelves = Shelves.make(tmp_path / "world", rules={**RULES, "archive": archive})
    shelves.world.settings["targets"]["local"] = {"type": "s3", "bucket": "nobody-asks-for-it"}
    shelves.world.save()
    return shelves


def tiers(shelves: Shelves) -> list[str]:
    return [point.copies[0].tier.value for point in list_points(shelves.wiring(), "app").points]


def test_what_is_too_old_is_archived_with_its_chain_and_says_where_it_is(tmp_path: Path) -> None:
    shelves = archiving(tmp_path, tier="archive")
    made = weekly(shelves, 5)
    assert list(actions(shelves).values()).count(Action.IS_ARCHIVED) == 6
    assert set(actions(shelves).values()) == {Action.STAYS}
    assert tiers(shelves) == ["archive"] * 4 + ["hot", "archive", "hot", "archive", "hot", "hot"]
    memory = shelves.memory["local"]
    found = {info.key.rpartition("/")[2]: info.tier for info in memory.list(f"app/{made[0]}/")}
    assert found == {"default.zip.age": Tier.ARCHIVE, "manifest.json": Tier.HOT, "state.zip.age": Tier.HOT}
    assert choose(shelves.wiring(), "app", made[0]).point.backup_id == made[0]


def test_an_archived_backup_is_marked_and_removed_when_it_is_too_old_for_that_too(tmp_path: Path) -> None:
    shelves = archiving(tmp_path, tier="cold", keep="30 days")
    made = weekly(shelves, 5)
    assert list(actions(shelves).values())[:3] == [Action.IS_MARKED, Action.IS_MARKED, Action.IS_ARCHIVED]
    shelves.pass_time(5)
    actions(shelves)
    assert shelves.listed() == made[2:]
    assert list(actions(shelves).values())[:2] == [Action.WAITS] * 2
    assert tiers(shelves)[:2] == ["cold", "cold"]


def test_a_move_that_broke_off_goes_on_in_the_next_run(tmp_path: Path) -> None:
    shelves = archiving(tmp_path, tier="cool")
    weekly(shelves, 5)
    fault = Fault(Damage.FAIL, operations=("move_to",), skip=2, times=1)
    faulty = FaultyStorage(shelves.memory["local"], fault)
    outcome = expire(shelves.wiring({"local": faulty}), "app", "local")
    assert (outcome.verdict, len(outcome.failures)) == (Verdict.FAIL, 1)
    assert tiers(shelves).count("cool") == 5
    assert list(actions(shelves).values()).count(Action.IS_ARCHIVED) == 1
    assert tiers(shelves).count("cool") == 6


def test_a_folder_has_no_tiers_so_there_it_is_marked(tmp_path: Path) -> None:
    shelves = Shelves.make(tmp_path / "world", rules={**RULES, "archive": {"tier": "cold"}})
    weekly(shelves, 5)
    assert list(actions(shelves).values()).count(Action.IS_MARKED) == 6
