"""Paths below a folder, opened one name at a time: a link put in their way can lead nowhere."""

from __future__ import annotations

import os
from typing import Final

_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def open_folder(root: int, path: bytes) -> int:
    """A descriptor of the folder ``path`` (relative; b'' is the root itself) below the open folder ``root``.

    Raises OSError: ENOENT, ENOTDIR or ELOOP where a part of the path is not a folder.
    """
    current = os.open(b".", _FOLDER, dir_fd=root)
    for name in path.split(b"/") if path else ():
        try:
            following = os.open(name, _FOLDER, dir_fd=current)
        finally:
            os.close(current)
        current = following
    return current


class Walk:
    """One walk of a tree: the folder it is in, kept open, and the first name met of each file with several."""

    def __init__(self, root: int) -> None:
        self._root = root
        self._path, self._folder = b"", os.open(b".", _FOLDER, dir_fd=root)
        self.first_names: dict[tuple[int, int], bytes] = {}

    def folder(self, path: bytes) -> int:
        """A descriptor of the folder ``path``, good until the next call. One step down costs one look-up, so a
        deep tree is not walked from its root for each of its levels. Raises OSError."""
        if path != self._path:
            parent, name = parent_and_name(path)
            if parent == self._path and path:
                opened = os.open(name, _FOLDER, dir_fd=self._folder)
            else:
                opened = open_folder(self._root, path)
            os.close(self._folder)
            self._path, self._folder = path, opened
        return self._folder

    def close(self) -> None:
        """Ends the walk; to be called once."""
        os.close(self._folder)


def parent_and_name(path: bytes) -> tuple[bytes, bytes]:
    """b'a/b/c' as (b'a/b', b'c')."""
    parent, _, name = path.rpartition(b"/")
    return parent, name


def shown(path: bytes) -> str:
    """A path for a person: bytes that are not UTF-8 as ``\\xff``; the root as ``.``."""
    return path.decode("utf-8", "backslashreplace") or "."
