"""A tree of files as a source: listed once, read after, and sure of each file that it did not change meanwhile.

Ownership is not kept: a restored tree belongs to who restores it. Therefore the set-user-ID bit is not kept, and the
set-group-ID bit of folders only: a program would run as who restores it. Of extended attributes those named ``user.*``
are kept. Other file systems mounted below the root are part of the tree. A change made through shared memory
that does not touch the modification time cannot be seen.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import Path
from types import TracebackType
from typing import Final

from ..core.errors import SourceChanged, SourceUnreadable
from ..core.model import Excluded, SnapshotIdentity
from .entry_details import extended_attributes, holes_of
from .folders import Walk, open_folder, parent_and_name, shown
from .port import Entry, kept_mode

_GONE: Final = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)
_OTHER_KINDS: Final = {
    stat.S_IFIFO: "a named pipe holds no data",
    stat.S_IFSOCK: "a socket holds no data",
    stat.S_IFCHR: "a character device is not a file",
    stat.S_IFBLK: "a block device is not a file",
}
_SLICE: Final = 1024  # names of a folder looked at before the first is handed on
_TICK: Final = 20_000_000  # ns; a file system's clock is this coarse at worst: two changes may bear one time


_Found = tuple[Entry, os.stat_result, bool]  # an entry, what the system says, whether the file has other names


class FileSource:
    """The folder ``root`` and all it holds. Links are kept as links, never followed; ``root`` itself may be one.

    ``exclude`` are globs: with a ``/`` they are held against the whole relative path, otherwise against the
    name at any depth; ``*`` matches ``/`` too. What an excluded folder holds is excluded with it.
    """

    def __init__(self, root: Path, exclude: Sequence[str] = ()) -> None:
        self._root, self._exclude = root, tuple(exclude)

    @contextmanager
    def snapshot(self) -> Iterator[FileTreeSnapshot]:
        """Lists the whole tree once. Raises SourceUnreadable for a folder that cannot be listed."""
        try:
            root = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise SourceUnreadable("open", str(self._root), _words(error)) from error
        try:
            yield FileTreeSnapshot(self._root, root, self._exclude)
        finally:
            os.close(root)


class FileTreeSnapshot:
    """A tree as it is listed. Memory grows with the largest folder and with what is excluded, not with the
    tree: ``entries`` walks it again instead of keeping it."""

    def __init__(self, path: Path, root: int, exclude: Sequence[str]) -> None:
        self._root, self._exclude = root, exclude
        self._excluded: dict[bytes, Excluded] = {}
        self._matched: set[str] = set()
        state = hashlib.sha256()
        self._privileged = 0  # files whose mode is not kept whole, of the walk begun last
        entries = 0
        for entry in self.entries():
            entries += 1
            state.update(repr((entry.path, entry.kind, entry.mode, entry.mtime_ns, entry.size, entry.target)).encode())
        # As with a database: a tree has no id of its own, its place stays, and a path may tell names.
        place = hashlib.sha256(os.fsencode(path.resolve())).hexdigest()[:16]
        self.identity = SnapshotIdentity(f"files:{place}", state.hexdigest()[:16], datetime.now(UTC))
        self.warnings: Sequence[str] = tuple(
            f"exclude: the pattern '{pattern}' matches nothing" for pattern in exclude if pattern not in self._matched
        )
        if entries == 1 and not self._excluded:
            self.warnings = (*self.warnings, "the folder is empty: is the disk that belongs there mounted?")
        if self._privileged:
            files = "1 file is" if self._privileged == 1 else f"{self._privileged:,} files are"
            lost = f"{files} set-user-ID or set-group-ID; the bits are not kept, since owners are not"
            self.warnings = (*self.warnings, lost)

    @property
    def excluded(self) -> Sequence[Excluded]:
        """What is left out so far: complete once ``snapshot`` returned, longer if ``entries`` met something new."""
        return tuple(one for _, one in sorted(self._excluded.items()))

    def entries(self) -> Iterator[Entry]:
        """See the port; names in a folder in the order of their bytes, each folder followed by what it holds.

        ``size`` is 0 for all but files. What vanishes while it is listed is not in the tree. Raises
        SourceUnreadable, and SourceChanged if a folder gives way to something else.
        """
        walk = Walk(self._root)
        self._privileged = 0
        try:
            root = os.fstat(self._root)
            yield _entry(b"", root, b"", extended_attributes(self._root))
            pending = [_Folder(b"", self._names(walk, b""), ((root.st_dev, root.st_ino),))]
            while pending:
                folder = pending[-1]
                if not folder.looked_at and not self._look(walk, folder):
                    pending.pop()
                    continue
                entry, state, shared = folder.looked_at.pop()
                identity = (state.st_dev, state.st_ino)
                # Decided here and not when it was looked at: the file's first name is the first in this order.
                first = walk.first_names.setdefault(identity, entry.path) if shared else entry.path
                if entry.kind == "file" and first == entry.path:
                    self._privileged += entry.mode != stat.S_IMODE(state.st_mode)
                yield entry if first == entry.path else _other_name(entry, first)
                if entry.kind == "folder" and identity in folder.above:
                    self._leave_out(entry.path, "it is a folder that holds itself")
                elif entry.kind == "folder":
                    names = self._names(walk, entry.path)
                    pending.append(_Folder(entry.path, names, (*folder.above, identity)))
        finally:
            walk.close()

    def _names(self, walk: Walk, path: bytes) -> list[bytes]:
        with self._reading(path):
            names = os.listdir(walk.folder(path))  # noqa: PTH208 - of a descriptor
        return sorted(map(os.fsencode, names), reverse=True)

    def _look(self, walk: Walk, folder: _Folder) -> bool:
        """Looks at the next names of a folder; False when there are none left."""
        while folder.names and not folder.looked_at:
            with self._reading(folder.path):
                opened = walk.folder(folder.path)
            for _ in range(min(_SLICE, len(folder.names))):
                name = folder.names.pop()
                path = folder.path + b"/" + name if folder.path else name
                found = self._one(opened, name, path)
                if found is not None:
                    folder.looked_at.append(found)
        folder.looked_at.reverse()
        return bool(folder.looked_at)

    def _one(self, folder: int, name: bytes, path: bytes) -> _Found | None:
        if self._left_out(path, name):
            return None
        try:
            state = os.lstat(name, dir_fd=folder)
            if (reason := _OTHER_KINDS.get(stat.S_IFMT(state.st_mode))) is not None:
                self._leave_out(path, reason)
                return None
            shared = stat.S_ISREG(state.st_mode) and state.st_nlink > 1
            return _described(folder, name, path, state), state, shared
        except OSError as error:
            if error.errno in _GONE:
                return None
            raise SourceUnreadable("read", shown(path), _words(error)) from error

    def _left_out(self, path: bytes, name: bytes) -> bool:
        for pattern in self._exclude:
            if fnmatchcase(os.fsdecode(path if "/" in pattern else name), pattern):
                self._matched.add(pattern)
                self._leave_out(path, f"excluded by the configuration: {pattern}")
                return True
        return False

    def _leave_out(self, path: bytes, reason: str) -> None:
        self._excluded.setdefault(path, Excluded(shown(path), reason))

    @contextmanager
    def _reading(self, path: bytes) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno in _GONE:
                cause = "it was replaced or removed while it was being listed"
                raise SourceChanged("list", shown(path), cause) from error
            raise SourceUnreadable("list", shown(path), _words(error)) from error

    def open(self, entry: Entry) -> FileReader:
        """See the port. The read ends at the size the file has now, however fast it grows."""
        parent, name = parent_and_name(entry.path)
        try:
            folder = open_folder(self._root, parent)
            try:
                # NONBLOCK: whoever put a pipe in the file's place does not get us to wait for a writer.
                flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
                return FileReader(folder, os.open(name, flags, dir_fd=folder), entry)
            except BaseException:
                os.close(folder)
                raise
        except OSError as error:
            if error.errno in (*_GONE, errno.ENXIO):
                raise SourceChanged("read", shown(entry.path), "it is gone, or no file any more") from error
            raise SourceUnreadable("read", shown(entry.path), _words(error)) from error

    def restat(self, entry: Entry) -> Entry:
        """See the port. A hardlink stays one. Raises SourceChanged, SourceUnreadable."""
        parent, name = parent_and_name(entry.path)
        try:
            folder = open_folder(self._root, parent)
            try:
                found = _described(folder, name, entry.path, os.lstat(name, dir_fd=folder))
            finally:
                os.close(folder)
        except OSError as error:
            if error.errno in _GONE:
                raise SourceChanged("read", shown(entry.path), "it is gone") from error
            raise SourceUnreadable("read", shown(entry.path), _words(error)) from error
        if entry.kind == "hardlink" and found.kind == "file":
            return _other_name(found, entry.target)
        if found.kind != entry.kind:
            raise SourceChanged("read", shown(entry.path), f"it was a {entry.kind} and is a {found.kind}")
        return found


class _Folder:
    """A folder on the way of a walk: names not yet looked at and entries not yet handed on, last first."""

    def __init__(self, path: bytes, names: list[bytes], above: tuple[tuple[int, int], ...]) -> None:
        self.path, self.names, self.above = path, names, above
        self.looked_at: list[_Found] = []


class FileReader:
    """An open file of the tree; see EntryReader. Owns both descriptors."""

    def __init__(self, folder: int, descriptor: int, entry: Entry) -> None:
        self._folder, self._descriptor, self._entry = folder, descriptor, entry
        self._opened = os.fstat(descriptor)
        if not stat.S_ISREG(self._opened.st_mode):
            os.close(descriptor)
            raise OSError(errno.ENOTDIR, "no file any more")
        if 0 <= time.time_ns() - self._opened.st_ctime_ns < _TICK:
            # Changed a moment ago: a further change could bear the same time and go unnoticed.
            time.sleep(_TICK / 1e9)
            self._opened = os.fstat(descriptor)
        self._left = self._opened.st_size

    def __enter__(self) -> FileReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._descriptor)
        os.close(self._folder)

    def read(self, size: int) -> bytes:
        """Up to ``size`` bytes, b'' at the end. Raises SourceUnreadable."""
        try:
            data = os.read(self._descriptor, min(size, self._left))
        except OSError as error:
            raise SourceUnreadable("read", shown(self._entry.path), _words(error)) from error
        self._left -= len(data)
        return data

    def unchanged(self) -> bool:
        """Whether the file is still what was opened, under its name, and what the entry says."""
        now = os.fstat(self._descriptor)
        if _state(now) != _state(self._opened) or self._left:
            return False
        entry = (self._entry.size, self._entry.mtime_ns, self._entry.mode)
        if entry != (now.st_size, now.st_mtime_ns, kept_mode("file", now.st_mode)):
            return False
        try:
            named = os.lstat(parent_and_name(self._entry.path)[1], dir_fd=self._folder)
        except OSError:
            return False
        return (named.st_dev, named.st_ino) == (now.st_dev, now.st_ino)


def _state(found: os.stat_result) -> tuple[int, ...]:
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino, found.st_dev


def _described(folder: int, name: bytes, path: bytes, state: os.stat_result) -> Entry:
    """The entry of one name in an open folder. Raises OSError."""
    if stat.S_ISLNK(state.st_mode):
        return _entry(path, state, os.readlink(name, dir_fd=folder), ())
    holes = holes_of(folder, name, state) if stat.S_ISREG(state.st_mode) else ()
    return _entry(path, state, b"", extended_attributes(folder, name), holes)


def _entry(
    path: bytes,
    state: os.stat_result,
    target: bytes,
    xattrs: tuple[tuple[bytes, bytes], ...],
    holes: tuple[tuple[int, int], ...] = (),
) -> Entry:
    kind = {stat.S_IFDIR: "folder", stat.S_IFLNK: "symlink"}.get(stat.S_IFMT(state.st_mode), "file")
    size = state.st_size if kind == "file" else 0
    mode, times = kept_mode(kind, state.st_mode), (state.st_mtime_ns, state.st_ctime_ns)
    return Entry(path, kind, mode, times[0], size, target, holes, xattrs, inode=state.st_ino, ctime_ns=times[1])


def _other_name(entry: Entry, first: bytes) -> Entry:
    return Entry(entry.path, "hardlink", entry.mode, entry.mtime_ns, target=first)


def _words(error: OSError) -> str:
    return (error.strerror or "the system refuses").lower()
