"""File trees: listed whole, read safely, restored exactly; nothing followed, nothing written outside."""

from __future__ import annotations

import io
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.compare import assert_trees_equal
from tests.support.tree_torture import LONG_AGO, has_attributes, make_tree

from rlg_backup.core.errors import SourceUnreadable
from rlg_backup.sources.files import FileSource
from rlg_backup.sources.files_destination import FileDestination
from rlg_backup.sources.port import Entry


def copy(source: Path, path: Path) -> list[str]:
    """Source to destination through the port; returns the destination's warnings."""
    with FileSource(source).snapshot() as snapshot, FileDestination(path) as destination:
        for entry in snapshot.entries():
            if entry.kind == "file":
                with snapshot.open(entry) as reader:
                    destination.make(entry, io.BufferedReader(_Raw(reader.read)))
                    assert reader.unchanged()
            else:
                destination.make(entry, None)
        assert not path.exists() or not any(path.iterdir())
        destination.finish()
        return destination.warnings


class _Raw(io.RawIOBase):
    def __init__(self, read: Callable[[int], bytes]) -> None:
        self._read = read

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        data = self._read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


def entries(root: Path, *exclude: str) -> dict[bytes, Entry]:
    with FileSource(root, exclude).snapshot() as snapshot:
        return {entry.path: entry for entry in snapshot.entries()}


# --- exact ----------------------------------------------------------------------------------------


def test_the_torture_tree_comes_back_exactly(tmp_path: Path) -> None:
    source = make_tree(tmp_path / "a", others=False)
    assert copy(source, tmp_path / "b") == []
    assert_trees_equal(source, tmp_path / "b")
    copied = (tmp_path / "b" / "sparse").stat()
    assert copied.st_blocks * 512 < copied.st_size // 4, "it is sparse no more"
    assert sorted(os.listdir(tmp_path)) == ["a", "b"]


def test_entries_come_with_a_folder_before_what_it_holds_and_names_by_their_bytes(tmp_path: Path) -> None:
    root = tmp_path / "a"
    for name in ("a/b/c", "a-b", "B", "ä"):
        (root / name).mkdir(parents=True)
    assert list(entries(root)) == [b"", b"B", b"a", b"a/b", b"a/b/c", b"a-b", "ä".encode()]


def test_an_entry_says_what_the_system_says(tmp_path: Path) -> None:
    found = entries(make_tree(tmp_path / "a"))
    assert found[b"to odd"] == Entry(b"to odd", "symlink", 0o777, LONG_AGO + 6, target=b"not\xffutf8")
    assert found[b"a/first name"].kind == "file"
    assert found[b"a/third name"] == Entry(b"a/third name", "hardlink", 0o644, LONG_AGO + 11, target=b"a/first name")
    assert found[b"second name"].target == b"a/first name"
    assert found[b"empty folder"].size == 0
    assert found[b"sparse"].size == 9 << 20
    assert found[b"sparse"].holes[0][0] == 0
    if has_attributes(tmp_path):
        assert found[b"empty"].xattrs == ((b"user.note", b"\0value\xff"),)


def test_a_file_is_kept_without_set_user_id_and_set_group_id_and_one_warning_counts_them(tmp_path: Path) -> None:
    """Owners are not kept: a program of somebody's must not come back as one of root's."""
    root = make_tree(tmp_path / "a")
    os.link(root / "setuid", root / "zz second name")  # one file
    found = entries(root)
    assert found[b"setuid"] == Entry(b"setuid", "file", 0o755, LONG_AGO + 6, size=6)
    assert [found[name].mode for name in (b"setgid", b"sticky", b"shared")] == [0o755, 0o1644, 0o3777]
    warning = "set-user-ID or set-group-ID; the bits are not kept, since owners are not"
    with FileSource(root).snapshot() as snapshot:
        assert len(list(snapshot.entries())) == len(found)
        assert snapshot.warnings == (f"2 files are {warning}",)
    with FileSource(root, ["setgid"]).snapshot() as snapshot:
        assert snapshot.warnings == (f"1 file is {warning}",)
    with FileSource(root, ["set?id"]).snapshot() as snapshot:
        assert snapshot.warnings == (f"1 file is {warning}",)  # by its other name
    with FileSource(root / "a").snapshot() as snapshot:
        assert snapshot.warnings == ()


def test_a_set_user_id_file_is_unchanged_until_its_kept_mode_changes(tmp_path: Path) -> None:
    root = make_tree(tmp_path / "a")
    with FileSource(root).snapshot() as snapshot:
        entry = next(entry for entry in snapshot.entries() if entry.path == b"setuid")
        assert snapshot.restat(entry) == entry
        with snapshot.open(entry) as reader:
            assert reader.read(100) == b"setuid"
            assert reader.unchanged()
        (root / "setuid").chmod(0o4700)
        with snapshot.open(entry) as reader:
            assert reader.read(100) == b"setuid"
            assert not reader.unchanged()


def test_holes_read_as_zeros_and_are_the_ones_of_the_file(tmp_path: Path) -> None:
    make_tree(tmp_path / "a")
    with FileSource(tmp_path / "a").snapshot() as snapshot:
        (entry,) = (entry for entry in snapshot.entries() if entry.path == b"sparse")
        with snapshot.open(entry) as reader:
            content = b"".join(iter(lambda: reader.read(100_000), b""))
    assert content == (tmp_path / "a" / "sparse").read_bytes()
    for offset, length in entry.holes:
        assert not content[offset : offset + length].strip(b"\0")


words = st.binary(min_size=1, max_size=6).filter(
    lambda name: not {b"/"[0], 0} & set(name) and name not in (b".", b"..")
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.dictionaries(
        st.lists(words, min_size=1, max_size=4).map(lambda parts: b"/".join(parts)),
        st.tuples(
            st.sampled_from(["file", "folder", "symlink"]),
            st.binary(max_size=40),
            st.integers(0, 0o7777),
            st.integers(0, 2**33 * 10**9),
        ),
        max_size=12,
    )
)
def test_random_trees_come_back_exactly(
    tmp_path_factory: pytest.TempPathFactory, tree: dict[bytes, tuple[str, bytes, int, int]]
) -> None:
    folder = tmp_path_factory.mktemp("tree")
    root = os.fsencode(folder / "a")
    os.mkdir(root)
    made: list[tuple[bytes, str, int, int]] = []
    for path, (kind, content, mode, time) in tree.items():
        place = root + b"/" + path
        try:
            os.makedirs(os.path.dirname(place), exist_ok=True)
            if kind == "file":
                with open(place, "xb") as file:
                    file.write(content)
            elif kind == "folder":
                os.mkdir(place)
            else:
                os.symlink(content.replace(b"\0", b"") or b"x", place)
        except (FileExistsError, NotADirectoryError, FileNotFoundError):
            continue  # a name that is a file, or a link, already
        made.append((place, kind, mode, time))
    for place, kind, mode, time in reversed(made):
        if kind != "symlink":
            os.chmod(place, mode)
        os.utime(place, ns=(time, time), follow_symlinks=False)
    copy(folder / "a", folder / "b")
    assert_trees_equal(folder / "a", folder / "b")


# --- nothing skipped ------------------------------------------------------------------------------


def test_what_holds_no_data_is_excluded_with_the_reason(tmp_path: Path) -> None:
    make_tree(tmp_path / "a")
    with FileSource(tmp_path / "a", ["*.none", "shared", "a/*", "deep/0/1"]).snapshot() as snapshot:
        assert [(one.name, one.reason) for one in snapshot.excluded] == [
            ("a/b", "excluded by the configuration: a/*"),
            ("a/first name", "excluded by the configuration: a/*"),
            ("a/third name", "excluded by the configuration: a/*"),
            ("a/up", "excluded by the configuration: a/*"),
            ("deep/0/1", "excluded by the configuration: deep/0/1"),
            ("pipe", "a named pipe holds no data"),
            ("shared", "excluded by the configuration: shared"),
            ("socket", "a socket holds no data"),
        ]
        assert snapshot.warnings[0] == "exclude: the pattern '*.none' matches nothing"
        assert len(snapshot.warnings) == 2  # and of the modes
        found = {entry.path: entry for entry in snapshot.entries()}
        assert found[b"second name"].kind == "file"  # the first of its names that is in the tree
        assert b"deep/0/1/2" not in found
        assert len(snapshot.excluded) == 8


def test_a_name_that_is_not_utf8_is_shown_escaped(tmp_path: Path) -> None:
    os.mkdir(tmp_path / "a")
    os.mkfifo(os.fsencode(tmp_path / "a") + b"/p\xff\n")
    with FileSource(tmp_path / "a").snapshot() as snapshot:
        assert [one.name for one in snapshot.excluded] == ["p\\xff\n"]


def test_a_missing_root_and_a_file_as_root_are_errors(tmp_path: Path) -> None:
    for name, cause in (("gone", "no such file or directory"), ("file", "not a directory")):
        (tmp_path / "file").touch()
        with pytest.raises(SourceUnreadable) as caught, FileSource(tmp_path / name).snapshot():
            pass
        assert str(caught.value) == f"unable to open '{tmp_path / name}': {cause}"


def test_a_tree_deeper_than_pythons_stack_is_listed(tmp_path: Path) -> None:
    opened = os.open(tmp_path, os.O_RDONLY)
    for _ in range(1200):
        os.mkdir("d", dir_fd=opened)
        following = os.open("d", os.O_RDONLY, dir_fd=opened)
        os.close(opened)
        opened = following
    os.close(opened)
    try:
        assert len(entries(tmp_path)) == 1201
    finally:
        subprocess.run(["rm", "-rf", tmp_path / "d"], check=True)  # shutil cannot


def test_the_marker_moves_with_the_tree_and_the_system_stays(tmp_path: Path) -> None:
    make_tree(tmp_path / "a")

    def identity() -> tuple[str, str]:
        with FileSource(tmp_path / "a").snapshot() as snapshot:
            return snapshot.identity.system, snapshot.identity.marker

    first, again = identity(), identity()
    (tmp_path / "a" / "new").touch()
    assert first == again
    assert identity()[0] == first[0]
    assert identity()[1] != first[1]
