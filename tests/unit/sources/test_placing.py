"""Taking a name: never over anything, whatever comes between the look and the act."""

from __future__ import annotations

import os
from collections.abc import Callable
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
def test_what_is_not_finished_lies_in_a_hidden_folder_of_its_owner_with_a_name_short_enough(
    tmp_path: Path, name: str
) -> None:
    made = [Partial(tmp_path / name) for _ in range(9)]
    assert len({partial.folder for partial in made}) == 9
    for partial in made:
        assert partial.folder.parent == tmp_path
        assert partial.folder.name.startswith(f".{name[0]}")
        assert partial.folder.stat().st_mode & 0o777 == 0o700
        partial.copy.touch()
        partial.close()
    assert os.listdir(tmp_path) == []


def dead(path: Path) -> Path:
    """What a killed restore to ``path`` left: a tree with closed folders, and a database's side file."""
    partial = Partial(path)
    (partial.copy / "inner" / "deeper").mkdir(parents=True)
    (partial.copy / "inner" / "deeper" / "file").touch()
    (partial.copy / "link").symlink_to(path.parent)
    (partial.folder / "copy-journal").touch()
    for closed in (partial.copy / "inner" / "deeper", partial.copy / "inner", partial.copy):
        closed.chmod(0)
    os.close(partial._lock)  # as the system does it when the process ends
    os.close(partial._opened)
    return partial.folder


def test_what_a_killed_restore_left_goes_with_the_next_one_to_its_place_and_what_lives_stays(tmp_path: Path) -> None:
    killed = [dead(tmp_path / "app.db"), dead(tmp_path / "app.d")]
    living = Partial(tmp_path / "app.db")
    assert not killed[0].exists() and killed[1].exists()  # another place's
    mine = Partial(tmp_path / "app.db")
    assert living.folder.exists()
    for partial in (living, mine):
        partial.close()
    assert list(tmp_path.iterdir()) == [killed[1]]


def moved(folder: Path) -> None:
    """Somebody gave another folder of ours the name: it was never a restore's."""
    folder.rename(folder.with_name("kept"))
    folder.mkdir(0o700)
    (folder / "lock").write_bytes((folder.with_name("kept") / "lock").read_bytes())
    (folder / "photos").mkdir()


def no_lock(folder: Path) -> None:
    (folder / "lock").unlink()


def another_host(folder: Path) -> None:
    (folder / "lock").write_text("elsewhere " + (folder / "lock").read_text().split()[1])


def open_to_all(folder: Path) -> None:
    folder.chmod(0o755)


def link_for_a_lock(folder: Path) -> None:
    (folder / "lock").rename(folder.with_name("lock"))
    (folder / "lock").symlink_to(folder.with_name("lock"))


def link_for_a_folder(folder: Path) -> None:
    folder.rename(folder.with_name("victim"))
    folder.symlink_to(folder.with_name("victim"))


def of_another_user(folder: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("REQUIRED-IN-CI: only root can give files to another user")  # an error in CI (tests/conftest.py)
    os.chown(folder, 65534, 65534)


TRAPS = [moved, no_lock, another_host, open_to_all, link_for_a_lock, link_for_a_folder, of_another_user]


@pytest.mark.parametrize("trap", TRAPS, ids=lambda trap: trap.__name__)
def test_what_is_not_surely_a_killed_restores_is_left_alone(tmp_path: Path, trap: Callable[[Path], None]) -> None:
    trap(dead(tmp_path / "app.db"))
    before = sorted(os.fspath(path) for path in tmp_path.rglob("*"))
    Partial(tmp_path / "app.db").close()
    assert sorted(os.fspath(path) for path in tmp_path.rglob("*")) == before


def test_a_removal_of_what_is_dead_does_not_leave_the_folder(tmp_path: Path) -> None:
    (tmp_path / "beside").mkdir(mode=0o755)
    dead(tmp_path / "app.db")
    Partial(tmp_path / "app.db").close()
    assert [(path.name, path.stat().st_mode & 0o777) for path in tmp_path.iterdir()] == [("beside", 0o755)]
