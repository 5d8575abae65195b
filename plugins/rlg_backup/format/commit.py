"""The commit record: what makes a backup exist on a target (FORMAT.md section 1)."""

from __future__ import annotations

from typing import ClassVar, Self

from pydantic import model_validator

from ..core.model import Kind
from .chained import Chained
from .document import BackupId, Count, Instant, Record, Sha256


class Erasures(Record):
    """The erasure ledger's length and head (SHA-256) when the backup was committed: 0 and null without one."""

    length: Count
    head: Sha256 | None

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> Self:
        if (self.length == 0) != (self.head is None):
            raise ValueError("a ledger has a head when, and only when, it has a length")
        return self


class CommitRecord(Chained):
    """One restore point on one target."""

    TYPE: ClassVar[str] = "commit"

    backup_id: BackupId
    kind: Kind
    manifest_sha256: Sha256
    committed_at: Instant
    erasures: Erasures

    @property
    def path(self) -> str:
        """The key of the object: ``catalog/<source>/<sequence>-<backup_id>-<kind>.json``."""
        return f"catalog/{self.source}/{self.sequence:08d}-{self.backup_id}-{self.kind}.json"

    @property
    def made_at(self) -> Instant:
        """When it was signed."""
        return self.committed_at
