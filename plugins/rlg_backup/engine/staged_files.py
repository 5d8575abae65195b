"""The files of one try in its staging folder: private, and encrypted under a key that only its place and this
worker's staging key give. What is read back is authenticated."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, cast

from ..core.errors import InvalidSetting, StagingLost, StorageFull
from ..core.private import create_private
from ..format.age import PayloadReader, PayloadWriter
from ..format.keys import StagingKey

NONCE = "nonce"  # the file that makes every try's keys its own; not secret without the staging key
_TRIES = 20
_NO_SPACE = {
    errno.ENOSPC: "no space is left in the staging folder",
    errno.EDQUOT: "this user's share of the staging disk is used up",
    errno.EFBIG: "the staging folder takes no file that large",
}


class StagedFiles:
    """The files in ``<staging>/<run>/<source>/<try>``, by name. Raises StorageFull and StagingLost."""

    def __init__(self, folder: Path, key: StagingKey) -> None:
        self.folder = folder
        self._key = key

    def path(self, name: str) -> Path:
        """Where a file of that name lies; not every file is encrypted by us (an archive is, by age)."""
        return self.folder / name

    @contextmanager
    def create_file(self, name: str) -> Iterator[BinaryIO]:
        """A new file, encrypted as it is written; complete only when the block ends without an error."""
        with staging_disk(name), create_private(self.path(name)) as raw:
            writer = PayloadWriter(raw, self._file_key(name))
            yield cast(BinaryIO, writer)
            writer.close()

    @contextmanager
    def open_file(self, name: str) -> Iterator[BinaryIO]:
        """A file read back; what is returned is authenticated."""
        try:
            key, raw = self._file_key(name), self.path(name).open("rb")
        except OSError as error:
            raise StagingLost("read", name, error.strerror or "it is not in the staging folder") from None
        with raw:
            yield cast(BinaryIO, PayloadReader(raw, key, name=name))

    def remove_file(self, name: str) -> None:
        """Gone already is fine."""
        with staging_disk(name):
            self.path(name).unlink(missing_ok=True)

    def derived_key(self, purpose: str) -> bytes:
        """32 secret bytes of this try, the same in every step of it; ``purpose`` is the name of no file."""
        return self._file_key(f"key/{purpose}")

    def _file_key(self, name: str) -> bytes:
        run, source, attempt = self.folder.parts[-3:]
        return self._key.file_key((self.folder / NONCE).read_bytes(), run, source, attempt, name)


@contextmanager
def staging_disk(name: str) -> Iterator[None]:
    """Turns what the staging disk refuses into our errors: StorageFull without space, StagingLost otherwise."""
    try:
        yield
    except OSError as error:
        if error.errno in _NO_SPACE:
            raise StorageFull("write", name, _NO_SPACE[error.errno]) from None
        raise StagingLost("write", name, error.strerror or "the staging disk failed") from None


def make_private(folder: Path, root: Path) -> None:
    """Make a folder below the staging folder and what is missing above it, all 0700 whatever the umask.

    A staging folder that exists keeps its mode: it may be shared with others. Raises InvalidSetting, StorageFull.
    """
    try:
        for tries_left in reversed(range(_TRIES)):
            try:
                _make_folders(folder, root)
                break
            except FileNotFoundError:  # another source of the run took an empty folder away just then
                if not tries_left:
                    raise
    except OSError as error:
        if error.errno in _NO_SPACE:
            raise StorageFull("use", "staging.folder", _NO_SPACE[error.errno]) from None
        cause = f"no folder can be made in it ({(error.strerror or 'the system refuses').lower()})"
        raise InvalidSetting("use", "staging.folder", cause, "name a folder this user may write to") from None


def _make_folders(folder: Path, root: Path) -> None:
    root.parent.mkdir(parents=True, exist_ok=True)
    for place in (root, *reversed(folder.relative_to(root).parents[:-1]), folder.relative_to(root)):
        with suppress(FileExistsError):
            (root / place).mkdir(0o700)
            (root / place).chmod(0o700)
    if not folder.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, "it is not a folder")
