"""A tree of files made from a backup: beside its place, then renamed into it. Nothing is ever written outside."""

from __future__ import annotations

import ctypes
import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

from ..core.errors import DestinationUnsuitable, MemberDamaged
from .files import FileSource
from .folders import open_folder, parent_and_name, shown
from .placing import Closing, Partial, not_removed, refused, sync
from .port import Entry, kept_mode
from .port import FileSource as Source

_PIECE: Final = 1 << 20
_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class FileDestination(Closing):
    """A new folder at ``path``, where nothing, or an empty folder, may be. Use as a context manager, or ``close``.

    Files belong to who restores; modes are kept, as far as ``kept_mode`` goes. ``warnings`` names what the file
    system here cannot hold.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._partial: Partial | None = None
        self._root = -1
        self._folders: list[Entry] = []
        self._parent: tuple[bytes, int] | None = None  # the folder last used, kept open
        self.warnings: list[str] = []

    def close(self) -> None:
        """Removes what is not finished; idempotent."""
        self._release()
        if self._partial is None:
            return
        partial, self._partial = self._partial, None
        try:
            partial.close()
        except OSError as error:
            raise not_removed(partial.folder, error) from error

    def make(self, entry: Entry, content: BinaryIO | None) -> None:
        """See the port. A folder comes before what it holds, a file before its other names.

        Raises MemberDamaged for an entry that cannot be of a tree (an unsafe path, a folder that is none, content
        of another size) and DestinationUnsuitable for what the system refuses.
        """
        _check_path(entry.path, entry.path)
        if entry.mode != kept_mode(entry.kind, entry.mode):
            raise MemberDamaged("make", shown(entry.path), "what its entry says cannot be of a file")
        with _making(entry.path):
            if self._partial is None:
                self._begin()
            if not entry.path:
                self._expect(entry, "folder")
                self._folders.append(entry)
                self._attributes(self._root, entry)
                return
            parent, name = parent_and_name(entry.path)
            folder = self._folder(parent, entry.path)
            if entry.kind == "folder":
                os.mkdir(name, 0o700, dir_fd=folder)
                self._folders.append(entry)
                self._folder_attributes(folder, name, entry)
            elif entry.kind == "symlink":
                os.symlink(entry.target, name, dir_fd=folder)
                os.utime(name, ns=(entry.mtime_ns, entry.mtime_ns), dir_fd=folder, follow_symlinks=False)
            elif entry.kind == "hardlink":
                self._link(entry, folder, name)
            else:
                self._expect(entry, "file")
                self._write(entry, folder, name, content)

    def finish(self, prove: Callable[[Source], None] | None = None) -> None:
        """See the port. All is on the disk before the folder takes its name.

        Raises DestinationUnsuitable if something is there by now; a mount point cannot be replaced.
        """
        if self._partial is None:
            self._begin()
        _refuse_filled(self._path)
        for entry in reversed(self._folders):
            with _making(entry.path):
                folder = open_folder(self._root, entry.path)
                try:
                    os.fchmod(folder, entry.mode)
                    os.utime(folder, ns=(entry.mtime_ns, entry.mtime_ns))
                finally:
                    os.close(folder)
        _sync_file_system(self._root)
        if prove is not None:
            assert self._partial is not None  # _begin made it
            prove(FileSource(self._partial.copy))
        self._take_name()

    def _begin(self) -> None:
        _refuse_filled(self._path)
        self._partial = Partial(self._path)  # from here on close() removes what there is
        built = self._partial.copy
        built.mkdir(0o700)
        self._root = os.open(built, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)

    def _take_name(self) -> None:
        assert self._partial is not None  # _begin made it
        try:
            _move(self._root, self._partial.copy, self._path)
        except OSError as error:
            taken = error.errno in (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR)
            if not taken:
                raise refused("restore to", str(self._path), error) from error
            cause = "something took its name meanwhile"
            raise DestinationUnsuitable("restore to", str(self._path), cause) from error
        self.close()  # of what is left nothing is data
        sync(self._path.parent)

    def _release(self) -> None:
        if self._parent is not None:
            os.close(self._parent[1])
            self._parent = None
        if self._root >= 0:
            os.close(self._root)
            self._root = -1

    def _folder(self, path: bytes, entry: bytes) -> int:
        if self._parent is None or self._parent[0] != path:
            try:
                opened = open_folder(self._root, path)
            except OSError as error:
                raise MemberDamaged("make", shown(entry), "it lies in what is not a folder of the tree") from error
            if self._parent is not None:
                os.close(self._parent[1])
            self._parent = (path, opened)
        return self._parent[1]

    def _expect(self, entry: Entry, kind: str) -> None:
        if entry.kind != kind:
            raise MemberDamaged("make", shown(entry.path), "it is of no kind that a tree holds")

    def _link(self, entry: Entry, folder: int, name: bytes) -> None:
        _check_path(entry.target, entry.path)
        parent, other = parent_and_name(entry.target)
        try:
            source = open_folder(self._root, parent)
        except OSError as error:
            raise MemberDamaged("make", shown(entry.path), "the file it is another name of is not there") from error
        try:
            if not other or not _is_file(source, other):
                raise MemberDamaged("make", shown(entry.path), "the file it is another name of is not there")
            os.link(other, name, src_dir_fd=source, dst_dir_fd=folder, follow_symlinks=False)
        finally:
            os.close(source)

    def _write(self, entry: Entry, folder: int, name: bytes, content: BinaryIO | None) -> None:
        if content is None:
            raise MemberDamaged("make", shown(entry.path), "the backup holds no content for it")
        descriptor = os.open(name, _NEW, 0o600, dir_fd=folder)
        try:
            written = 0
            holes = [hole for hole in reversed(entry.holes) if hole[0] >= 0 and hole[1] > 0]
            while piece := content.read(_PIECE):
                _write_piece(descriptor, memoryview(piece), written, holes)
                written += len(piece)
            if written != entry.size:
                raise MemberDamaged("make", shown(entry.path), f"its content has {written} bytes, not {entry.size}")
            os.ftruncate(descriptor, written)
            self._attributes(descriptor, entry)
            os.fchmod(descriptor, entry.mode)
            os.utime(descriptor, ns=(entry.mtime_ns, entry.mtime_ns))
        finally:
            os.close(descriptor)

    def _folder_attributes(self, parent: int, name: bytes, entry: Entry) -> None:
        if entry.xattrs:
            folder = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
            try:
                self._attributes(folder, entry)
            finally:
                os.close(folder)

    def _attributes(self, descriptor: int, entry: Entry) -> None:
        for name, value in entry.xattrs:
            if not name.startswith(b"user."):
                raise MemberDamaged("make", shown(entry.path), "it has an attribute that is not one of a user")
            try:
                os.setxattr(descriptor, name, value)
            except (AttributeError, OSError) as error:
                if isinstance(error, OSError) and error.errno != errno.ENOTSUP:
                    raise
                self.warnings.append(f"'{shown(entry.path)}': this file system holds no extended attributes")
                return


def _write_piece(descriptor: int, piece: memoryview, offset: int, holes: list[tuple[int, int]]) -> None:
    """Writes a piece at its offset, but nothing where a hole is (``holes``: last first, shortened as they pass)."""
    end, position = offset + len(piece), offset
    while position < end:
        while holes and holes[-1][0] + holes[-1][1] <= position:
            holes.pop()
        start, length = holes[-1] if holes else (end, 0)
        inside = start <= position
        stop = min(end, start + length if inside else max(start, position))
        part = piece[position - offset : stop - offset]
        # What a hole should be, but the content is not zeros: the content is right.
        if not inside or bytes(part).count(0) != len(part):
            _write_all(descriptor, part, position)
        position = stop


def _write_all(descriptor: int, data: memoryview, offset: int) -> None:
    while data:
        done = os.pwrite(descriptor, data, offset)
        data, offset = data[done:], offset + done


def _check_path(path: bytes, entry: bytes) -> None:
    names = path.split(b"/") if path else []
    if b"\0" in path or any(name in (b"", b".", b"..") for name in names):
        raise MemberDamaged("make", shown(entry), "its path could lead outside the folder")


def _is_file(folder: int, name: bytes) -> bool:
    try:
        return stat.S_ISREG(os.lstat(name, dir_fd=folder).st_mode)
    except OSError:
        return False


def _move(folder: int, built: Path, path: Path) -> None:
    """Rename an open folder to another parent: it takes the place of an empty folder, of nothing else. The system asks
    for the right to write into it, which its mode may not give."""
    state = os.fstat(folder)
    os.fchmod(folder, stat.S_IMODE(state.st_mode) | stat.S_IWUSR)
    built.rename(path)
    os.fchmod(folder, stat.S_IMODE(state.st_mode))
    os.utime(folder, ns=(state.st_atime_ns, state.st_mtime_ns))


def _refuse_filled(path: Path) -> None:
    hint = "name a folder that does not exist, or is empty"
    if path.is_symlink() or (path.exists() and not path.is_dir()):
        raise DestinationUnsuitable("restore to", str(path), "it exists already and is not a folder", hint)
    if path.is_dir() and any(path.iterdir()):
        raise DestinationUnsuitable("restore to", str(path), "it is a folder that is not empty", hint)
    if path.is_mount():
        raise DestinationUnsuitable("restore to", str(path), "it is a mount point", "name a folder below it")


def _sync_file_system(folder: int) -> None:
    """syncfs(2): one call for thousands of small files. Where the C library has none, sync(2)."""
    call = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)
    if call is None:
        os.sync()
    elif call(folder) != 0:
        number = ctypes.get_errno()
        raise refused("restore to", "its disk", OSError(number, os.strerror(number)))


@contextmanager
def _making(path: bytes) -> Iterator[None]:
    try:
        yield
    except FileExistsError as error:
        raise MemberDamaged("make", shown(path), "the tree holds it twice") from error
    except OSError as error:
        raise refused("make", shown(path), error) from error
    except (ValueError, OverflowError) as error:  # a NUL in a link's target, a time out of range
        raise MemberDamaged("make", shown(path), "what its entry says cannot be of a file") from error
