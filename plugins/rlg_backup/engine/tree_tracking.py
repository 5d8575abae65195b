"""Change tracking of a tree: which contents the backups before hold already, and what is told to the next one."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from ..format.change_state import StateTree
from ..format.tree_index import content_place
from ..format.tree_state import PART_ROWS, UNSURE, FileIdentity, FileRow, write_files
from ..sources.port import Entry
from .known_files import KnownContent
from .members import StagedMembers
from .parent_state import ParentState

UNSETTLED: Final = 60_000_000_000
"""ns. A file that changed so shortly before it is read may change again without a trace: the clock of a file system is
coarse, up to 2 s, and writes through shared memory move no time until what was written before is on the disk, some 35 s
later."""


class TreeTracking:
    """What a run knows of files from before, and what it leaves for the next."""

    def __init__(
        self,
        members: StagedMembers,
        parent: ParentState | None,
        backup_id: str,
        digest_key: bytes,
        *,
        now: datetime,
        trust_times: bool,
    ) -> None:
        """``members`` are those of the state that is made; ``now`` is before anything is read. Where the file system's
        times cannot be trusted, no file is taken for unchanged before it was read."""
        self._members, self._known = members, parent.files if parent else None
        self._identity = FileIdentity(digest_key)
        self._settled = int(now.timestamp() * 1e9) - UNSETTLED if trust_times else None
        self._backup_id = backup_id
        before = parent.state.tree.backups if parent and parent.state.tree else ()
        self._backups = {name: place for place, name in enumerate((*before, backup_id))}
        self._rows: list[FileRow] = []
        self._parts: list[str] = []
        self._files = 0

    @property
    def as_changes(self) -> bool:
        """Whether the archive goes on from one before."""
        return len(self._backups) > 1

    def unchanged(self, entry: Entry) -> KnownContent | None:
        """The content of a file that needs no reading."""
        if self._known is None or self._settled is None:
            return None
        return self._known.unchanged(self._identity_of(entry))

    def may_hold(self, size: int) -> bool:
        """Whether it is worth looking whether a content of that many bytes is there already."""
        return self._known is not None and self._known.has_size(size)

    def holds(self, sha256: bytes, size: int) -> KnownContent | None:
        """The content, if a backup before has it."""
        return self._known.holds(sha256, size) if self._known is not None else None

    def note(self, entry: Entry, sha256: bytes, content: KnownContent | None = None, *, stable: bool = True) -> None:
        """Takes down what a file holds: a ``content`` of before, or what this backup's archive has under its path."""
        identity = self._identity_of(entry) if stable else UNSURE
        backup = self._backups[content.backup if content else self._backup_id]
        place = content.place if content else content_place(entry.path)
        self._rows.append(FileRow(identity, sha256, entry.size, backup, place))
        self._files += 1
        if len(self._rows) >= PART_ROWS:
            self._write()

    def state(self) -> StateTree:
        """What the state says of the tree; ends it."""
        if self._rows:
            self._write()
        return StateTree(files=self._files, parts=tuple(self._parts), backups=tuple(self._backups))

    def _identity_of(self, entry: Entry) -> bytes:
        if self._settled is None or max(entry.mtime_ns, entry.ctime_ns) > self._settled:
            return UNSURE
        return self._identity.of(
            entry.path,
            size=entry.size,
            mtime_ns=entry.mtime_ns,
            ctime_ns=entry.ctime_ns,
            inode=entry.inode,
            mode=entry.mode,
        )

    def _write(self) -> None:
        name = f"files/part-{len(self._parts):05d}.parquet"
        with self._members.stored(name) as sink:
            write_files(sink, self._rows)
        self._rows.clear()
        self._parts.append(name)
