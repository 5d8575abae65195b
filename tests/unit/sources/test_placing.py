"""Taking a name: never over anything, whatever comes between the look and the act."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rlg_backup.core.errors import DestinationUnsuitable
from rlg_backup.sources.placing import Partial, take_name


def test_a_free_name_is_taken_and_the_built_one_is_gone(tmp_path: Path) -> None:
    built = tmp_path / "built"
    built.write_bytes(b"new")
    take_name(built, tmp_path / "name")
    assert (tmp_path / "name").read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["name"]


@pytest.mark.parametrize("kind", ["file", "folder", "link"])
def test_a_name_taken_at_the_last_moment_stays_whose_it_is(tmp_path: Path, kind: str) -> None:
    built, name = tmp_path / "built", tmp_path / "name"
    built.write_bytes(b"new")
    {"file": name.touch, "folder": name.mkdir, "link": lambda: name.symlink_to("nowhere")}[kind]()
    with pytest.raises(DestinationUnsuitable) as caught:
        take_name(built, name)
    assert str(caught.value) == f"unable to restore to '{name}': something took its name meanwhile"
    assert built.read_bytes() == b"new"
    assert name.is_symlink() == (kind == "link")


@pytest.mark.parametrize("name", ["n" * 250, "ü" * 127])
def test_a_partial_name_is_hidden_new_each_time_and_short_enough(tmp_path: Path, name: str) -> None:
    made = [Partial(tmp_path / name) for _ in range(9)]
    assert len({partial.place for partial in made}) == 9
    for partial in made:
        assert partial.place.parent == tmp_path
        assert partial.place.name.startswith(f".{name[0]}")
        partial.place.touch()
        partial.place.unlink()
        partial.release()
    assert os.listdir(tmp_path) == []


def test_what_a_killed_restore_left_goes_with_the_next_one_to_its_place_and_what_lives_stays(tmp_path: Path) -> None:
    living, other = Partial(tmp_path / "app.db"), Partial(tmp_path / "app.d")
    living.place.write_bytes(b"living")
    dead = tmp_path / ".app.db.0123456789abcdef.partial"
    folder = tmp_path / ".app.db.fedcba9876543210.partial"
    for place in (dead, dead.with_name(dead.name + "-journal"), dead.with_name(dead.name + ".lock")):
        place.touch()
    (folder / "inner").mkdir(parents=True)
    (folder / "inner" / "file").touch()
    for closed in (folder / "inner", folder):
        closed.chmod(0)
    folder.with_name(folder.name + ".lock").touch()
    foreign = [".app.db.partial", ".app.db.0123456789abcdef.partially", ".app.db.00.partial.lock", "app.db.lock"]
    for name in foreign:
        (tmp_path / name).touch()
    mine = Partial(tmp_path / "app.db")
    locks = [f"{partial.place.name}.lock" for partial in (living, other, mine)]
    assert sorted(os.listdir(tmp_path)) == sorted([living.place.name, *locks, *foreign])
    for partial in (living, other, mine):
        partial.release()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to another user")
@pytest.mark.parametrize("theirs", ["lock", "place"])
def test_what_another_user_put_there_is_left_alone(tmp_path: Path, theirs: str) -> None:
    """Root restores into a folder that is open to all, where somebody made what looks like a killed restore's."""
    place = tmp_path / ".app.db.0123456789abcdef.partial"
    lock = place.with_name(place.name + ".lock")
    place.mkdir()
    (place / "link").symlink_to(tmp_path)
    lock.touch()
    os.chown({"lock": lock, "place": place}[theirs], 65534, 65534)
    partial = Partial(tmp_path / "app.db")
    assert (place.is_dir(), lock.exists()) == (True, True)
    partial.release()


def test_a_link_in_the_place_of_a_killed_copy_is_removed_and_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.mkdir(mode=0o755)
    place = tmp_path / ".app.db.0123456789abcdef.partial"
    place.symlink_to(victim)
    place.with_name(place.name + ".lock").touch()
    Partial(tmp_path / "app.db").release()
    assert (place.is_symlink(), victim.is_dir(), victim.stat().st_mode & 0o777) == (False, True, 0o755)
