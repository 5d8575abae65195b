"""The commit record: what makes a backup exist on a target (FORMAT.md section 1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Self

from pydantic import Field, model_validator

from ..core.errors import CatalogForged
from ..core.model import Kind
from .document import BackupId, Count, Instant, Name, Record, Sha256, Text
from .signing import Signer, SigningKey, sign, verify

TYPE = "commit"
LAST_SEQUENCE = 99_999_999  # 8 decimal digits

Sequence8 = Annotated[int, Field(strict=True, ge=1, le=LAST_SEQUENCE)]


class Erasures(Record):
    """The erasure ledger's length and head (SHA-256) when the backup was committed: 0 and null without one."""

    length: Count
    head: Sha256 | None

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> Self:
        if (self.length == 0) != (self.head is None):
            raise ValueError("a ledger has a head when, and only when, it has a length")
        return self


class Witness(Record):
    """The head of the source's catalog on another target. ``sha256`` is of that record's bytes."""

    sequence: Sequence8
    sha256: Sha256


class CommitRecord(Record):
    """One restore point on one target; linked to the record before by ``previous_sha256``, of its bytes."""

    source: Name
    backup_id: BackupId
    kind: Kind
    sequence: Sequence8
    manifest_sha256: Sha256
    previous_sha256: Sha256 | None
    committed_at: Instant
    target: Text
    erasures: Erasures
    witnesses: Mapping[Text, Witness]

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> Self:
        if (self.sequence == 1) != (self.previous_sha256 is None):
            raise ValueError("only the first record has none before it")
        if self.target in self.witnesses:
            raise ValueError("its own target is among its witnesses")
        return self

    @property
    def path(self) -> str:
        """The key of the object: ``catalog/<source>/<sequence>-<backup_id>-<kind>.json``."""
        return f"catalog/{self.source}/{self.sequence:08d}-{self.backup_id}-{self.kind}.json"

    def sign(self, key: SigningKey) -> bytes:
        """The bytes of the record; the same record and key give the same bytes."""
        return sign(TYPE, self.to_dict(), key)

    @classmethod
    def load(cls, data: bytes, trusted: Sequence[Signer], *, path: str, target: str) -> Self:
        """The record found at ``path`` on the target of that name, checked.

        Raises DocumentDamaged, FormatUnsupported, SignatureInvalid, SignerUnknown, and CatalogForged when
        its source, sequence, backup id, kind or target are not those of the place it was found at.
        """
        record = cls.from_dict(verify(TYPE, data, trusted, path), path)
        if record.path != path:
            raise CatalogForged("verify", path, f"it is the record '{record.path}'")
        if record.target != target:
            raise CatalogForged("verify", path, f"it was made for target '{record.target}', not for '{target}'")
        return record
