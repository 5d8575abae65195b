"""Restoring a tree: nothing written outside, nothing overwritten, whole or not at all."""

from __future__ import annotations

import io
import os
import stat
from pathlib import Path

import pytest

from rlg_backup.core.errors import BackupError, DestinationUnsuitable, MemberDamaged
from rlg_backup.sources.files_destination import FileDestination
from rlg_backup.sources.port import Entry

# --- nothing outside ------------------------------------------------------------------------------


def make_all(path: Path, *made: tuple[Entry, bytes | None]) -> None:
    with FileDestination(path) as destination:
        for entry, content in made:
            destination.make(entry, None if content is None else io.BytesIO(content))
        destination.finish()


def refused(kind: type[BackupError], path: Path, *made: tuple[Entry, bytes | None]) -> str:
    with pytest.raises(kind) as caught:
        make_all(path, *made)
    assert type(caught.value) is kind
    assert os.listdir(path.parent) == []
    return str(caught.value)


def file(path: bytes, content: bytes = b"", mode: int = 0o600, **fields: object) -> tuple[Entry, bytes]:
    return Entry(path, "file", mode, 0, **{"size": len(content), **fields}), content  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "path", [b"/etc/x", b"..", b"../x", b"a/../../x", b"a/./x", b"a//x", b"a/", b".", b"a\0b", b"/"]
)
def test_a_path_that_could_lead_outside_is_refused(tmp_path: Path, path: bytes) -> None:
    shown = path.decode()
    message = refused(MemberDamaged, tmp_path / "b", file(path))
    assert message == f"unable to make '{shown}': its path could lead outside the folder"


def test_nothing_is_written_through_a_link(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    place = tmp_path / "x"
    place.mkdir()
    link = Entry(b"link", "symlink", 0o777, 0, target=os.fsencode(outside))
    message = refused(MemberDamaged, place / "b", (link, None), file(b"link/file", b"x"))
    assert message == "unable to make 'link/file': it lies in what is not a folder of the tree"
    message = refused(MemberDamaged, place / "b", (link, None), file(b"link", b"x"))
    assert message == "unable to make 'link': the tree holds it twice"
    target = Entry(b"other", "hardlink", 0o600, 0, target=b"link/secret")
    (outside / "secret").write_bytes(b"s")
    message = refused(MemberDamaged, place / "b", (link, None), (target, None))
    assert message == "unable to make 'other': the file it is another name of is not there"
    assert os.listdir(outside) == ["secret"]


@pytest.mark.parametrize(
    ("entry", "content", "cause"),
    [
        (Entry(b"f", "device", 0o600, 0), b"", "it is of no kind that a tree holds"),
        (Entry(b"", "file", 0o600, 0), b"", "it is of no kind that a tree holds"),
        (Entry(b"f", "file", 0o600, 0, size=3), b"four", "its content has 4 bytes, not 3"),
        (Entry(b"f", "file", 0o600, 0, size=3), None, "the backup holds no content for it"),
        (Entry(b"f", "file", 0o100600, 0), b"", "what its entry says cannot be of a file"),
        (Entry(b"f", "file", 0o4755, 0), b"", "what its entry says cannot be of a file"),
        (Entry(b"f", "file", 0o2755, 0), b"", "what its entry says cannot be of a file"),
        (Entry(b"f", "folder", 0o4755, 0), None, "what its entry says cannot be of a file"),
        (Entry(b"f", "file", -1, 0), b"", "what its entry says cannot be of a file"),
        (Entry(b"f", "file", 0o600, 2**100), b"", "what its entry says cannot be of a file"),
        (Entry(b"f", "symlink", 0o777, 0, target=b"a\0b"), None, "what its entry says cannot be of a file"),
        (Entry(b"f", "hardlink", 0o600, 0, target=b"gone"), None, "the file it is another name of is not there"),
        (Entry(b"f", "hardlink", 0o600, 0, target=b"../up"), None, "its path could lead outside the folder"),
        (Entry(b"no/f", "file", 0o600, 0), b"", "it lies in what is not a folder of the tree"),
        (
            Entry(b"f", "file", 0o600, 0, xattrs=((b"security.capability", b"x"),)),
            b"",
            "it has an attribute that is not one of a user",
        ),
    ],
)
def test_an_entry_that_cannot_be_of_a_tree_is_damage(
    tmp_path: Path, entry: Entry, content: bytes | None, cause: str
) -> None:
    shown = entry.path.decode() or "."
    assert refused(MemberDamaged, tmp_path / "b", (entry, content)) == f"unable to make '{shown}': {cause}"


def test_holes_that_hold_data_after_all_are_written(tmp_path: Path) -> None:
    content = bytes(3 << 20) + b"data" + bytes(3 << 20)
    holes = ((0, 1 << 20), (1 << 20, 5 << 20), (2 << 20, 1 << 40), (-5, 3))
    make_all(tmp_path / "b", file(b"f", content, holes=holes))
    assert (tmp_path / "b" / "f").read_bytes() == content


# --- where it may go ------------------------------------------------------------------------------


def test_an_empty_folder_may_be_there_and_anything_else_is_refused_and_left(tmp_path: Path) -> None:
    empty, filled, other = tmp_path / "empty", tmp_path / "filled", tmp_path / "file"
    empty.mkdir()
    make_all(empty, file(b"f", b"x"))
    assert (empty / "f").read_bytes() == b"x"
    filled.mkdir()
    (filled / "mine").touch()
    other.touch()
    (tmp_path / "link").symlink_to(empty)
    hint = "hint: name a folder that does not exist, or is empty"
    for path, cause in (
        (filled, "it is a folder that is not empty"),
        (other, "it exists already and is not a folder"),
        (tmp_path / "link", "it exists already and is not a folder"),
    ):
        with pytest.raises(DestinationUnsuitable) as caught:
            make_all(path, file(b"f", b"x"))
        assert str(caught.value) == f"unable to restore to '{path}': {cause}\n{hint}"
    assert sorted(os.listdir(tmp_path)) == ["empty", "file", "filled", "link"]


def test_a_folder_filled_meanwhile_is_left_as_it_is(tmp_path: Path) -> None:
    target = tmp_path / "b"
    with FileDestination(target) as destination:
        destination.make(Entry(b"", "folder", 0o500, 0), None)
        destination.make(*_content(file(b"f", b"x")))
        target.mkdir()
        (target / "mine").touch()
        with pytest.raises(DestinationUnsuitable) as caught:
            destination.finish()
    assert caught.value.cause == "it is a folder that is not empty"
    assert os.listdir(tmp_path) == ["b"]
    assert os.listdir(target) == ["mine"]


def _content(made: tuple[Entry, bytes]) -> tuple[Entry, io.BytesIO]:
    return made[0], io.BytesIO(made[1])


def test_what_is_not_finished_is_private_and_leaves_nothing_behind(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        with FileDestination(tmp_path / "b") as destination:
            destination.make(Entry(b"open", "folder", 0o777, 0), None)
            (partial,) = tmp_path.iterdir()
            assert stat.S_IMODE(partial.stat().st_mode) == 0o700
            assert partial.name.startswith(".b.")
    finally:
        os.umask(before)
    assert os.listdir(tmp_path) == []


def test_an_empty_tree_is_a_folder(tmp_path: Path) -> None:
    make_all(tmp_path / "b")
    assert os.listdir(tmp_path / "b") == []


def test_modes_that_bind_their_owner_hinder_neither_a_restore_nor_its_removal(powerless: Path) -> None:
    made = (
        (Entry(b"", "folder", 0o500, 7), None),
        (Entry(b"shut", "folder", 0, 5), None),
        (Entry(b"shut/in", "folder", 0o500, 5), None),
        file(b"shut/in/f", b"x", mode=0o400),
    )
    make_all(powerless / "b", *made)
    assert [stat.S_IMODE((powerless / "b" / name).stat().st_mode) for name in ("", "shut")] == [0o500, 0]
    (powerless / "b" / "shut").chmod(0o700)
    assert (powerless / "b" / "shut" / "in" / "f").read_bytes() == b"x"
    with FileDestination(powerless / "c") as destination:
        for entry, content in made:
            destination.make(entry, None if content is None else io.BytesIO(content))
        powerless.chmod(0o500)  # the rename at the end is refused
        with pytest.raises(DestinationUnsuitable) as caught:
            destination.finish()
        powerless.chmod(0o700)
    assert caught.value.cause == "permission denied"
    assert os.listdir(powerless) == ["b"]
