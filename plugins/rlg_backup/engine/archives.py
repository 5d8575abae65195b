"""Opens the archive of a chosen restore point, from its target or from a copy fetched before."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, BinaryIO

from ..core.beside import Beside
from ..core.errors import BackupError, MemberDamaged, ObjectDamaged, StagingLost, StorageFull
from ..core.private import create_private
from ..format.age import Identity, SeekableAgeReader
from ..format.archive import open_archive, read_profile
from ..format.container import ZipReader
from ..format.forms import role_of
from ..format.manifest import ArchiveEntry
from ..format.profile import Profile, TableProfile
from ..format.row_hash import Lanes
from ..format.row_numbers import read_numbers
from ..format.rows import read_part
from ..format.tree_index import IndexRow, index_parts, read_index
from .restore_points import Chosen, choose
from .staged_files import staging_disk
from .wiring import Wiring

if TYPE_CHECKING:
    import pyarrow as pa

    from ..storage.port import Storage

PIECE = 1 << 20
SMALL = 64 << 10  # bytes
MAX_PART_BYTES = 512 << 20  # a part is written at 8 MiB, more only where one row is larger; a larger one is not ours
ARCHIVE = "default.zip.age"
MANIFEST = "manifest.json"
STATE = "state.zip.age"  # what the next incremental backup needs; opened by state identities, never by a restore


@dataclass(frozen=True)
class Archive:
    """The members of one archive; each is checked by signature > directory > member as it is read."""

    zip: ZipReader
    entry: ArchiveEntry

    @property
    def names(self) -> list[str]:
        """Every member's name, in the order of the archive."""
        return list(self.zip.members)

    def open(self, name: str | None) -> BinaryIO:
        """A member as a stream: what it gives counts only once its end was reached."""
        return self.zip.open(name or "")

    def profile(self) -> Profile:
        return read_profile(self.zip, self.entry)


def digest_of(stream: BinaryIO) -> tuple[int, str]:
    """Size in bytes and SHA-256 (hex) of what a stream still gives."""
    digest, beside, size = sha256(), Beside(), 0
    while piece := stream.read(PIECE):
        size += len(piece)
        if len(piece) < SMALL:  # done before a thread had begun
            beside.wait()
            digest.update(piece)
        else:
            beside.run(digest.update, piece)
    beside.wait()
    return size, digest.hexdigest()


def require_object(storage: Storage, key: str, sha256: str) -> None:
    """For a key that was taken: raises ObjectDamaged unless what lies there is what was to be stored."""
    with storage.open(key) as stream:
        if digest_of(stream)[1] != sha256:
            raise ObjectDamaged("upload", key, f"the target '{storage.name}' holds other bytes under that name")


def fetch(wiring: Wiring, chosen: Chosen, destination: Path) -> None:
    """Download the archive to a private file; every byte is checked against the signed manifest as it arrives.

    Nothing stays under ``destination`` when a check fails (ObjectDamaged) or the disk is full (StorageFull).
    """
    entry = chosen.manifest.archives[0]
    key = f"{chosen.folder}/{ARCHIVE}"
    digest, beside, size = sha256(), Beside(), 0
    try:
        with (
            staging_disk(ARCHIVE),
            wiring.storage(chosen.target).open(key) as stream,
            create_private(destination) as file,
        ):
            while piece := stream.read(PIECE):
                size += len(piece)
                if size > entry.size:
                    break
                beside.run(digest.update, piece)
                file.write(piece)
                wiring.progress(f"download from {chosen.target}", size, entry.size)
        beside.wait()
        if (size, digest.hexdigest()) != (entry.size, entry.sha256):
            raise ObjectDamaged("fetch", key, f"target '{chosen.target}' holds other bytes than the manifest names")
    except BackupError:
        destination.unlink(missing_ok=True)
        raise


def fetch_any(wiring: Wiring, chosen: Chosen, destination: Path) -> Chosen:
    """``fetch``, from another target that holds the same backup where the chosen copy cannot be had whole.

    Returns the copy that was taken; those before it are in its ``passed_over``. Raises the first copy's error when
    there is no other, and StorageFull at once.
    """
    failures: dict[str, BackupError] = dict(chosen.passed_over)
    targets = wiring.source_settings(chosen.source).targets
    for target in (chosen.target, *(name for name in targets if name != chosen.target and name not in failures)):
        try:
            copy = chosen
            if target != chosen.target:
                found = choose(wiring, chosen.source, chosen.point.backup_id, target=target)
                copy = replace(found, unasked=chosen.unasked, passed_over=failures)
            fetch(wiring, copy, destination)
            return copy
        except (StorageFull, StagingLost):  # of our own disk: no copy would do better
            raise
        except BackupError as error:
            failures[target] = error
    raise failures[chosen.target]


@contextmanager
def open_local(path: Path, chosen: Chosen, identities: Sequence[Identity]) -> Iterator[Archive]:
    """The archive in a file that ``fetch`` made."""
    with path.open("rb") as file:

        def read_range(offset: int, length: int) -> bytes:
            return os.pread(file.fileno(), length, offset)

        yield _reader(read_range, chosen, identities)


def open_remote(wiring: Wiring, chosen: Chosen, identities: Sequence[Identity]) -> Archive:
    """The archive on its target, by ranged reads: only what is asked for is downloaded.

    What is read is checked by signature > directory > member, so a forged archive is noticed although its
    whole digest is never taken.
    """
    require_size(wiring, chosen)
    storage, key = wiring.storage(chosen.target), f"{chosen.folder}/{ARCHIVE}"
    return _reader(lambda offset, length: storage.read_range(key, offset, length), chosen, identities)


def require_size(wiring: Wiring, chosen: Chosen) -> None:
    """Raises ObjectMissing, or ObjectDamaged when the archive has another size than its manifest names."""
    key = f"{chosen.folder}/{ARCHIVE}"
    found = wiring.storage(chosen.target).stat(key).size
    if found != chosen.manifest.archives[0].size:
        raise ObjectDamaged(
            "open", key, f"target '{chosen.target}' holds {found} bytes, the manifest names another size"
        )


def _reader(read_range: Callable[[int, int], bytes], chosen: Chosen, identities: Sequence[Identity]) -> Archive:
    entry = chosen.manifest.archives[0]
    name = f"{chosen.folder}/{ARCHIVE}"
    plaintext, one = SeekableAgeReader(read_range, entry.size, identities, name=name), Lock()

    def read_at(offset: int, length: int) -> bytes:
        with one:  # the reader is for one thread at a time, an archive for several
            return plaintext.read_at(offset, length)

    return Archive(open_archive(read_at, entry), entry)


def rows_of(archive: Archive, table: TableProfile, members: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """The stored rows of a table in some of its ``members``; the bytes of each are checked whole before a row is used.

    Raises MemberDamaged when a part has other columns than the profile tells.
    """
    expected = [column.name for column in table.columns]
    for name in members:
        for batch in read_part(BytesIO(whole_member(archive, name)), name):
            if [field.name for field in batch.schema if not role_of(field)] != expected:
                raise MemberDamaged("read", name, "its columns are not those of the profile")
            yield batch


def removed_numbers(archive: Archive, name: str) -> Lanes:
    """The numbers of rows that went, of one member."""
    return read_numbers(BytesIO(whole_member(archive, name)), name)[0]


def index_of(archive: Archive) -> Iterator[IndexRow]:
    """The entries of a tree, in order of path; one part of the index is in memory at a time."""
    for name in index_parts(archive.names):
        yield from read_index(BytesIO(whole_member(archive, name)), name)


def whole_member(archive: Archive, name: str) -> bytes:
    """A member's bytes, checked against the directory. Only for members that are bounded by the writer."""
    return archive.zip.read(name, limit=MAX_PART_BYTES)
