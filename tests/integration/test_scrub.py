"""verify --all reads every copy back; a damaged one is mended from another target's, and never the other way round."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.support.faulty_storage import Damage, Fault, FaultyStorage
from tests.support.gcs_server import GcsServer
from tests.support.verbs import flip
from tests.support.world import World

from rlg_backup.catalog import commit_backup
from rlg_backup.core.errors import StorageFull
from rlg_backup.core.model import Kind, Verdict
from rlg_backup.engine import scrub as scrubbing
from rlg_backup.engine.lease import held
from rlg_backup.engine.retention import expire
from rlg_backup.engine.scrub import scrub
from rlg_backup.format.manifest import Manifest

OTHER = "SHA-256 different"


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World.make(tmp_path / "world", targets=("local", "second"))


def flipped(path: Path) -> None:
    flip(path, 200)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


DAMAGE: dict[str, tuple[str, Callable[[Path], None], str]] = {
    "a flipped bit of an archive": ("default.zip.age", flipped, OTHER),
    "an archive cut short": ("default.zip.age", cut, OTHER),
    "an archive that is gone": ("default.zip.age", Path.unlink, "it is not on target 'local'"),
    "a manifest that is gone": ("manifest.json", Path.unlink, "it is not on target 'local'"),
    "a flipped bit of a manifest": ("manifest.json", flipped, "its SHA-256 is not the one that was committed"),
}


@pytest.mark.parametrize("case", DAMAGE)
def test_a_damaged_copy_is_found_told_and_mended_from_the_other_target(world: World, case: str) -> None:
    name, damage, told = DAMAGE[case]
    full, child = world.back_up(), world.back_up(kind="incremental")
    sound = world.objects("second")
    damage(world.target("local") / "app" / full / name)
    first, second = scrub(world.wiring(), "app", mend=False)
    hit = {full} if told == OTHER and "cut" not in case else {full, child}  # a chain is looked at by sizes
    assert (first.verdict, set(first.faults)) == (Verdict.FAIL, hit)
    assert told in first.faults[full]
    assert (second.verdict, second.read) == (Verdict.PASS, [full, child])
    done = world.run("verify", "--all", "--json")
    assert (done.code, done.json["verdict"]) == (0, "PASS")
    assert done.json["targets"][0]["mended"][full] == [f"app/{full}/{name}"]
    assert [one.faults for one in scrub(world.wiring(), "app")] == [{}, {}]
    assert world.objects("second") == sound
    assert world.run("restore", child, "--source", "app", "--to", world.root / "back.db").code == 0
    assert world.staged() == []


def test_what_is_damaged_everywhere_stays_and_is_a_failure(world: World) -> None:
    full = world.back_up()
    for target in ("local", "second"):
        flip(world.target(target) / "app" / full / "default.zip.age", 200 if target == "local" else 300)
    before = world.objects(), world.objects("second")
    done = world.run("verify", "--all")
    assert done.code == 1
    assert f"  {full}: " in done.out
    assert "not mended: unable to fetch" in done.out
    assert (world.objects(), world.objects("second")) == before


def test_a_forged_manifest_on_the_other_target_mends_nothing(world: World) -> None:
    """The signed record of the damaged target says which manifest it was."""
    full = world.back_up()
    flip(world.target("local") / "app" / full / "default.zip.age", 200)
    flip(world.target("second") / "app" / full / "manifest.json", 200)
    before = world.objects()
    done = world.run("verify", "--all", "--json")
    assert done.code == 1
    assert (
        f"not mended: unable to mend 'app/{full}': no other target holds it" in done.json["targets"][0]["faults"][full]
    )
    assert world.objects() == before


def test_every_copy_is_read_once_in_as_many_runs_as_there_are_turns(world: World) -> None:
    ids = {world.back_up() for _ in range(9)}
    seen: list[str] = []
    for _ in range(4):
        seen += scrub(world.wiring(), "app", runs=4)[0].read
    assert set(seen) == ids
    assert len(seen) <= len(ids) + 3


def test_a_damaged_change_state_is_a_fault_and_mended(world: World) -> None:
    full = world.back_up()
    flip(world.target("local") / "app" / full / "state.zip.age", 100)
    first = scrub(world.wiring(), "app", mend=False)[0]
    told = "the change state has other bytes than were signed: no restore needs it, the next backup does"
    assert (first.verdict, first.faults) == (Verdict.FAIL, {full: told})
    assert scrub(world.wiring(), "app")[0].mended == {full: [f"app/{full}/state.zip.age"]}
    assert [one.faults for one in scrub(world.wiring(), "app")] == [{}, {}]


def test_a_change_state_that_went_with_a_later_backup_is_not_brought_back(world: World) -> None:
    full = world.back_up()
    (world.target("local") / "app" / full / "state.zip.age").unlink()
    flip(world.target("local") / "app" / full / "default.zip.age", 200)
    assert scrub(world.wiring(), "app")[0].mended == {full: [f"app/{full}/default.zip.age"]}


@pytest.mark.parametrize("damage", [Path.unlink, cut], ids=["gone", "cut short"])
def test_a_child_whose_parent_is_not_whole_is_mended_with_it_although_only_the_child_is_read(
    world: World, damage: Callable[[Path], None]
) -> None:
    full, child = world.back_up(), world.back_up(kind="incremental")
    assert scrub(world.wiring(), "app", runs=2)[0].read == [full]
    damage(world.target("local") / "app" / full / "default.zip.age")
    first = scrub(world.wiring(), "app", runs=2)[0]
    assert (first.read, first.mended) == ([child], {child: [f"app/{full}/default.zip.age"]})


def broken(world: World, fault: Fault) -> list[scrubbing.Scrubbed]:
    """A scrub whose first target goes wrong in this way."""
    wiring = world.wiring()
    local = FaultyStorage(wiring.storage("local"), fault)
    wiring._storages["local"] = local
    done = scrub(wiring, "app")
    assert local.hits(fault)
    return done


def test_where_there_is_no_room_for_a_sound_copy_the_damaged_one_stays(world: World) -> None:
    full = world.back_up()
    flip(world.target("local") / "app" / full / "default.zip.age", 200)
    before = world.objects()
    first = broken(world, Fault(Damage.FAIL, operations=("put_file",), error=StorageFull))[0]
    assert (first.verdict, first.mended) == (Verdict.FAIL, {})
    assert world.objects() == before


def test_a_copy_that_is_damaged_as_it_is_mended_is_not_called_mended(world: World) -> None:
    full = world.back_up()
    flip(world.target("local") / "app" / full / "default.zip.age", 200)
    first = broken(world, Fault(Damage.FLIP, operations=("put_file",), at=300))[0]
    assert (first.verdict, first.mended) == (Verdict.FAIL, {})
    assert f"not mended: unable to mend 'app/{full}': " in first.faults[full]


def test_a_copy_that_could_not_be_read_is_not_called_sound_and_is_read_by_the_next_run(world: World) -> None:
    full = world.back_up()
    first = broken(world, Fault(Damage.FAIL, keys="*/default.zip.age", operations=("open",)))[0]
    assert (first.verdict, list(first.unread)) == (Verdict.COULD_NOT_VERIFY, [full])
    world.back_up()
    assert scrub(world.wiring(), "app", runs=2)[0].read == [full]


def test_another_genuine_backup_of_that_id_on_the_other_target_mends_nothing(world: World) -> None:
    """The signed record of the damaged target says which manifest it was."""
    world.source["targets"] = ["local"]
    world.save()
    full, wiring = world.back_up(), world.wiring()
    data = (world.target("local") / "app" / full / "manifest.json").read_bytes()
    manifest = Manifest.load(data, wiring.trusted, source="app", backup_id=full)
    other = manifest.model_copy(update={"created_at": manifest.created_at + timedelta(seconds=1)})
    shutil.copytree(world.target("local") / "app", world.target("second") / "app")
    signed = other.sign(wiring.signing_key)
    (world.target("second") / "app" / full / "manifest.json").write_bytes(signed)
    world.source["targets"] = ["local", "second"]
    world.save()
    with held(world.wiring(), "app", "second") as lease:
        commit_backup(
            lease,
            world.wiring().catalog("second", "app"),
            key=wiring.signing_key,
            backup_id=full,
            kind=Kind.FULL,
            parent=None,
            manifest_sha256=hashlib.sha256(signed).hexdigest(),
        )
    flip(world.target("local") / "app" / full / "default.zip.age", 200)
    first, second = scrub(world.wiring(), "app")
    assert first.mended == {}
    assert first.faults[full].endswith(f"not mended: unable to mend 'app/{full}': no other target holds it")
    assert second.verdict is Verdict.PASS


def test_a_target_that_is_down_is_not_called_sound(world: World) -> None:
    world.back_up()
    place = world.target("second")
    place.rename(world.root / "away")
    place.write_text("down")
    done = world.run("verify", "--all")
    assert done.code == 3
    assert "? COULD-NOT-VERIFY  app  0 of 0 copies read on second\n" in done.out


@pytest.mark.parametrize("more", [["latest"], ["--target", "local"], ["--full"]])
def test_all_stands_alone(world: World, more: list[str]) -> None:
    done = world.run("verify", "--all", *more)
    assert done.code == 2
    assert "Error: --all reads every copy: give no ID, no --target and no --full with it\n" in done.err


def test_a_copy_in_a_bucket_that_keeps_what_is_deleted_is_mended(world: World) -> None:
    """As every new bucket of Google's does, for seven days: what was deleted there cannot be removed for good."""
    with GcsServer() as server:
        client = server.client()
        client.create_bucket(client.bucket("soft"))
        soft = {"type": "gcs", "bucket": "soft", "project": "p", "endpoint_url": server.url, "emulator": True}
        world.settings["targets"]["local"] = soft
        world.save()
        full = world.back_up()
        blob = client.bucket("soft").blob(f"app/{full}/default.zip.age")
        data = bytearray(blob.download_as_bytes())
        data[200] ^= 1
        blob.upload_from_string(bytes(data))
        assert scrub(world.wiring(), "app")[0].mended == {full: [f"app/{full}/default.zip.age"]}
        assert [one.faults for one in scrub(world.wiring(), "app")] == [{}, {}]


@pytest.fixture
def aged(world: World) -> str:
    """The oldest of some backups, marked, which the next expiry removes."""
    world.settings["retention"] = {"grace": "0 days"}
    world.save()
    for days in (130, 128, 100, 3, 2, 1):
        world.back_up_ago(days)
    expire(world.wiring(), "app", "local")
    return world.wiring().catalog("local", "app").points()[0].backup_id


def test_what_expires_while_it_is_read_is_no_fault_and_stops_nothing(
    world: World, aged: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, done = scrubbing.verify, []

    def meanwhile(*given: Any, **named: Any) -> Any:
        if not done:
            done.append(expire(world.wiring(), "app", "local"))
        return real(*given, **named)

    monkeypatch.setattr(scrubbing, "verify", meanwhile)
    first, second = scrub(world.wiring(), "app")
    assert (first.verdict, first.copies, len(first.read)) == (Verdict.PASS, 3, 3)
    assert aged not in first.read
    assert (second.verdict, len(second.read)) == (Verdict.PASS, 6)


def test_what_expires_before_it_is_mended_is_not_brought_back(
    world: World, aged: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    flip(world.target("local") / "app" / aged / "default.zip.age", 200)
    real, done = scrubbing.copying, []

    def meanwhile(*given: Any) -> Any:
        if not done:
            done.append(expire(world.wiring(), "app", "local"))
        return real(*given)

    monkeypatch.setattr(scrubbing, "copying", meanwhile)
    (first, _) = scrub(world.wiring(), "app")
    assert aged in first.faults and aged not in first.mended
    assert [key for key in world.objects() if key.startswith(f"app/{aged}/")] == []


def test_a_record_of_long_ago_that_rots_is_a_failure(world: World) -> None:
    backup_id = world.back_up()
    assert world.run("hold", backup_id, "--reason", "a claim").code == 0
    world.back_up()
    (held,) = [path for path in world.target().rglob("*.json") if "retention" in path.name]
    flip(held, 200)
    assert world.run("verify", "--all").code == 1
