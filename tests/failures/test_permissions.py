"""A permission is lost, before a run or in the middle of one: a clear error, nothing half; given back, all goes on."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from tests.failures.expect import clean, records, told, works
from tests.failures.room import Room
from tests.support.world import World, dump

from rlg_backup.core.errors import FAILED, MISCONFIGURED, UNVERIFIED

STAGING = (
    "unable to use 'staging.folder': no folder can be made in it (permission denied)\n"
    "hint: name a folder this user may write to"
)
SEEN = (
    "unable to read 'ROOT/state/seen.json': permission denied\n"
    "hint: the file of seen heads needs a folder this user owns"
)
TARGET = "Permission denied on target 'local'"


def give(path: Path, user: int | None) -> None:
    """Let a path belong to who runs the commands."""
    if user is not None:
        os.chown(path, user, user)


def taken(world: World, name: str, mode: int) -> tuple[Path, int]:
    path = world.root / name
    before = path.stat().st_mode & 0o7777
    path.chmod(mode)
    return path, before


@pytest.mark.parametrize(
    ("name", "mode", "code", "text"),
    [
        ("staging", 0o500, MISCONFIGURED, STAGING),
        ("backups-local", 0o000, FAILED, f"unable to read 'catalog/app/lease.json': {TARGET}"),
        ("backups-local", 0o500, FAILED, f"unable to store 'catalog/app/lease.json': {TARGET}"),
        ("backups-local/app", 0o500, FAILED, f"unable to store 'app/ID/manifest.json': {TARGET}"),
        ("state", 0o000, MISCONFIGURED, SEEN),
        ("state/seen.json", 0o000, MISCONFIGURED, SEEN),
        (
            "keys/backup-worker/staging.key",
            0o640,
            MISCONFIGURED,
            "unable to read 'file:keys/backup-worker/staging.key': others than its owner can use the file (mode 640)\n"
            "hint: chmod 600 ROOT/keys/backup-worker/staging.key",
        ),
        (
            "keys/backup-worker/signing.key",
            0o000,
            MISCONFIGURED,
            "unable to read 'file:keys/backup-worker/signing.key': the file cannot be read (Permission denied)",
        ),
        ("app.db", 0o000, FAILED, "unable to open 'ROOT/app.db': permission denied"),
    ],
)
def test_a_backup_without_a_permission_says_which_and_loses_nothing(
    host: Room, world: World, user: int | None, name: str, mode: int, code: int, text: str
) -> None:
    data, listed = dump(world.root / "app.db"), records(host, world)
    path, before = taken(world, name, mode)
    done = host.run("--config", world.config, "backup", "--source", "app", user=user)
    path.chmod(before)
    said = re.sub(r"[0-9]{8}T[0-9]{6}Z-[0-9a-f]{8}", "ID", done.err.replace(str(world.root), "ROOT"))
    assert (done.code, done.out, said) == (code, "", f"error: {text}\n")
    clean(host, world)
    assert (dump(world.root / "app.db"), records(host, world)) == (data, listed)
    works(host, world, user=user)


def test_a_staging_folder_that_cannot_even_be_looked_into_says_so(host: Room, world: World, user: int | None) -> None:
    path, before = taken(world, "staging", 0)
    done = host.run("--config", world.config, "backup", "--source", "app", user=user)
    path.chmod(before)
    warnings, _, error = done.err.rpartition("error: ")
    assert (done.code, done.out, error) == (MISCONFIGURED, "", f"{STAGING}\n")
    assert "WARNING what dead runs left in the staging folder stays there for now: Permission denied\n" in warnings
    assert "Traceback" not in warnings
    works(host, world, user=user)


def test_a_folder_of_another_user_in_the_staging_folder_stops_no_run(
    host: Room, world: World, user: int | None
) -> None:
    theirs = world.root / "staging" / "theirs"
    theirs.mkdir(mode=0o700)
    theirs.chmod(0)
    done = host.run("--config", world.config, "backup", "--source", "app", user=user)
    assert (done.code, done.err) == (0, ""), done
    assert host.holds(world.root / "staging") == ["theirs"]


@pytest.mark.parametrize(
    ("name", "mode", "code", "text"),
    [
        ("out", 0o500, MISCONFIGURED, "unable to restore to 'ROOT/out/copy': permission denied"),
        ("out", 0o000, MISCONFIGURED, "unable to restore to 'ROOT/out/copy': permission denied"),
        ("staging", 0o500, MISCONFIGURED, STAGING),
        ("backups-local/app", 0o000, FAILED, f"unable to read 'app/ID/manifest.json': {TARGET}"),
        (
            "keys/restore-worker/identity.txt",
            0o000,
            MISCONFIGURED,
            "unable to read 'file:keys/restore-worker/identity.txt': the file cannot be read (Permission denied)",
        ),
    ],
)
def test_a_restore_without_a_permission_says_which_and_leaves_nothing(
    host: Room, world: World, user: int | None, name: str, mode: int, code: int, text: str
) -> None:
    (world.root / "out").mkdir()
    give(world.root / "out", user)
    command = ("--config", world.config, "restore", "latest", "--source", "app", "--to", world.root / "out" / "copy")
    path, before = taken(world, name, mode)
    with_it_gone = host.run(*command, user=user)
    path.chmod(before)
    said = re.sub(r"[0-9]{8}T[0-9]{6}Z-[0-9a-f]{8}", "ID", with_it_gone.err.replace(str(world.root), "ROOT"))
    assert (with_it_gone.code, with_it_gone.out, said) == (code, "", f"error: {text}\n")
    assert host.holds(world.root / "out") == []
    clean(host, world)
    assert host.run(*command, user=user).code == 0


def test_what_may_not_be_read_is_no_verdict_on_a_backup(host: Room, world: World, user: int | None) -> None:
    for name in ("backups-local", "backups-local/app", "keys/restore-worker/identity.txt"):
        path, before = taken(world, name, 0)
        done = host.run("--config", world.config, "verify", "--source", "app", "--full", user=user)
        drilled = host.run("--config", world.config, "drill", "--source", "app", user=user)
        listed = host.run("--config", world.config, "list", "--source", "app", user=user)
        path.chmod(before)
        assert (done.code, done.err) == (UNVERIFIED, "")
        assert (drilled.code, drilled.err) == (UNVERIFIED, "")
        if name == "backups-local":
            told_list = (
                f"warning: target 'local' may hold more than is listed: unable to list 'catalog/app/': {TARGET}\n"
            )
            assert (listed.code, listed.out, listed.err) == (FAILED, "", told_list), "not 'no restore points yet'"
        assert host.holds(world.root / "scratch") == []
    for name, text in (
        ("scratch", "unable to use 'drill.scratch': no folder can be made in it (permission denied)\n"
                    "hint: name a folder this user may write to"),
        ("reports", f"unable to write '{world.root / 'reports'}': permission denied"),
    ):  # fmt: skip
        path, before = taken(world, name, 0o500)
        told(host.run("--config", world.config, "drill", "--source", "app", user=user), MISCONFIGURED, text)
        path.chmod(before)
    assert host.run("--config", world.config, "drill", "--source", "app", user=user).code == 0


# --- in the middle of a run -------------------------------------------------------------------------


def hooked(room: Room, world: World, shell: str, at: int) -> None:
    """The command that gives the staging key, asked for at each step's begin, does something the ``at``-th time."""
    key = world.settings["staging"]["key"].removeprefix("file:")
    script = world.root / "key.sh"
    script.write_text(
        f"n=$(($(cat {world.root}/asked 2>/dev/null || echo 0) + 1)); echo $n > {world.root}/asked\n"
        f"if [ $n = {at} ]; then {shell}; fi\ncat {world.root}/{key}\n"
    )
    world.settings["staging"]["key"] = f"exec:/bin/sh {script}"
    world.save()


READ_ONLY = "Read-only file system"


@pytest.mark.parametrize(
    ("at", "name"),
    [
        (2, "member-000001"),
        (3, "anonymize.record"),
        (4, "default.zip.age"),
        (5, "manifest.json"),
        (6, "upload-local.record"),
        (7, "validate-local.record"),
    ],
)
def test_staging_that_becomes_read_only_in_a_run_is_told_as_that(room: Room, world: World, at: int, name: str) -> None:
    staging, key = world.root / "staging", world.settings["staging"]["key"]
    room.disk(staging)
    listed = records(room, world)
    hooked(room, world, f"mount -o remount,ro {staging}", at)
    done = room.run("--config", world.config, "backup", "--source", "app")
    left = [line for line in room.holds(staging) if line.count("/") == 2]
    assert len(left) == 1, "a folder that nobody can remove now"
    warning = f"WARNING unable to wipe '{staging / left[0]}': files are left in it\nhint: remove the folder by hand\n"
    text = f"unable to write '{name}': {READ_ONLY}"
    assert (done.code, done.out, done.err) == (FAILED, "", f"{warning}error: {text}\n")
    assert records(room, world) == listed
    room.read_only(staging, False)
    world.settings["staging"]["key"] = key
    world.save()
    works(room, world)


@pytest.mark.parametrize("at", [2, 5, 7])
def test_a_target_that_becomes_read_only_in_a_run_keeps_what_it_lists(room: Room, world: World, at: int) -> None:
    target = world.target("local")
    kept = dump(world.root / "app.db")
    room.disk(target)
    (world.root / "state" / "seen.json").unlink()
    works(room, world)
    listed = records(room, world)
    key = world.settings["staging"]["key"]
    hooked(room, world, f"mount -o remount,ro {target}", at)
    done = room.run("--config", world.config, "backup", "--source", "app")
    assert (done.code, done.out) == (FAILED, "")
    last = done.err.splitlines()[-1]
    assert last.endswith(f"{READ_ONLY} on target 'local'" + (")" if at == 7 else "")), done.err
    assert (records(room, world), dump(world.root / "app.db")) == (listed, kept)
    clean(room, world)
    room.read_only(target, False)
    world.settings["staging"]["key"] = key
    world.save()
    done = room.call("tests.failures.scenes:backup", config=str(world.config), source="app", minutes=10)
    assert done.json["missing"] == {}, "the lease that could not be given back has run out"
    works(room, world)


def test_a_destination_that_becomes_read_only_is_told_and_no_data_stays(
    host: Room, world: World, user: int | None
) -> None:
    place = world.root / "out"
    place.mkdir()
    give(place, user)
    done = host.call(
        "tests.failures.scenes:restore_struck", config=str(world.config), source="app", to=str(place / "copy"),
        what="load", shell=f"chmod 500 {place}", user=user,
    )  # fmt: skip
    [left] = [name for name in host.holds(place) if name.endswith(".partial")]
    text = f"unable to finish '{place / 'copy'}': permission denied"
    assert done.json == {"error": "DestinationUnsuitable", "text": text}
    assert done.err == f"the empty folder '{place / left}' stays: permission denied\n"
    assert list((place / left).iterdir()) == [], "no row stays in the clear"
    place.chmod(0o700)
    (place / left).rmdir()
    command = ("--config", world.config, "restore", "latest", "--source", "app", "--to", place / "copy")
    again = host.run(*command, user=user)
    assert again.code == 0, again.err
    assert host.holds(place) == ["copy"]
