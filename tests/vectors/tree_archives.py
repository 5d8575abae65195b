"""Golden archives of file trees."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.vectors import listing
from tests.vectors.golden import Golden, feature

A_DAY = 86_400 * 10**9


@feature
def stored_and_deflated(golden: Golden) -> None:
    root = golden.tree()
    write(root + b"/deflates", b"the same line again and again\n" * 400)
    write(root + b"/does not", hashlib.shake_256(b"no pattern").digest(3000))
    write(root + b"/empty", b"")
    golden.back_up(profile={"tree.entries": 4, "tree.bytes": 15_000, "tree.unstable": 0})


@feature
def many_members(golden: Golden) -> None:
    root = golden.tree()
    for number in range(150):
        write(root + b"/%03d" % number, b"%d" % number)
    golden.back_up(manifest={"contents.entries": 151})


@feature
def tree(golden: Golden) -> None:
    root = golden.tree()
    for name in (b"with space", b"new\nline", "ünïcode 😀".encode(), b"not\xffutf8", b"..hidden", b"x" * 255):
        write(root + b"/" + name, name)
    os.makedirs(root + b"/deep/" + b"/".join(b"%d" % level for level in range(20)))
    os.mkdir(root + b"/a")
    write(root + b"/a/first name", b"three names")
    os.link(root + b"/a/first name", root + b"/second name")
    os.link(root + b"/a/first name", root + b"/a/third name")
    for name, target in {b"outside": b"/etc/passwd", b"dangling": b"no\xffwhere", b"folder": b"a"}.items():
        os.symlink(target, root + b"/to " + name)
    with open(root + b"/sparse", "wb") as file:
        file.seek(1 << 20)
        file.write(b"between two holes")
        file.truncate(2 << 20)
    for name, mode in {b"readonly": 0o400, b"nothing": 0o000, b"sticky": 0o1644}.items():
        write(root + b"/" + name, name)
        os.chmod(root + b"/" + name, mode)
    os.mkdir(root + b"/shared")
    os.chmod(root + b"/shared", 0o3777)
    os.setxattr(root + b"/a/first name", "user.note", b"\0value\xff")
    os.setxattr(root + b"/a", "user.folder", b"")
    for folder, folders, files in os.walk(root, topdown=False):
        for name in (*files, *folders):
            os.utime(os.path.join(folder, name), ns=(A_DAY, A_DAY + len(name)), follow_symlinks=False)
    os.utime(root, ns=(A_DAY, A_DAY))
    xattrs = {"a": {"user.folder": ""}, "a/first name": {"user.note": b"\0value\xff".hex()}}
    golden.back_up(xattrs=xattrs, holes=["sparse"], profile={"tree.unstable": 0})


@feature
def tree_unstable(golden: Golden) -> None:
    """A file that something touches without end."""
    root = golden.tree()
    write(root + b"/restless", b"never at rest")
    write(root + b"/calm", b"at rest")
    with touching(golden.source / "restless"):
        backup_id = golden.world.back_up("app")
    times = index_times(golden, backup_id)
    os.utime(root + b"/restless", ns=(times, times))
    content = {"tree": listing.tree(golden.source)}
    golden.backups.append(
        {"backup_id": backup_id, **content, "unstable": ["restless"], "profile": {"tree.unstable": 1}}
    )


@contextmanager
def touching(path: Path) -> Iterator[None]:
    done = threading.Event()

    def touch() -> None:
        while not done.is_set():
            os.utime(path)

    thread = threading.Thread(target=touch)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def index_times(golden: Golden, backup_id: str) -> int:
    """When the restless file was changed last, as its archive has it."""
    restored = golden.world.root / "restored"
    assert golden.world.run("restore", backup_id, "--to", restored).code == 0
    return (restored / "restless").stat().st_mtime_ns


@feature
def empty_tree(golden: Golden) -> None:
    os.utime(golden.tree(), ns=(A_DAY, A_DAY))
    golden.back_up(manifest={"contents.entries": 1})


@feature
def tree_changes(golden: Golden) -> None:
    """What is renamed, linked, written, removed and back again, over a chain of every kind of backup."""
    root = golden.tree()
    for name in (b"stays", b"renamed", b"written", b"removed", b"swapped", b"other", b"becomes a folder"):
        write(root + b"/" + name, name)
    golden.back_up(manifest={"kind": "full"}, profile={"tree.entries": 8, "tree.change": None})
    os.rename(root + b"/renamed", root + b"/new\xffname")
    for old, new in ((b"swapped", b"between"), (b"other", b"swapped"), (b"between", b"other")):
        os.rename(root + b"/" + old, root + b"/" + new)
    write(root + b"/written", b"WRITTEN")
    os.link(root + b"/stays", root + b"/a further name")
    for name in (b"removed", b"becomes a folder"):
        os.unlink(root + b"/" + name)
    os.mkdir(root + b"/becomes a folder")
    write(root + b"/becomes a folder/file", b"")
    says = {"tree.entries": 9, "tree.change": {"bytes": 7, "files": 2}}
    golden.back_up(kind="incremental", manifest={"kind": "incremental"}, profile=says)
    os.unlink(root + b"/a further name")
    write(root + b"/again", b"WRITTEN")
    write(root + b"/new", b"new")
    os.symlink(b"new", root + b"/link")
    says = {"tree.entries": 11, "tree.change": {"bytes": 3, "files": 1}}
    golden.back_up(kind="incremental", manifest={"kind": "incremental"}, profile=says)
    says = {"tree.entries": 11, "tree.change": {"bytes": 17, "files": 4}}
    golden.back_up(kind="differential", manifest={"kind": "differential"}, profile=says)


def write(path: bytes, content: bytes) -> None:
    with open(path, "wb") as file:
        file.write(content)
