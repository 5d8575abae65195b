"""Opens the archives of a chosen restore point, on its target or as they were fetched before."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from functools import partial
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, BinaryIO

import pyarrow as pa

from ..config.residency import BASE
from ..core.beside import Beside
from ..core.errors import (
    BackupError,
    BackupNotFound,
    MemberDamaged,
    ObjectDamaged,
    ResidencyRefused,
    StagingLost,
    StorageFull,
)
from ..core.private import create_private
from ..format.age import Identity, SeekableAgeReader
from ..format.archive import open_archive, read_profile, read_zone
from ..format.container import ZipReader
from ..format.forms import role_of
from ..format.manifest import ArchiveEntry
from ..format.profile import SUBJECT as PROFILE
from ..format.profile import Profile, TableProfile
from ..format.row_hash import Lanes
from ..format.row_numbers import read_numbers
from ..format.rows import read_part
from ..format.tree_index import IndexRow, index_parts, read_index
from ..format.zipfields import Member
from ..format.zone_profile import SUBJECT as ZONE_PROFILE
from ..format.zone_profile import joined
from .residency import archive_name, held, unknown
from .restore_points import Chosen, choose
from .staged_files import make_private, staging_disk
from .wiring import Wiring

if TYPE_CHECKING:
    from ..storage.port import Storage

PIECE = 1 << 20
SMALL = 64 << 10  # bytes
MAX_PART_BYTES = 512 << 20  # a part is written at 8 MiB, more only where one row is larger; a larger one is not ours
ARCHIVE = archive_name(BASE)  # the one that is always there, and the only one where there are no zones
README = "README.txt"
MANIFEST = "manifest.json"
STATE = "state.zip.age"  # what the next incremental backup needs; opened by state identities, never by a restore


class Archive:
    """The members of a backup: of its archive, or of several, one for each zone; each is checked by signature >
    directory > member as it is read."""

    def __init__(self, parts: Sequence[tuple[ZipReader, ArchiveEntry]]) -> None:
        """Raises MemberDamaged when two archives hold a member of one name, but for those that each has of its own."""
        self._parts = tuple(parts)
        self._members: dict[str, ZipReader] = {}
        for reader, entry in self._parts:
            for name in reader.members:
                if name in self._members and name not in (README, ZONE_PROFILE):
                    cause = f"two archives of the backup have it, one of them that of zone '{entry.zone}'"
                    raise MemberDamaged("read", name, cause)
                self._members.setdefault(name, reader)

    @property
    def names(self) -> list[str]:
        """Every member's name, in the order of the archives."""
        return list(self._members)

    def every(self) -> Iterator[BinaryIO]:
        """Each member of each archive as a stream."""
        for reader, _ in self._parts:
            for name in reader.members:
                yield reader.open(name)

    def member(self, name: str) -> Member | None:
        """What the directory says of a member."""
        return self._members[name].members[name] if name in self._members else None

    def open(self, name: str | None) -> BinaryIO:
        """A member as a stream: what it gives counts only once its end was reached."""
        return self._of(name or "").open(name or "")

    def read(self, name: str, *, limit: int) -> bytes:
        """A member's bytes, at most ``limit``."""
        return self._of(name).read(name, limit=limit)

    def _of(self, name: str) -> ZipReader:
        return self._members.get(name, self._parts[0][0])  # which raises that it is not there

    def profile(self) -> Profile:
        """What was true of the rows in these archives. Raises ResidencyRefused without the one that is always there."""
        base = next((part for part in self._parts if part[1].zone == BASE), None)
        if base is None:
            cause = "the profile lies in the archive of what no zone names, which this target may not hold"
            raise ResidencyRefused("read", PROFILE, cause)
        profile = read_profile(*base)
        for reader, entry in self._parts:
            if entry.zone != BASE:
                profile = joined(profile, read_zone(reader, entry))
        return profile


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


def fetch(wiring: Wiring, chosen: Chosen, entry: ArchiveEntry, destination: Path) -> None:
    """Download an archive to a private file; every byte is checked against the signed manifest as it arrives.

    Nothing stays under ``destination`` when a check fails (ObjectDamaged) or the disk is full (StorageFull).
    """
    name = archive_name(entry.zone)
    key = f"{chosen.folder}/{name}"
    digest, beside, size = sha256(), Beside(), 0
    try:
        with (
            staging_disk(name),
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


def fetch_all(wiring: Wiring, chosen: Chosen, folder: Path, *, any_target: bool) -> Chosen:
    """Downloads every archive of a backup into a folder: from the chosen copy, and of ``any_target`` where that one may
    not hold it or cannot give it whole. Returns the copy that was taken last, with what was passed over.

    Raises the first copy's error when there is no other, StorageFull at once, and ResidencyRefused.
    """
    make_private(folder, folder.parent)
    for entry in chosen.manifest.archives:
        chosen = _fetch_any(wiring, chosen, entry, folder / archive_name(entry.zone), any_target=any_target)
    return chosen


def _fetch_any(wiring: Wiring, chosen: Chosen, entry: ArchiveEntry, destination: Path, *, any_target: bool) -> Chosen:
    failures: dict[str, BackupError] = dict(chosen.passed_over)
    for target in _holders(wiring, chosen, entry, any_target=any_target):
        try:
            copy = chosen if target == chosen.target else _copy_on(wiring, chosen, target, failures)
            fetch(wiring, copy, entry, destination)
            return copy
        except (StorageFull, StagingLost):  # of our own disk: no copy would do better
            raise
        except BackupError as error:
            failures[target] = error
    raise next(iter(failures.values()))


def _copy_on(wiring: Wiring, chosen: Chosen, target: str, failures: dict[str, BackupError]) -> Chosen:
    """The same backup on another target, by its record; by that of the chosen copy where its commit failed there, since
    that names what lies there as well."""
    try:
        found = choose(wiring, chosen.source, chosen.point.backup_id, target=target)
    except BackupNotFound:
        if len(chosen.manifest.archives) == 1:
            raise
        found = replace(chosen, target=target)
    if found.manifest_sha256 != chosen.manifest_sha256:
        cause = f"target '{target}' holds another manifest than target '{chosen.target}'"
        raise ObjectDamaged("fetch", f"{chosen.folder}/{MANIFEST}", cause)
    return replace(found, unasked=chosen.unasked, passed_over=failures)


def _holders(wiring: Wiring, chosen: Chosen, entry: ArchiveEntry, *, any_target: bool) -> list[str]:
    """The targets to ask for an archive: the chosen one first, where it may hold it. Of a zone that the configuration
    does not have every one is asked: to read what lies somewhere sends it nowhere."""
    settings = wiring.settings
    others = wiring.source_settings(chosen.source).targets if any_target else ()
    asked = [chosen.target, *(name for name in others if name != chosen.target and name not in chosen.passed_over)]
    if entry in unknown(settings, chosen.manifest):
        return asked
    found = [name for name in asked if settings.may_hold(name, chosen.source, entry.zone)]
    if not found:
        cause = f"rows of the zone '{entry.zone}' may not lie on target '{chosen.target}'"
        hint = None if any_target else "name no target: each archive is taken from where it may lie"
        raise ResidencyRefused("fetch", f"{chosen.folder}/{archive_name(entry.zone)}", cause, hint)
    return found


@contextmanager
def open_local(folder: Path, chosen: Chosen, identities: Sequence[Identity]) -> Iterator[Archive]:
    """The archives in a folder that ``fetch_all`` filled."""
    with ExitStack() as stack:
        parts = []
        for entry in chosen.manifest.archives:
            file = stack.enter_context((folder / archive_name(entry.zone)).open("rb"))
            read = partial(_pread, file.fileno())
            parts.append(_reader(read, chosen, entry, identities))
        yield Archive(parts)


def open_remote(wiring: Wiring, chosen: Chosen, identities: Sequence[Identity], *, everywhere: bool = False) -> Archive:
    """The archives on their target, by ranged reads: only what is asked for is downloaded; of a backup with zones those
    that the target may hold, or with ``everywhere`` the others from where they may lie.

    What is read is checked by signature > directory > member, so a forged archive is noticed although its
    whole digest is never taken.
    """
    require_size(wiring, chosen)
    parts = []
    for entry in chosen.manifest.archives if everywhere else held(wiring.settings, chosen.target, chosen.manifest):
        storage = wiring.storage(_holding(wiring, chosen, entry, everywhere=everywhere))
        read = partial(storage.read_range, f"{chosen.folder}/{archive_name(entry.zone)}")
        parts.append(_reader(read, chosen, entry, identities))
    return Archive(parts)


def _holding(wiring: Wiring, chosen: Chosen, entry: ArchiveEntry, *, everywhere: bool) -> str:
    """The first target that has the archive in its size; the first one there is where none has."""
    asked = _holders(wiring, chosen, entry, any_target=everywhere)
    for target in asked if len(asked) > 1 else ():
        with suppress(BackupError):
            if wiring.storage(target).stat(f"{chosen.folder}/{archive_name(entry.zone)}").size == entry.size:
                return target
    return asked[0]


def require_size(wiring: Wiring, chosen: Chosen) -> None:
    """Raises ObjectMissing, or ObjectDamaged when an archive that the target may hold has another size than the
    manifest names."""
    for entry in held(wiring.settings, chosen.target, chosen.manifest):
        key = f"{chosen.folder}/{archive_name(entry.zone)}"
        found = wiring.storage(chosen.target).stat(key).size
        if found != entry.size:
            cause = f"target '{chosen.target}' holds {found} bytes, the manifest names another size"
            raise ObjectDamaged("open", key, cause)


def _pread(file: int, offset: int, length: int) -> bytes:
    return os.pread(file, length, offset)


def _reader(
    read_range: Callable[[int, int], bytes], chosen: Chosen, entry: ArchiveEntry, identities: Sequence[Identity]
) -> tuple[ZipReader, ArchiveEntry]:
    name = f"{chosen.folder}/{archive_name(entry.zone)}"
    plaintext, one = SeekableAgeReader(read_range, entry.size, identities, name=name), Lock()

    def read_at(offset: int, length: int) -> bytes:
        with one:  # the reader is for one thread at a time, an archive for several
            return plaintext.read_at(offset, length)

    return open_archive(read_at, entry), entry


def rows_of(archive: Archive, table: TableProfile, members: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """The stored rows of a table in some of its ``members``; the bytes of each are checked whole before a row is used.

    Raises MemberDamaged when a part has other columns than the profile tells.
    """
    expected = [column.name for column in table.stored_columns]
    for name in members:
        for batch in read_part(pa.BufferReader(whole_member(archive, name)), name):
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
    return archive.read(name, limit=MAX_PART_BYTES)
