"""Files of erased subjects are left out while a tree is made: the paths that the configuration names, whose part at
``{key}`` hashes to a subject."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from ...config.erasure import path_expression
from ...format.digest import EntryDigest
from ...format.profile import Profile, TreeProfile
from ...format.tree_index import IndexRow
from .counts import TREE, ErasedRows
from .subjects import Subjects


class TreeErasing:
    """The erasures of one restore, of a tree. Rows are asked about in the order of the index."""

    def __init__(self, rules: Sequence[tuple[Subjects, str]], profile: Profile) -> None:
        self._patterns: list[tuple[Subjects, re.Pattern[str]]] = [(of, path_expression(text)) for of, text in rules]
        self._profile = profile
        self._went = EntryDigest(bytes.fromhex(profile.digest_key))
        self._bytes = 0
        self._folder: bytes | None = None  # the last one that was left out, and with it all below
        self._known: dict[tuple[int, str], bool] = {}
        self._linked: set[bytes] = set()  # files elsewhere that are a subject's by a further name

    def look_ahead(self, index: Iterable[IndexRow]) -> None:
        """Finds the files that a subject has a further name of. To be called first, with the whole index."""
        if self._patterns:
            links = (row for row in index if row.kind == "hardlink")
            self._linked = {row.target for row in links if self._holds(row.path)}

    def leaves_out(self, row: IndexRow) -> bool:
        """Whether an entry is a subject's: by its path, by a folder it is in, or as a further name of such a file."""
        below = self._folder is not None and row.path.startswith(self._folder + b"/")
        file = row.target if row.kind == "hardlink" else row.path
        if not (
            below or self._is_subjects(row.path) or file in self._linked or (file != row.path and self._holds(file))
        ):
            return False
        if row.kind == "folder" and not below:
            self._folder = row.path
        self._went.update(row, row.sha256)
        self._bytes += row.size
        return True

    @property
    def erased(self) -> dict[str, ErasedRows]:
        return {TREE: ErasedRows(self._went.entries)} if self._went.entries else {}

    def profile(self) -> Profile:
        """What the restored tree must be."""
        tree = self._profile.tree
        assert tree is not None  # it is a tree's
        went = int(self._went.hexdigest(), 16)
        less = TreeProfile(
            entries=tree.entries - self._went.entries,
            bytes=tree.bytes - self._bytes,
            digest=f"{(int(tree.digest, 16) - went) % 2**256:064x}",
            unstable=tree.unstable,
            change=tree.change,
        )
        return self._profile.model_copy(update={"tree": less})

    def _holds(self, path: bytes) -> bool:
        """Whether an entry, or a folder that it is in, is a subject's."""
        parts = path.split(b"/")
        return any(self._is_subjects(b"/".join(parts[:end])) for end in range(1, len(parts) + 1))

    def _is_subjects(self, path: bytes) -> bool:
        text = f"/{path.decode('utf-8', 'surrogateescape')}"
        for number, (subjects, pattern) in enumerate(self._patterns):
            match = pattern.fullmatch(text)
            if match is not None and self._has(number, subjects, match[1]):
                return True
        return False

    def _has(self, number: int, subjects: Subjects, key: str) -> bool:
        """A folder's name comes with each file below it."""
        if (number, key) not in self._known:
            if len(self._known) >= 65_536:
                self._known.clear()
            self._known[number, key] = subjects.has(key)
        return self._known[number, key]
