"""A tree with everything a copy of files can get wrong."""

from __future__ import annotations

import os
import socket
from pathlib import Path

LONG_AGO = 86_400 * 10**9 + 123_456_789  # a time with nanoseconds, in 1970
ODD_NAMES = (
    b"with space",
    b"new\nline",
    "ünïcode 😀".encode(),
    b"not\xffutf8",
    b"-rf",
    b"*",
    b"a\\b",
    b"..hidden",
    b"~",
    b"x" * 255,
)


def make_tree(root: Path, *, others: bool = True) -> Path:
    """Makes it at ``root``; with ``others`` also pipes and sockets, which no backup holds. Returns ``root``."""
    base = os.fsencode(root)
    os.mkdir(base, 0o750)
    for name in ODD_NAMES:
        _write(base + b"/" + name, name)
    os.mkdir(base + b"/empty folder", 0o700)
    os.makedirs(base + b"/deep/" + b"/".join(b"%d" % level for level in range(40)))
    os.mkdir(base + b"/a")
    _write(base + b"/a/b", b"in a folder")
    _write(base + b"/a-b", b"between a and a/b, by bytes")
    _write(base + b"/empty", b"")
    _write(base + b"/large", os.urandom(3 << 20))
    _sparse(base + b"/sparse")
    _links(base)
    modes = {b"setuid": 0o4755, b"setgid": 0o2755, b"readonly": 0o400, b"nothing": 0o000, b"sticky": 0o1644}
    for name, mode in modes.items():
        _write(base + b"/" + name, name)
        os.chmod(base + b"/" + name, mode)
    os.mkdir(base + b"/locked folder")
    _write(base + b"/locked folder/file", b"content")
    os.chmod(base + b"/locked folder", 0o500)
    os.mkdir(base + b"/shared", 0o700)
    os.chmod(base + b"/shared", 0o3777)
    if others:
        os.mkfifo(base + b"/pipe")
        with socket.socket(socket.AF_UNIX) as made:
            here = os.getcwd()
            os.chdir(base)  # a socket's path is short
            made.bind("socket")
            os.chdir(here)
    if has_attributes(root):
        os.setxattr(base + b"/empty", "user.note", b"\0value\xff")
        os.setxattr(base + b"/a", "user.folder", b"")
        os.setxattr(base, "user.root", b"root")
    for folder, folders, files in os.walk(base, topdown=False):
        for name in (*files, *folders):
            os.utime(folder + b"/" + name, ns=(LONG_AGO, LONG_AGO + len(name)), follow_symlinks=False)
    os.utime(base, ns=(LONG_AGO, LONG_AGO))
    return root


def has_attributes(folder: Path) -> bool:
    """Whether the file system here holds extended attributes."""
    try:
        os.setxattr(folder, "user.probe", b"")
        os.removexattr(folder, "user.probe")
    except (OSError, AttributeError):
        return False
    return True


def _links(base: bytes) -> None:
    os.symlink(b"/etc/passwd", base + b"/outside")
    os.symlink(b"nowhere", base + b"/dangling")
    os.symlink(b"a", base + b"/to folder")
    os.symlink(b"..", base + b"/a/up")
    os.symlink(b"loop", base + b"/loop")
    os.symlink(b"not\xffutf8", base + b"/to odd")
    _write(base + b"/a/first name", b"two names")
    os.link(base + b"/a/first name", base + b"/second name")
    os.link(base + b"/a/first name", base + b"/a/third name")


def _sparse(path: bytes) -> None:
    with open(path, "wb") as file:
        file.seek(1 << 20)
        file.write(b"middle")
        file.seek(5 << 20)
        file.write(b"near the end")
        file.truncate(9 << 20)


def _write(path: bytes, content: bytes) -> None:
    with open(path, "wb") as file:
        file.write(content)
