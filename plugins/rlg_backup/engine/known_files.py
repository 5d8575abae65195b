"""What is known of a tree's files from the backup before: looked up by what a file is, and by what it holds."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..core.errors import MemberDamaged
from ..format.change_state import SUBJECT
from ..format.tree_state import IDENTITY_SIZE, UNSURE, Column


@dataclass(frozen=True)
class KnownContent:
    """The content of a file of before, and where it lies: in which backup's archive, under which place."""

    sha256: bytes
    size: int
    backup: str
    place: bytes


class KnownFiles:
    """All files of a state, in some 90 bytes each: rows by the first word of their identity, and two orders of them."""

    def __init__(self, parts: Iterable[dict[str, Column]], files: int, backups: Sequence[str]) -> None:
        """There must be one at least. Raises MemberDamaged when the ``parts`` hold another number of ``files``, or name
        a backup that is none of ``backups``."""
        columns = _together(parts, files)
        identities = columns.pop("identity").view("<u8")
        order = np.argsort(identities[:, 0], kind="stable").astype(np.uint32)
        self._first, self._second = identities[order, 0], identities[order, 1]
        del identities
        self._columns = {name: columns.pop(name)[order] for name in list(columns)}
        self._backups = tuple(backups)
        if int(self._columns["backup"].max()) >= len(backups):
            raise MemberDamaged("read", SUBJECT, "a file of the tree lies in a backup that is none of its chain")
        self._sizes = np.unique(self._columns["size"])
        self._contents = self._columns["sha256"][:, :8].copy().view(">u8").ravel().astype(np.uint64)
        self._by_content = np.argsort(self._contents, kind="stable").astype(np.uint32)

    def unchanged(self, identity: bytes) -> KnownContent | None:
        """The content of the file that is what it was."""
        if identity == UNSURE:
            return None
        first, second = (int.from_bytes(identity[start : start + 8], "little") for start in (0, IDENTITY_SIZE // 2))
        row = int(np.searchsorted(self._first, np.uint64(first)))
        while row < len(self._first) and self._first[row] == first:
            if self._second[row] == second:
                return self._content(row)
            row += 1
        return None

    def has_size(self, size: int) -> bool:
        """Whether a content of that many bytes is known."""
        place = int(np.searchsorted(self._sizes, size))
        return place < len(self._sizes) and bool(self._sizes[place] == size)

    def holds(self, sha256: bytes, size: int) -> KnownContent | None:
        """The content with that SHA-256 and size, wherever it lies."""
        word = int.from_bytes(sha256[:8], "big")
        place = bisect_left(self._by_content, word, key=lambda row: int(self._contents[row]))
        while place < len(self._by_content) and self._contents[row := int(self._by_content[place])] == word:
            found = self._content(row)
            if (found.sha256, found.size) == (sha256, size):
                return found
            place += 1
        return None

    def _content(self, row: int) -> KnownContent:
        columns = self._columns
        backup = self._backups[int(columns["backup"][row])]
        return KnownContent(
            columns["sha256"][row].tobytes(), int(columns["size"][row]), backup, columns["place"][row].tobytes()
        )


def _together(parts: Iterable[dict[str, Column]], files: int) -> dict[str, Column]:
    """The rows of all parts, without a second copy of them."""
    whole: dict[str, Any] = {}
    done = 0
    for part in parts:
        rows = len(part["size"])
        if done + rows > files:
            raise _miscounted()
        for name, column in part.items():
            whole.setdefault(name, np.empty((files, *column.shape[1:]), column.dtype))[done : done + rows] = column
        done += rows
    if done != files:
        raise _miscounted()
    return whole


def _miscounted() -> MemberDamaged:
    return MemberDamaged("read", SUBJECT, "its parts do not add up to the files of its tree")
