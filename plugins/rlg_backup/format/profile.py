"""The profile: what was true of the data at the snapshot; encrypted in the archive (FORMAT.md section 6)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import Field, JsonValue, model_validator

from ..core.errors import DocumentDamaged
from .document import Count, Flag, Record, Sha256, Text, require_unique
from .versioned import Versioned

LIMIT = 256 * 1024 * 1024  # bytes: some 100,000 tables with their columns
SUBJECT = "profile.json"
DOCUMENT = Versioned("profile", "a profile", SUBJECT, version=1, limit=LIMIT)

DROPPED = "drop"  # the policy of a column that is not stored

Digest = Sha256  # 64 hex digits too, of a sum
Total = Annotated[str, Field(strict=True, pattern=r"^(0|-?[1-9][0-9]*)(\.[0-9]+)?$")]
Level = Literal["region", "country", "city", "town"]


class ColumnProfile(Record):
    """A column as the source declared it, and what was done to it. ``key``: place in the primary key, or 0."""

    name: Text
    declared_type: Text
    nullable: Flag
    key: Count
    policy: Text


class TableDigest(Record):
    """``stored`` over what the Parquet holds, ``restored`` over what a restore with the key gives."""

    restored: Digest
    stored: Digest


class Totals(Record):
    """Sums of a column as decimal strings; by code, with "" for rows without one."""

    all: Total
    region: Mapping[Text, Total]
    country: Mapping[Text, Total]


class Change(Record):
    """What is saved of a table that is not saved whole: ``rows`` that came since the parent are in the table's members,
    the numbers of ``removed_rows`` that went are in those of ``removed``."""

    rows: Count
    removed: tuple[Text, ...]
    removed_rows: Count


class ZoneRows(Record):
    """Rows of a zone, which lie in the archive of the zone: those of the snapshot, and those that are stored."""

    rows: Count
    stored: Count


class RuleProfile(Record):
    """What the source demands of values of ``columns``: see ``sources.port.Rule``."""

    kind: Literal["place", "distinct", "computed", "reference"]
    words: Text
    columns: tuple[Text, ...]
    refers: tuple[Text, Text]


class TableProfile(Record):
    """One table. ``members`` in order of the parts; ``geography`` counts rows by level and code; ``within`` are the
    schema and name of each table it is a part of, nearest first. ``rows`` and ``restored`` are of all ``zones``, the
    rest is without their rows. ``detected`` are the columns that were tokenized without a policy, each with the kind of
    personal data found."""

    schema_name: Text = Field(alias="schema")  # pydantic keeps `schema` for itself
    name: Text
    dataset: Text
    rows: Count
    fingerprint: Sha256
    digest: TableDigest
    members: tuple[Text, ...]
    columns: tuple[ColumnProfile, ...]
    options: Mapping[Text, JsonValue]
    geography: Mapping[Level, Mapping[Text, Count]] | None
    totals: Mapping[Text, Totals]
    within: tuple[tuple[Text, Text], ...] = ()
    change: Change | None = None
    rules: tuple[RuleProfile, ...] = ()
    zones: Mapping[Text, ZoneRows] = Field(default_factory=dict)
    detected: Mapping[Text, Text] = Field(default_factory=dict)

    @property
    def saved_rows(self) -> int:
        """How many rows its members hold, with those of its zones."""
        return self.rows if self.change is None else self.change.rows

    @property
    def stored_columns(self) -> tuple[ColumnProfile, ...]:
        """Those that its members hold: all but the dropped ones."""
        return tuple(column for column in self.columns if column.policy != DROPPED)

    @property
    def stored_rows(self) -> int:
        """How many rows its members hold."""
        return self.saved_rows - sum(zone.stored for zone in self.zones.values())

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> Self:
        require_unique(self.members, "member")
        if self.stored_rows < 0:
            raise ValueError("its zones have more rows than it has")
        require_unique([column.name for column in self.columns], "column")
        for level, codes in (self.geography or {}).items():
            if sum(codes.values()) + sum(zone.rows for zone in self.zones.values()) != self.rows:
                raise ValueError(f"its rows by {level} do not add up to its rows")
        return self


def _members(table: TableProfile) -> tuple[str, ...]:
    return table.members + (table.change.removed if table.change else ())


class TreeChange(Record):
    """What is saved of a tree whose other contents lie in the backups before: of how many files, and their bytes."""

    files: Count
    bytes: Count


class TreeProfile(Record):
    """A file tree. ``unstable`` counts the files that changed at every attempt to read them."""

    entries: Count
    bytes: Count
    digest: Digest
    unstable: Count
    change: TreeChange | None = None


class ExcludedProfile(Record):
    """What is not saved, and why."""

    name: Text
    reason: Text


class Profile(Record):
    """The whole backup. ``digest_key`` is the 32-byte key of all digests, in hex; ``row_digest`` the kind of those
    of tables."""

    digest_key: Sha256 = Field(repr=False)
    row_digest: Literal["sha256", "xxh3"] = "sha256"
    tables: tuple[TableProfile, ...]
    tree: TreeProfile | None
    excluded: tuple[ExcludedProfile, ...]
    warnings: tuple[Text, ...]

    @model_validator(mode="after")
    def _names_once(self) -> Self:
        require_unique([f"{len(table.schema_name)}:{table.schema_name}{table.name}" for table in self.tables], "table")
        require_unique([member for table in self.tables for member in _members(table)], "member")
        return self

    def to_bytes(self) -> bytes:
        """The canonical bytes of profile.json; raises DocumentDamaged when they exceed LIMIT."""
        return DOCUMENT.write(self.to_dict())

    @classmethod
    def load(cls, data: bytes, *, sha256: str) -> Self:
        """The profile whose bytes have the SHA-256 (hex) that the manifest names.

        Raises DocumentDamaged (other bytes, not canonical, a field missing or unknown) and
        FormatUnsupported (a later version).
        """
        if hashlib.sha256(data).hexdigest() != sha256:
            raise DocumentDamaged("read", SUBJECT, "its SHA-256 is not the one the manifest names")
        return cls.from_dict(DOCUMENT.read(data), SUBJECT)
