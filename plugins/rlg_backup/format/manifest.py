"""The manifest of a backup: what it holds and how to check it, signed and in clear (FORMAT.md section 1)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from ..core.errors import CatalogForged
from ..core.model import Fidelity, Kind
from .document import BackupId, Count, Instant, KeyId, Name, Record, Sha256, SortedTexts, Text
from .signing import Signer, SigningKey, sign, verify

TYPE = "manifest"


class Parent(Record):
    """The backup this one is relative to. ``manifest_sha256`` is of the bytes of its manifest."""

    backup_id: BackupId
    manifest_sha256: Sha256


class Snapshot(Record):
    """Which system was read and at which of its states."""

    system: Text
    marker: Text
    taken_at: Instant


class Names(Record):
    """The names of tables and of what is excluded, when the setting ``names_in_clear`` is on."""

    tables: SortedTexts
    excluded: SortedTexts


class Contents(Record):
    """Counts; ``bytes`` is the uncompressed size of all members."""

    tables: Count
    rows: Count
    entries: Count
    bytes: Count
    excluded: Count
    warnings: Count
    names: Names | None


class Finding(Record):
    """What the anonymization check counted in the staged members."""

    checked_members: Count
    hits: Count
    undeclared: Count


class DirectoryEntry(Record):
    """Where the ZIP directory lies in the plaintext of an archive: bytes, and their SHA-256."""

    offset: Count
    length: Annotated[Count, Field(ge=1)]
    sha256: Sha256


class ArchiveEntry(Record):
    """One archive. ``size`` and ``sha256`` are of the object, ``payload_sha256`` of what follows the age header."""

    zone: Name
    size: Count
    sha256: Sha256
    header_size: Count
    payload_sha256: Sha256
    directory: DirectoryEntry
    profile_sha256: Sha256

    @model_validator(mode="after")
    def _lies_inside(self) -> Self:
        if self.header_size >= self.size or self.directory.offset + self.directory.length > self.size:
            raise ValueError("its header or its directory is larger than the archive")
        return self


class StateEntry(Record):
    """The change state beside the archive: size and SHA-256 of the object."""

    size: Count
    sha256: Sha256


def _by_zone(value: tuple[ArchiveEntry, ...]) -> tuple[ArchiveEntry, ...]:
    zones = [archive.zone for archive in value]
    if not zones or zones != sorted(set(zones)):
        raise ValueError("it is empty, not sorted by zone, or has a zone twice")
    return value


class Manifest(Record):
    """A backup in clear: no row value, no key. ``state`` is None where no change state was kept; older ones lack it.
    ``zones_sha256`` is of the rules by which rows were put into the archives of zones; None where there were none."""

    engine: Text
    source: Name
    backup_id: BackupId
    kind: Kind
    parent: Parent | None
    created_at: Instant
    snapshot: Snapshot
    fidelity: Fidelity
    masked_columns: SortedTexts
    tokenization_key: KeyId | None
    recipients: Annotated[SortedTexts, Field(min_length=1)]
    configuration_sha256: Sha256
    contents: Contents
    finding: Finding
    archives: Annotated[tuple[ArchiveEntry, ...], AfterValidator(_by_zone)]
    state: StateEntry | None = None
    zones_sha256: Sha256 | None = None

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> Self:
        if (self.kind is Kind.FULL) != (self.parent is None):
            raise ValueError("a full backup has no parent, any other kind has one")
        if self.parent is not None and self.parent.backup_id == self.backup_id:
            raise ValueError("it is its own parent")
        if (self.fidelity is Fidelity.MASKED) != bool(self.masked_columns):
            raise ValueError("its fidelity and its masked columns contradict each other")
        return self

    def sign(self, key: SigningKey) -> bytes:
        """The bytes of manifest.json; the same manifest and key give the same bytes."""
        return sign(TYPE, self.to_dict(), key)

    @classmethod
    def load(cls, data: bytes, trusted: Sequence[Signer], *, source: str, backup_id: str) -> Self:
        """The manifest found at ``<source>/<backup_id>/manifest.json``, checked.

        Raises DocumentDamaged, FormatUnsupported, SignatureInvalid, SignerUnknown, and CatalogForged when
        it is the manifest of another source or backup.
        """
        subject = f"{source}/{backup_id}/manifest.json"
        manifest = cls.from_dict(verify(TYPE, data, trusted, subject), subject)
        if (manifest.source, manifest.backup_id) != (source, backup_id):
            cause = f"it is the manifest of '{manifest.source}/{manifest.backup_id}'"
            raise CatalogForged("verify", subject, cause)
        return manifest
