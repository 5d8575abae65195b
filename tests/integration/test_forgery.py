"""Against who owns a target: forged, damaged, hidden and brought-back backups are noticed, on whole and partial reads,
before a row is used and before anything is at the destination."""

from __future__ import annotations

import io
import json
import secrets
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.support.attack import READS, alone, folder, refuses
from tests.support.compare import assert_databases_equal
from tests.support.world import World

from rlg_backup.core.errors import (
    BackupError,
    CatalogForged,
    CatalogGap,
    DirectoryDamaged,
    ObjectDamaged,
    SignerUnknown,
)
from rlg_backup.engine.archives import ARCHIVE
from rlg_backup.engine.restore_points import Chosen, choose
from rlg_backup.engine.wiring import Wiring
from rlg_backup.format.age import encrypt

MOVED = "compare with the source's other targets before restoring from this one"
RENEWED = f"{MOVED}; a target that was emptied or put back on purpose needs a new name in the configuration"


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> World:
    world = World.make(tmp_path_factory.mktemp("forgery") / "world", targets=("local", "second"))
    for _ in range(3):
        world.back_up()
    return world


@pytest.fixture
def world(template: World, tmp_path: Path) -> World:
    """Three backups on two targets, all seen by this machine. Only 'local' is attacked."""
    return template.copy(tmp_path / "world")


@pytest.fixture(scope="module")
def stranger(template: World, tmp_path_factory: pytest.TempPathFactory) -> World:
    """Somebody else's installation, which knows our public recipients and nothing else."""
    made = World.make(tmp_path_factory.mktemp("stranger") / "world", targets=("local", "second"))
    made.settings["encryption"]["recipients"] = template.settings["encryption"]["recipients"]
    made.save()
    made.back_up()
    return made


# --- somebody else's archive, encrypted to our public recipients --------------------------------------


@pytest.mark.parametrize("read", READS)
def test_another_writers_archive_under_our_manifest_is_refused(
    world: World, stranger: World, tmp_path: Path, read: str
) -> None:
    chosen = choose(world.wiring(), "app")
    theirs = next(stranger.target().glob(f"app/*/{ARCHIVE}")).read_bytes()
    (folder(world, 3) / ARCHIVE).write_bytes(theirs + bytes(1000))  # surely of another size
    key = f"{chosen.folder}/{ARCHIVE}"
    text = {
        "whole": f"unable to fetch '{key}': target 'local' holds other bytes than the manifest names",
        "partial": f"unable to open '{key}': target 'local' holds {len(theirs) + 1000} bytes, "
        "the manifest names another size",
    }
    with pytest.raises(ObjectDamaged) as caught:
        READS[read](world, chosen, tmp_path / "archive")
    assert str(caught.value) == text[read]
    assert not any(path.is_file() for path in (tmp_path / "archive").rglob("*"))


def forged(world: World, chosen: Chosen) -> bytes:
    """An age file to our recipients, as long as ours, that our identity opens."""
    wiring = world.wiring()
    size = chosen.manifest.archives[0].size
    around = len(_encrypted(wiring, b""))  # header, nonce and the one chunk's tag
    data = _encrypted(wiring, secrets.token_bytes(size - around))
    assert len(data) == size
    return data


def _encrypted(wiring: Wiring, plaintext: bytes) -> bytes:
    sink = io.BytesIO()
    writer = encrypt(sink, wiring.recipients)
    writer.write(plaintext)
    writer.close()
    return sink.getvalue()


@pytest.mark.parametrize("read", READS)
def test_another_writers_archive_of_the_same_size_is_refused(world: World, tmp_path: Path, read: str) -> None:
    """It decrypts, every chunk of it is authentic: only what the signed manifest says gives it away."""
    chosen = choose(world.wiring(), "app")
    (folder(world, 3) / ARCHIVE).write_bytes(forged(world, chosen))
    expected: dict[str, tuple[type[BackupError], str]] = {
        "whole": (
            ObjectDamaged,
            f"unable to fetch '{chosen.folder}/{ARCHIVE}': target 'local' holds other bytes than the manifest names",
        ),
        "partial": (
            DirectoryDamaged,
            "unable to verify 'default.zip.age': its directory is not the one the manifest names",
        ),
    }
    error, text = expected[read]
    with pytest.raises(error) as caught:
        READS[read](world, chosen, tmp_path / "archive")
    assert (type(caught.value), str(caught.value)) == (error, text)


def test_another_writers_manifest_is_refused(world: World, stranger: World, tmp_path: Path) -> None:
    """Archive and manifest replaced together: the commit record names another manifest."""
    [theirs] = (stranger.target() / "app").iterdir()
    for name in (ARCHIVE, "manifest.json"):
        shutil.copy(theirs / name, folder(world, 3) / name)
    key = f"app/{folder(world, 3).name}/manifest.json"
    text = f"unable to verify '{key}': its SHA-256 is not the one that was committed"
    with pytest.raises(ObjectDamaged) as caught:
        choose(world.wiring(), "app", "latest", target="local")
    assert str(caught.value) == text
    done = refuses(world, tmp_path / "out", 1, "latest", "--target", "local")
    assert done.err == f"error: {text}\n"


@pytest.mark.parametrize("forget", [False, True])
def test_another_writers_whole_target_is_refused(world: World, stranger: World, tmp_path: Path, forget: bool) -> None:
    """Record, manifest and archive agree with each other, and are signed by nobody we trust."""
    alone(world, forget=forget)
    shutil.rmtree(world.target())
    shutil.copytree(stranger.target(), world.target())
    [record] = world.records()
    signer = json.loads(record.read_bytes())["signatures"][0]["key"]
    backup_id = record.name[9:34]
    text = (
        f"unable to verify 'catalog/app/{record.name}': it is signed by {signer}, which is not trusted\n"
        "hint: add the signer's public key to the trusted signers if it is yours"
    )
    with pytest.raises(SignerUnknown) as caught:
        choose(world.wiring(), "app", backup_id)
    assert str(caught.value) == text
    if forget:
        assert refuses(world, tmp_path / "out", 1, "latest").err == f"error: {text}\n"
    else:
        refuses(world, tmp_path / "out", 3, "latest")
    assert world.run("verify", backup_id).code == 1


def test_a_manifest_that_was_signed_by_another_key_is_refused_even_if_its_record_names_it(
    world: World, stranger: World
) -> None:
    """Our own signer committed it (a stolen lease, a mix-up): still each document needs a trusted signature."""
    alone(world)
    stranger_key = stranger.wiring().signing_key
    world.settings["signing"]["trusted"].append(stranger_key.signer.text)
    (world.root / "keys" / "backup-worker" / "signing.key").write_text(stranger_key.text)
    world.save()
    backup_id = world.back_up()
    world.settings["signing"]["trusted"].pop()
    world.save()
    with pytest.raises(SignerUnknown):
        choose(world.wiring(), "app", backup_id)


# --- old backups brought back --------------------------------------------------------------------------


def bring_back_as_a_newer_one(world: World) -> None:
    first = world.records()[0]
    shutil.copy(first, first.with_name(f"00000004-{first.name[9:]}"))


def bring_back_under_a_new_id(world: World) -> None:
    first = world.records()[0]
    shutil.copytree(folder(world, 1), world.target() / "app" / "20990101T000000Z-00000000")
    shutil.copy(first, first.with_name("00000004-20990101T000000Z-00000000-full.json"))


def bring_back_in_the_place_of_the_newest(world: World) -> None:
    records = world.records()
    shutil.copy(records[0], records[2])


def bring_back_from_another_target(world: World) -> None:
    """The second target's newest record is of the same backup: only the target's name in it differs."""
    shutil.copy(world.records("second")[2], world.records("local")[2])


def swap_two_records(world: World) -> None:
    one, two, _ = world.records()
    data = one.read_bytes()
    one.write_bytes(two.read_bytes())
    two.write_bytes(data)


BROUGHT_BACK: dict[Callable[[World], None], str] = {
    bring_back_as_a_newer_one: "unable to list 'catalog/app/00000004-{1}': "
    "'catalog/app/00000001-{1}' is of the same backup on target 'local'\nhint: {moved}",
    bring_back_under_a_new_id: "unable to verify 'catalog/app/00000004-20990101T000000Z-00000000-full.json': "
    "it is the record 'catalog/app/00000001-{1}'",
    bring_back_in_the_place_of_the_newest: "unable to verify 'catalog/app/00000003-{3}': "
    "it is the record 'catalog/app/00000001-{1}'",
    bring_back_from_another_target: "unable to verify 'catalog/app/00000003-{3}': "
    "it was made for target 'second', not for 'local'",
}


@pytest.mark.parametrize("forget", [False, True], ids=["seen", "new machine"])
@pytest.mark.parametrize("attack", BROUGHT_BACK, ids=lambda attack: attack.__name__)
def test_an_old_backup_brought_back_is_not_the_latest(
    world: World, tmp_path: Path, attack: Callable[[World], None], forget: bool
) -> None:
    names = [record.name[9:] for record in world.records()]
    attack(alone(world, forget=forget))
    template = BROUGHT_BACK[attack]
    text = template.format(None, *names, moved=MOVED)
    with pytest.raises(CatalogForged) as caught:
        choose(world.wiring(), "app")
    assert str(caught.value) == text
    assert refuses(world, tmp_path / "out", 1, "latest").err == f"error: {text}\n"
    found = world.run("verify", "latest", "--json")
    assert (found.code, found.json["verdict"], found.json["checks"][0]["measured"]) == (1, "FAIL", text)


def test_two_records_that_were_swapped_are_met_when_they_are_used(world: World, tmp_path: Path) -> None:
    alone(world)
    one, two, _ = world.records()
    swap_two_records(world)
    text = f"unable to verify 'catalog/app/{one.name}': it is the record 'catalog/app/{two.name}'"
    assert refuses(world, tmp_path / "out", 1, one.name[9:34]).err == f"error: {text}\n"
    assert world.run("verify", "latest").code == 0  # below the newest that this machine has seen
    shutil.rmtree(world.root / "state")
    text = f"unable to verify 'catalog/app/{two.name}': it is the record 'catalog/app/{one.name}'"
    assert refuses(world, tmp_path / "out", 1, "latest").err == f"error: {text}\n"


@pytest.mark.parametrize("read", READS)
def test_an_old_archive_in_the_place_of_a_newer_one_is_refused(world: World, tmp_path: Path, read: str) -> None:
    chosen = choose(world.wiring(), "app")
    shutil.copy(folder(world, 1) / ARCHIVE, folder(world, 3) / ARCHIVE)
    with pytest.raises((ObjectDamaged, DirectoryDamaged)):
        READS[read](world, chosen, tmp_path / "archive")


def test_an_old_backups_objects_in_the_place_of_a_newer_ones_are_refused(world: World, tmp_path: Path) -> None:
    alone(world)
    newest = folder(world, 3)
    shutil.rmtree(newest)
    shutil.copytree(folder(world, 1), newest)
    text = f"unable to verify 'app/{newest.name}/manifest.json': its SHA-256 is not the one that was committed"
    assert refuses(world, tmp_path / "out", 1, "latest").err == f"error: {text}\n"
    assert world.run("verify", "latest").code == 1


# --- new backups hidden --------------------------------------------------------------------------------


def hide_the_newest(world: World) -> str:
    world.records()[2].unlink()
    return "it ends at record 00000002 on target 'local'"


def hide_all(world: World) -> str:
    for record in world.records():
        record.unlink()
    return "it is empty on target 'local'"


def empty_the_target(world: World) -> str:
    shutil.rmtree(world.target())
    return "it is empty on target 'local'"


HIDING = (hide_the_newest, hide_all, empty_the_target)


@pytest.mark.parametrize("attack", HIDING)
@pytest.mark.parametrize("which", ["latest", "2099-01-01T00:00:00Z"])
def test_a_hidden_backup_is_a_gap_to_whoever_saw_it(
    world: World, tmp_path: Path, attack: Callable[[World], str], which: str
) -> None:
    alone(world)
    what = attack(world)
    text = (
        f"unable to read 'catalog/app': {what}, but this machine saw record 00000003: "
        f"a backup is hidden, or the target was rolled back\nhint: {RENEWED}"
    )
    with pytest.raises(CatalogGap) as caught:
        choose(world.wiring(), "app", which)
    assert str(caught.value) == text
    assert refuses(world, tmp_path / "out", 3, which).err == f"error: {text}\n"
    found = world.run("verify", which, "--json")
    assert (found.code, found.json["verdict"], found.json["checks"][0]["measured"]) == (3, "COULD-NOT-VERIFY", text)
    listed = world.run("list")
    assert (listed.code, listed.err) == (3, f"warning: target 'local' may hold more than is listed: {text}\n")


@pytest.mark.parametrize("attack", HIDING)
@pytest.mark.parametrize("which", ["latest", "2099-01-01T00:00:00Z"])
def test_a_hidden_backup_is_a_gap_to_a_new_machine_when_another_target_witnessed_it(
    world: World, tmp_path: Path, attack: Callable[[World], str], which: str
) -> None:
    what = attack(world)
    shutil.rmtree(world.root / "state")
    # The second target's record 3 was made when 'local' had its record 3 already.
    text = (
        f"unable to verify 'catalog/app': {what}, but target 'second' saw record 00000003: "
        f"a backup is hidden, or the target was rolled back\nhint: {RENEWED}"
    )
    assert refuses(world, tmp_path / "out", 3, which).err == f"error: {text}\n"


def test_a_target_rolled_back_to_an_earlier_state_is_a_gap(world: World, tmp_path: Path) -> None:
    alone(world)
    earlier = tmp_path / "earlier"
    shutil.copytree(world.target(), earlier)
    world.back_up()
    shutil.rmtree(world.target())
    shutil.copytree(earlier, world.target())
    done = refuses(world, tmp_path / "out", 3, "latest")
    assert done.err == (
        "error: unable to read 'catalog/app': it ends at record 00000003 on target 'local', but this machine saw "
        f"record 00000004: a backup is hidden, or the target was rolled back\nhint: {RENEWED}\n"
    )
    assert world.run("backup").code != 0  # nor does a new backup paper over it


def test_a_backup_missing_in_the_middle_is_a_gap_to_everybody(world: World, tmp_path: Path) -> None:
    alone(world, forget=True)
    points = world.run("list", "--json").json
    world.records()[1].unlink()
    text = (
        "unable to list 'catalog/app': record 00000002 is missing on target 'local': "
        f"a backup is hidden, or was removed\nhint: {MOVED}"
    )
    assert refuses(world, tmp_path / "out", 3, "latest").err == f"error: {text}\n"
    listed = world.run("list", "--json")
    assert (listed.code, listed.err) == (3, f"warning: target 'local' may hold more than is listed: {text}\n")
    assert [point["backup_id"] for point in listed.json] == [points[0]["backup_id"], points[2]["backup_id"]]


def test_a_backup_asked_for_by_its_id_is_restored_from_a_target_with_a_gap(world: World, tmp_path: Path) -> None:
    alone(world)
    wanted = world.records()[0].name[9:34]
    hide_the_newest(world)
    assert world.run("restore", wanted, "--to", tmp_path / "out").code == 0
    assert_databases_equal(world.root / "app.db", tmp_path / "out")


def test_the_other_target_serves_while_one_is_down_and_that_is_said(world: World, tmp_path: Path) -> None:
    shutil.rmtree(world.target())
    world.target().write_text("a file where a folder should be")
    why = "unable to list 'catalog/app/': the folder of target 'local' is a file"
    wanted = world.records("second")[1].name[9:34]
    assert world.run("restore", wanted, "--to", tmp_path / "out").code == 0
    assert_databases_equal(world.root / "app.db", tmp_path / "out")
    done = world.run("restore", "latest", "--to", tmp_path / "newest")
    assert done.code == 0
    assert f"  note: target 'local' may hold a newer one: {why}" in done.out.splitlines()
    found = world.run("verify", "latest", "--json")
    assert (found.code, found.json["verdict"], found.json["target"]) == (3, "COULD-NOT-VERIFY", "second")
    assert world.run("verify", wanted).code == 0
    listed = world.run("list", "--json")
    assert (listed.code, len(listed.json)) == (2, 3)


def test_a_forged_catalog_on_one_target_leaves_the_sound_copy_on_the_other_to_be_named(
    world: World, tmp_path: Path
) -> None:
    bring_back_as_a_newer_one(world)
    wanted = world.records("second")[1].name[9:34]
    assert world.run("restore", wanted, "--to", tmp_path / "out").code == 0
    refuses(world, tmp_path / "newest", 1, "latest")
