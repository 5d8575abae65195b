"""The ledger of requests to erase outlives any one target; hidden, shortened or forked it stops restores; a request is
not answered before every target has it."""

from __future__ import annotations

import io
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.damage.tiny import WiringTo
from tests.support.faulty_storage import Damage, Fault, FaultyStorage
from tests.support.forgotten import entries, erase, erased, restored, rows, with_erasures
from tests.support.verbs import flip
from tests.support.world import Ran, World

from rlg_backup.core.errors import ErasureIncomplete, ErasureUndecided
from rlg_backup.engine.erasure import known, record
from rlg_backup.engine.restore import restore
from rlg_backup.format.keys import SigningKey

TARGETS = ("local", "second", "third")


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A backup on three targets, then a request, then a backup which knows of it."""
    world = with_erasures(World.make(tmp_path_factory.mktemp("ledger") / "world", targets=TARGETS))
    world.back_up()
    erased(world, "2")
    world.back_up()
    return world


@pytest.fixture
def world(template: World, tmp_path: Path) -> World:
    return template.copy(tmp_path / "world")


def people(world: World, name: str) -> list[int]:
    done = restored(world, "latest", name)
    assert done.code == 0, done.out
    return [number for (number,) in rows(world.root / name, "SELECT id FROM people")]


def down(world: World, target: str) -> None:
    """Nothing can be read or written there."""
    place = world.target(target)
    place.rename(place.with_name(f"away-{target}"))
    place.write_text("not a folder")


def up(world: World, target: str) -> None:
    place = world.target(target)
    place.unlink()
    place.with_name(f"away-{target}").rename(place)


@pytest.mark.parametrize("lost", TARGETS)
def test_it_survives_the_loss_of_any_one_target_which_the_next_request_mends(world: World, lost: str) -> None:
    shutil.rmtree(world.target(lost) / "erasures")
    assert people(world, "back.db") == [1, 3]
    erased(world, "3")
    assert [path.name for path in entries(world, lost)] == ["00000001.json", "00000002.json"]
    assert people(world, "again.db") == [1]


def test_a_backup_brings_a_target_what_it_lacks_of_it(world: World) -> None:
    shutil.rmtree(world.target("third") / "erasures")
    world.back_up()
    assert len(entries(world, "third")) == 1


def test_replicate_mends_it_and_says_when_it_cannot(world: World) -> None:
    entries(world, "second")[0].unlink()
    flip(entries(world, "third")[0], 100)
    assert world.run("replicate").code == 0
    assert {path.read_bytes() for target in TARGETS for path in entries(world, target)} == {
        entries(world)[0].read_bytes()
    }
    for target in TARGETS:
        entries(world, target)[0].unlink()
    done = world.run("replicate", "--json")
    assert (done.code, {one["target"]: "a request to erase is hidden" in one["error"] for one in done.json}) == (
        3,
        dict.fromkeys(TARGETS, True),
    )


@pytest.mark.parametrize("forget", [False, True], ids=["this machine", "the newest backup"])
def test_shortened_on_every_target_it_stops_restores(world: World, forget: bool) -> None:
    for target in TARGETS:
        entries(world, target)[0].unlink()
    if forget:
        shutil.rmtree(world.root / "state")
    who = "the newest backup of 'app' on target 'local'" if forget else "this machine"
    done = restored(world, "latest")
    cause = f"it has 0 entries on every target that can be read, but {who} knows 1: a request to erase is hidden"
    assert (done.code, done.json["message"]) == (3, f"unable to verify 'erasures': {cause}")
    assert not (world.root / "back.db").exists()
    assert erase(world, "3").code == 3
    world.settings["drill"] = {"scratch": "scratch", "reports": "reports"}
    world.save()
    assert world.run("drill").code == 3


def test_a_backup_does_not_hide_that_it_was_shortened(world: World) -> None:
    for target in TARGETS:
        entries(world, target)[0].unlink()
    world.back_up()
    shutil.rmtree(world.root / "state")
    assert restored(world, "latest").code == 3


def test_a_backup_warns_of_a_ledger_that_was_shortened(world: World) -> None:
    for target in TARGETS:
        shutil.rmtree(world.target(target) / "erasures")
    done = world.run("backup", "--source", "app", "--json")
    assert done.code == 0
    told = [one for one in done.json[0]["warnings"] if one.startswith("the erasure ledger")]
    cause = "unable to read 'erasures/00000001.json': it is not on target '{0}'"
    assert told == [f"the erasure ledger on target '{one}' is not as it was: {cause.format(one)}" for one in TARGETS]


def test_where_two_hosts_disagree_on_the_first_target_the_fork_is_refused(world: World) -> None:
    other = world.copy(world.root.parent / "other")
    erased(world, "1")
    erased(other, "3")
    shutil.copy(entries(other, "second")[1], world.target("second") / "erasures")
    done = restored(world, "latest")
    assert (done.code, done.json["error"]) == (1, "LedgerForged")
    assert done.json["message"].endswith("targets 'second' and 'local' hold different entries of one number")


def test_a_request_is_not_done_while_a_target_is_down_and_is_finished_later(world: World) -> None:
    down(world, "third")
    done = erase(world, "3")
    assert (done.code, done.json["error"]) == (1, "ErasureIncomplete")
    assert done.json["message"].startswith(
        "unable to record 'request 00000002': it is on local, second, not on 'third': unable to "
    )
    assert done.json["hint"] == "ask again, or 'rlg-backup erase --complete', once it answers"
    assert people(world, "back.db") == [1]
    up(world, "third")
    assert len(entries(world, "third")) == 1
    assert world.run("erase", "--json").code == 3
    finished = world.run("erase", "--complete", "--json")
    assert (finished.code, finished.json["lengths"]) == (0, dict.fromkeys(TARGETS, 2))
    assert not erase(world, "3").json["new"]


def test_without_the_target_that_decides_the_order_nothing_is_recorded(world: World) -> None:
    down(world, "local")
    done = erase(world, "3")
    assert (done.code, done.json["error"]) == (1, "ErasureIncomplete")
    assert done.json["message"].startswith(
        "unable to erase 'subject of kind person': nothing was recorded, since target 'local' decides the order of "
        "requests: unable to "
    )
    assert len(entries(world, "second")) == 1
    assert people(world, "back.db") == [1, 3]


def test_a_request_that_was_not_answered_may_be_lost_with_the_one_target_that_had_it(world: World) -> None:
    for target in TARGETS[1:]:
        down(world, target)
    assert erase(world, "3").code == 1
    assert len(entries(world)) == 2
    for target in TARGETS[1:]:
        up(world, target)
    assert people(world, "while.db") == [1]
    shutil.rmtree(world.target())
    del world.settings["targets"]["local"]
    world.source["targets"] = list(TARGETS[1:])
    world.save()
    assert people(world, "back.db") == [1, 3]
    erased(world, "3")
    assert people(world, "again.db") == [1]


def test_requests_at_the_same_time_are_all_recorded(world: World) -> None:
    subjects = [str(number) for number in range(10, 18)]
    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(lambda subject: record(world.wiring(), "person", [subject], "request")[0], subjects))
    assert sorted(one.sequence for one in done) == list(range(2, 10))
    assert world.run("erase", "--json").json["lengths"] == dict.fromkeys(TARGETS, 9)


def test_nothing_of_the_subject_is_told_or_kept(world: World) -> None:
    subject = "a-subject-that-is-nowhere"
    done = world.run("--verbose", "erase", "--subject", subject)
    assert done.code == 0
    down(world, "second")
    failed = world.run("--verbose", "erase", "--subject", subject + "-else")
    assert subject not in done.out + done.err + failed.out + failed.err
    kept = [path for path in world.root.rglob("*") if path.is_file() and subject.encode() in path.read_bytes()]
    assert kept == []


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("--subject", " "), "unable to erase 'subject': its key is not 1 to 1024 characters"),
        (("--subject", "2", "--kind", "fan"), "unable to erase 'fan': 'erasure.subjects' has no such kind"),
        (
            ("--subject", f"hashed:{'0' * 16}:{'0' * 64}"),
            f"unable to erase 'subject': it is hashed under the erasure key {'0' * 16}, which is not here",
        ),
        (("--subject", "4", "--reason", "Miriam Peretz"), "unable to write 'erasure entry': field 'reason'"),
    ],
)
def test_what_cannot_be_meant_is_refused_and_not_recorded(world: World, words: tuple[str, ...], text: str) -> None:
    done = world.run("erase", *words, "--json")
    assert (done.code > 0, done.json["message"].startswith(text)) == (True, True), done.out
    assert len(entries(world)) == 1


def test_doctor_says_where_requests_are_missing(world: World) -> None:
    def told() -> tuple[str, str]:
        checks = {check["name"]: check for check in world.run("doctor", "--json").json["checks"]}
        return checks["ledger"]["verdict"], checks["ledger"]["measured"]

    assert told() == ("PASS", "1 requests on every target")
    entries(world, "third")[0].unlink()
    assert told() == ("FAIL", "requests are missing on third: rlg-backup erase --complete")
    flip(entries(world, "second")[0], 100)
    verdict, measured = told()
    assert (verdict, measured.startswith("second: unable to ")) == ("COULD-NOT-VERIFY", True)
    assert world.run("erase", "--complete").code == 0
    assert told() == ("PASS", "1 requests on every target")


def test_where_retention_has_a_key_of_its_own_it_signs_no_request(world: World) -> None:
    key = SigningKey.generate()
    world.settings["retention"] = {"trusted": [key.signer.text]}
    world.save()
    erased(world, "1")
    (world.root / "keys" / "retention.key").write_text(key.text)
    (world.root / "keys" / "retention.key").chmod(0o600)
    world.settings["signing"]["key"] = "file:keys/retention.key"
    world.save()
    done = erase(world, "3")
    assert done.code == 1
    assert len(entries(world)) == 2
    assert people(world, "back.db") == [3]


def unseen(world: World) -> None:
    """No machine and no backup knows of the request."""
    shutil.rmtree(world.root / "state")
    for target in TARGETS:
        shutil.rmtree(world.target(target))
    world.back_up()
    shutil.rmtree(world.root / "state")
    erased(world, "2")
    shutil.rmtree(world.root / "state")


@pytest.mark.parametrize("how", ["damaged", "down"])
def test_an_empty_copy_outvotes_no_other_that_is_damaged_or_down(world: World, how: str) -> None:
    unseen(world)
    for target in TARGETS[1:]:
        shutil.rmtree(world.target(target) / "erasures")
    if how == "damaged":
        flip(entries(world)[0], 100)
    else:
        down(world, "local")
    done = restored(world, "latest")
    assert (done.code, done.json["error"]) == (3, "LedgerShort"), done.out
    assert "target 'local'" in done.json["message"]
    assert not (world.root / "back.db").exists()


def test_a_request_recorded_while_a_restore_loads_stops_it(world: World) -> None:
    asked: list[int] = []

    def progress(what: str, done: int, total: int) -> None:
        if what == "load" and not asked:
            asked.append(erase(world, "1").code)

    with pytest.raises(ErasureUndecided) as caught:
        restore(world.wiring(progress=progress), "app", "latest", str(world.root / "back.db"))
    assert str(caught.value) == (
        "unable to restore 'app': a request to erase was recorded while it was being restored\n"
        "hint: restore again: that leaves it out"
    )
    assert (asked, (world.root / "back.db").exists()) == ([0], False)
    assert people(world, "again.db") == [3]


def lines(world: World, monkeypatch: pytest.MonkeyPatch, text: str, *more: str) -> Ran:
    monkeypatch.setattr("sys.stdin", io.StringIO(text))
    return world.run("erase", "--subject", "-", "--json", *more)


def test_several_subjects_are_recorded_in_one_call_each_with_its_answer(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = lines(world, monkeypatch, "1\n\n2\n3\n1\n")
    assert done.code == 0, done.out + done.err
    assert [(one["sequence"], one["new"]) for one in done.json] == [(2, True), (1, False), (3, True), (2, False)]
    assert [len(entries(world, target)) for target in TARGETS] == [3, 3, 3]
    assert len({one["subject"] for one in lines(world, monkeypatch, "1\n2\n", "--print-hash").json}) == 2
    assert people(world, "back.db") == []


def test_of_several_subjects_one_that_cannot_be_meant_keeps_all_from_being_recorded(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    for text in (f"1\n{'x' * 1025}\n3\n", "\n"):
        done = lines(world, monkeypatch, text)
        assert done.json["message"] == "unable to erase 'subject': its key is not 1 to 1024 characters"
    assert len(entries(world)) == 1


def test_where_the_first_target_fails_between_several_subjects_it_is_said_how_many_are_recorded(world: World) -> None:
    wiring = world.wiring()
    fault = Fault(Damage.FAIL, operations=("put_bytes",), skip=2)
    failing = WiringTo(world, {name: wiring.storage(name) for name in TARGETS})
    failing.given["local"] = FaultyStorage(failing.given["local"], fault)
    with pytest.raises(ErasureIncomplete) as caught:
        record(failing, "person", ["1", "3", "4", "5"], "request")
    assert caught.value.cause.startswith(
        "2 of the requests were recorded and no more, since target 'local' decides the order of requests: unable to "
    )
    done = record(world.wiring(), "person", ["1", "3", "4", "5"], "request")
    assert [one.new for one in done] == [False, False, True, True]
    assert [len(entries(world, target)) for target in TARGETS] == [5, 5, 5]


def watched(world: World, *faults: Fault) -> tuple[WiringTo, dict[str, FaultyStorage]]:
    wiring = world.wiring()
    stores = {name: FaultyStorage(wiring.storage(name)) for name in TARGETS}
    stores["third"] = FaultyStorage(wiring.storage("third"), *faults)
    return WiringTo(world, stores), stores


def test_a_restore_reads_the_ledger_once_and_asks_again_for_its_end_alone(world: World) -> None:
    record(world.wiring(), "person", [str(number) for number in range(10, 29)], "request")
    wiring, stores = watched(world)
    restore(wiring, "app", "latest", str(world.root / "back.db"))
    calls = [call for store in stores.values() for call in store.calls]
    read = [key for operation, key in calls if operation == "get_bytes" and key.startswith("erasures/")]
    assert len(read) == 20 + 3 + 3, "each entry, each copy's end, and that again at the end"
    assert len([key for operation, key in calls if operation == "list" and key == "erasures/"]) == 3 + 1 + 3
    assert len([key for operation, key in calls if operation == "list" and key == "catalog/"]) == 3


def test_a_target_that_does_not_answer_is_asked_once_for_all_sources(world: World) -> None:
    for number in range(5):
        world.settings["sources"][f"s{number}"] = world.source
    world.save()
    wiring, stores = watched(world, Fault(Damage.FAIL))
    assert known(wiring).lengths == {"local": 1, "second": 1}
    assert [key for _, key in stores["third"].calls] == ["catalog/", "erasures/", "erasures/"]


def test_damage_ahead_of_a_copys_end_is_told_by_who_reads_it_whole_and_mended_by_replicate(world: World) -> None:
    erased(world, "3")
    flip(entries(world, "second")[0], 100)
    assert people(world, "back.db") == [1]
    assert [
        check["verdict"] for check in world.run("doctor", "--json").json["checks"] if check["name"] == "ledger"
    ] == ["COULD-NOT-VERIFY"]
    assert "second" in world.run("erase", "--json").json["passed_over"]
    assert world.run("replicate").code == 0
    assert world.run("erase", "--json").code == 0
