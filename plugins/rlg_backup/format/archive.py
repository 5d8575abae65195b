"""An archive's members by the manifest: signature > directory > member (FORMAT.md section 3)."""

from __future__ import annotations

import hashlib

from ..core.errors import DirectoryDamaged
from .container import DIRECTORY_LIMIT, ReadAt, ZipReader
from .manifest import ArchiveEntry
from .profile import LIMIT, SUBJECT, Profile
from .zone_profile import SUBJECT as ZONE
from .zone_profile import ZoneProfile


def open_archive(read_at: ReadAt, entry: ArchiveEntry) -> ZipReader:
    """The members of the archive that a checked manifest describes.

    ``read_at(offset, length)`` gives its plaintext, as ``SeekableAgeReader.read_at`` does. Only the directory is
    read here. Raises DirectoryDamaged when its bytes are not those the manifest names, or are no directory.
    """
    place = entry.directory
    if place.length > DIRECTORY_LIMIT:
        cause = f"its directory is longer than {DIRECTORY_LIMIT} bytes"
        raise DirectoryDamaged("verify", f"{entry.zone}.zip.age", cause)
    directory = read_at(place.offset, place.length + 1)  # one more: it must be the end of the archive
    if len(directory) != place.length or hashlib.sha256(directory).hexdigest() != place.sha256:
        cause = "its directory is not the one the manifest names"
        raise DirectoryDamaged("verify", f"{entry.zone}.zip.age", cause)
    return ZipReader(read_at, directory, place.offset)


def read_profile(members: ZipReader, entry: ArchiveEntry) -> Profile:
    """The archive's profile, checked against the directory and against the manifest.

    Raises MemberDamaged, DocumentDamaged and FormatUnsupported.
    """
    return Profile.load(members.read(SUBJECT, limit=LIMIT), sha256=entry.profile_sha256)


def read_zone(members: ZipReader, entry: ArchiveEntry) -> ZoneProfile:
    """What the archive of a zone says of its rows, checked as ``read_profile`` does."""
    return ZoneProfile.load(members.read(ZONE, limit=LIMIT), sha256=entry.profile_sha256, zone=entry.zone)
