"""Saves the entries of a file tree as members, and their index."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import fields, replace
from typing import Any, BinaryIO, cast

from ..core.errors import SourceChanged
from ..format.digest import EntryDigest
from ..format.tree_index import IndexRow, IndexWriter, content_member, content_place, index_part
from ..sources.port import Entry, EntryReader, FileSnapshot
from .archives import digest_of
from .known_files import KnownContent
from .members import StagedMembers
from .tree_tracking import TreeTracking
from .warnings import UNSTABLE, VANISHED
from .wiring import Progress

ATTEMPTS = 3
_SAVED = tuple({f.name for f in fields(Entry)} & {f.name for f in fields(IndexRow)})


class TreeSaver:
    """Saves every entry; a file that changes while it is read is read again, and reported if it never rests.

    With ``tracking``, a content that a backup before holds is not saved again: the index says where it lies.
    """

    def __init__(
        self,
        snapshot: FileSnapshot,
        members: StagedMembers,
        *,
        digest_key: bytes,
        progress: Progress,
        tracking: TreeTracking | None = None,
    ) -> None:
        self._snapshot = snapshot
        self._members = members
        self._progress = progress
        self._tracking = tracking
        self._digest = EntryDigest(digest_key)
        self.warnings: list[str] = []
        self._entries = self._bytes = self._unstable = 0
        self._stored_files = self._stored_bytes = 0
        self._vanished: dict[bytes, bytes | None] = {}  # first name of a file > the name that is saved in its place

    def save_all(self) -> dict[str, Any]:
        """The tree part of the profile."""
        rows = self._rows()
        row = next(rows, None)
        for number in itertools.count():
            # A part is a member of its own, open while the contents' members are written beside it.
            with self._members.stored(index_part(number)) as sink:
                index = IndexWriter(sink)
                while row is not None and not index.full:
                    index.add(row)
                    self._digest.update(row, row.sha256)
                    row = next(rows, None)
                index.close()
            if row is None:
                break
        return {
            "entries": self._entries,
            "bytes": self._bytes,
            "digest": self._digest.hexdigest(),
            "unstable": self._unstable,
            "change": self._change(),
        }

    def _change(self) -> dict[str, int] | None:
        if self._tracking is None or not self._tracking.as_changes:
            return None
        return {"files": self._stored_files, "bytes": self._stored_bytes}

    def _rows(self) -> Iterator[IndexRow]:
        for entry in self._snapshot.entries():
            row = self._save(entry)
            if row is None:
                continue
            self._entries += 1
            self._bytes += row.size
            if row.member is not None and row.backup is None:
                self._stored_files += 1
                self._stored_bytes += row.size
            self._progress("snapshot files", self._bytes, 0)
            yield row

    def _save(self, entry: Entry) -> IndexRow | None:
        if entry.kind == "hardlink":
            return self._save_name(entry)
        if entry.kind != "file":
            return index_row(entry)
        row = self._save_file(entry)
        if row is None:
            self._vanished[entry.path] = None
        return row

    def _save_name(self, entry: Entry) -> IndexRow | None:
        """A further name of a file; of one whose first name vanished before it was read, the next becomes the file."""
        first = self._vanished.get(entry.target, entry.target)
        if first is not None:
            return index_row(without_attributes(replace(entry, target=first)))
        try:
            row = self._save_file(self._snapshot.restat(replace(entry, kind="file", target=b"")))
        except SourceChanged:
            self._warn_vanished(entry)
            return None
        if row is not None:
            self._vanished[entry.target] = entry.path
        return row

    def _warn_vanished(self, entry: Entry) -> None:
        self.warnings.append(f"{VANISHED}{_printable(entry.path)}")

    def _save_file(self, entry: Entry) -> IndexRow | None:
        try:
            if (content := self._known(entry)) is not None:
                return self._keep(entry, content)
            return self._read(entry)
        except SourceChanged:
            self._warn_vanished(entry)
            return None

    def _known(self, entry: Entry) -> KnownContent | None:
        """The file's content, if a backup before holds it: the file is what it was, or is read and found to be."""
        if self._tracking is None:
            return None
        found = self._tracking.unchanged(entry)
        if found is None and self._tracking.may_hold(entry.size):
            with self._snapshot.open(entry) as reader:
                size, sha256 = digest_of(_upto(reader, entry.size))
                if size == entry.size and reader.unchanged():
                    found = self._tracking.holds(bytes.fromhex(sha256), size)
        return found

    def _keep(self, entry: Entry, content: KnownContent) -> IndexRow:
        assert self._tracking is not None  # it knows the content
        self._tracking.note(entry, content.sha256, content)
        return index_row(entry, sha256=content.sha256, member=content_member(content.place), backup=content.backup)

    def _read(self, entry: Entry) -> IndexRow:
        member = content_member(content_place(entry.path))
        for attempt in range(1, ATTEMPTS + 1):
            with self._snapshot.open(entry) as reader:
                staged = self._members.add(member, _upto(reader, entry.size))
                stable = staged.size == entry.size and reader.unchanged()
            if stable:
                break
            if attempt < ATTEMPTS:
                self._members.take_back(staged)
                entry = self._snapshot.restat(entry)
        else:
            self._unstable += 1
            self.warnings.append(f"{UNSTABLE}{ATTEMPTS} attempts to read it: {_printable(entry.path)}")
        entry, sha256 = replace(entry, size=staged.size), bytes.fromhex(staged.sha256)
        if self._tracking is not None:
            self._tracking.note(entry, sha256, stable=stable)
        return index_row(entry, sha256=sha256, member=member, unstable=not stable)


def without_attributes(entry: Entry) -> Entry:
    """A further name of a file without mode and time: they are the file's, and may have changed since that was read."""
    return replace(entry, mode=0, mtime_ns=0) if entry.kind == "hardlink" else entry


def index_row(
    entry: Entry,
    *,
    sha256: bytes | None = None,
    member: str | None = None,
    unstable: bool = False,
    backup: str | None = None,
) -> IndexRow:
    """What the index says of an entry."""
    saved = {name: getattr(entry, name) for name in _SAVED}
    return IndexRow(**saved, sha256=sha256, member=member, unstable=unstable, backup=backup)


class _Upto:
    """At most ``size`` bytes of a reader: a file that grows meanwhile must not be read for ever."""

    def __init__(self, reader: EntryReader, size: int) -> None:
        self._reader, self._left = reader, size

    def read(self, size: int = -1) -> bytes:
        wanted = self._left if size < 0 else min(size, self._left)
        piece = self._reader.read(wanted) if wanted else b""
        self._left -= len(piece)
        return piece


def _upto(reader: EntryReader, size: int) -> BinaryIO:
    return cast(BinaryIO, _Upto(reader, size))


def _printable(path: bytes) -> str:
    return path.decode("utf-8", "backslashreplace")
