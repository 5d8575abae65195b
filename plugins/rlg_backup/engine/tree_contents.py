"""The files of a tree over a chain of archives: each content lies in the one that its entry names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import BinaryIO

from ..core.errors import MemberDamaged
from ..format.tree_index import IndexRow
from .archives import Archive, index_of

_SHOWN = 80  # of what an entry names as a backup, in an error


class TreeContents:
    """The tree of the backup ``backup_id``; ``archives`` are those of its chain, its own too, by their backups' ids."""

    def __init__(self, backup_id: str, archives: Mapping[str, Archive]) -> None:
        self._backup_id, self._archives = backup_id, archives

    def index(self) -> Iterator[IndexRow]:
        """Every entry, in order of path."""
        return index_of(self._archives[self._backup_id])

    def open(self, row: IndexRow) -> BinaryIO:
        """The content of a file; what it gives counts only once its end was reached. Raises MemberDamaged, before
        anything is read, where there is none that is the entry's."""
        return self.require(row).open(row.member)

    def require(self, row: IndexRow) -> Archive:
        """The archive that has the content of a file, by its directory; raises MemberDamaged when none of the chain has
        it, or it has another size or SHA-256."""
        backup, name = row.backup or self._backup_id, row.member or ""
        archive = self._archives.get(backup)
        if archive is None:
            cause = f"a file of the tree has it in the backup '{backup[:_SHOWN]}', which is none of its chain"
            raise MemberDamaged("read", name, cause)
        member = archive.member(name)
        if member is None:
            raise MemberDamaged("read", name, f"the archive of the backup '{backup}' has no such member")
        if (member.size, member.sha256) != (row.size, row.sha256):
            cause = f"in the archive of the backup '{backup}' it is not the content that the index names"
            raise MemberDamaged("read", name, cause)
        return archive
