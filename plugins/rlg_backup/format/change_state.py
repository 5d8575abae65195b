"""The change state: what a backup leaves for the next one, to tell what changed since (FORMAT.md section 9).

It is encrypted to the state recipients and named by the signed manifest. It holds no row value: the numbers of rows are
keyed hashes, and their places say where they lie, not what they are.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from ..core.errors import DocumentDamaged
from .document import BackupId, Count, Name, Record, Sha256, Text, require_unique
from .versioned import Versioned

SUBJECT = "state.json"
LIMIT = 256 * 1024 * 1024  # bytes
DOCUMENT = Versioned("change-state", "a change state", SUBJECT, version=1, limit=LIMIT)

Place = Annotated[int, Field(strict=True, ge=0, lt=2**53)]


class StatePart(Record):
    """A member with row numbers. ``first`` and ``last`` are the places of its first and last row where it has any."""

    member: Text
    rows: Count
    first: Place = 0
    last: Place = 0


class StateTable(Record):
    """A table as it was seen. ``identity`` is of what it is and how it is saved; ``storage`` of where its rows lie, or
    null where they are told apart by their numbers alone; ``gone`` counts the rows that went since the table was last
    saved whole; ``detected`` are the columns tokenized without a policy, each with the kind of personal data found."""

    schema_name: Text = Field(alias="schema")  # pydantic keeps `schema` for itself
    name: Text
    identity: Sha256
    storage: Text | None
    rows: Count
    gone: Count = 0
    detected: Mapping[Text, Text] = Field(default_factory=dict)
    digest: Sha256
    parts: tuple[StatePart, ...]

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> Self:
        require_unique([part.member for part in self.parts], "member")
        if sum(part.rows for part in self.parts) != self.rows:
            raise ValueError("its parts do not add up to its rows")
        return self


class StateTree(Record):
    """The contents of a tree as they were seen: ``files`` of them in ``parts``, in the archives of ``backups``."""

    files: Count
    parts: tuple[Text, ...]
    backups: tuple[BackupId, ...]

    @model_validator(mode="after")
    def _names_once(self) -> Self:
        require_unique(self.parts, "member")
        require_unique(self.backups, "backup")
        return self


class ChangeState(Record):
    """The whole state. ``position`` is the source's own word for when it was read; ``digest_key`` (hex) the chain's."""

    source: Name
    backup_id: BackupId
    digest_key: Sha256 = Field(repr=False)
    row_digest: Literal["xxh3"]
    system: Text
    position: Mapping[Text, Text]
    tables: tuple[StateTable, ...]
    tree: StateTree | None

    @model_validator(mode="after")
    def _names_once(self) -> Self:
        require_unique([f"{len(table.schema_name)}:{table.schema_name}{table.name}" for table in self.tables], "table")
        return self

    @property
    def members(self) -> Iterator[str]:
        """Every member that it names."""
        yield from (part.member for table in self.tables for part in table.parts)
        yield from self.tree.parts if self.tree else ()

    def to_bytes(self) -> bytes:
        """The canonical bytes of state.json; raises DocumentDamaged when they exceed LIMIT."""
        return DOCUMENT.write(self.to_dict())

    @classmethod
    def load(cls, data: bytes, *, source: str, backup_id: str) -> Self:
        """The state that a backup left. Raises DocumentDamaged (not canonical, a field missing or unknown, of another
        backup) and FormatUnsupported (a later version)."""
        found = cls.from_dict(DOCUMENT.read(data), SUBJECT)
        if (found.source, found.backup_id) != (source, backup_id):
            raise DocumentDamaged("read", SUBJECT, f"it is of the backup '{found.source}/{found.backup_id}'")
        return found


def identity_of(*words: str) -> str:
    """One SHA-256 (hex) of several texts, each by its length: whatever differs in one gives another."""
    return hashlib.sha256(b"".join(b"%d:%b" % (len(word.encode()), word.encode()) for word in words)).hexdigest()
