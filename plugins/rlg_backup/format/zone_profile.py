"""The profile of a zone: what was true of the rows in its archive; encrypted with them (FORMAT.md section 6)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Self

from pydantic import Field, model_validator

from ..core.errors import DocumentDamaged
from .document import Count, Name, Record, Text, require_unique
from .profile import LIMIT, Digest, Level, Profile, TableProfile, Totals
from .profile import SUBJECT as PROFILE
from .versioned import Versioned

SUBJECT = "zone.json"
DOCUMENT = Versioned("zone", "a zone's profile", SUBJECT, version=1, limit=LIMIT)


class ZoneTable(Record):
    """What the archive of a zone holds of a table: ``rows`` in its ``members``, of the digest ``stored``.
    ``geography`` and ``totals`` count the zone's rows of the snapshot."""

    schema_name: Text = Field(alias="schema")  # pydantic keeps `schema` for itself
    name: Text
    rows: Count
    stored: Digest
    members: tuple[Text, ...]
    geography: Mapping[Level, Mapping[Text, Count]] | None
    totals: Mapping[Text, Totals]


class ZoneProfile(Record):
    """What the archive of a zone holds, beside the rows: as much of the profile as is about them."""

    zone: Name
    tables: tuple[ZoneTable, ...]

    @model_validator(mode="after")
    def _names_once(self) -> Self:
        require_unique([f"{len(table.schema_name)}:{table.schema_name}{table.name}" for table in self.tables], "table")
        return self

    def to_bytes(self) -> bytes:
        """The canonical bytes of zone.json; raises DocumentDamaged when they exceed LIMIT."""
        return DOCUMENT.write(self.to_dict())

    @classmethod
    def load(cls, data: bytes, *, sha256: str, zone: str) -> Self:
        """The document in the archive of ``zone``, whose bytes have the SHA-256 (hex) that the manifest names.

        Raises DocumentDamaged, also for that of another zone, and FormatUnsupported.
        """
        if hashlib.sha256(data).hexdigest() != sha256:
            raise DocumentDamaged("read", SUBJECT, "its SHA-256 is not the one the manifest names")
        found = cls.from_dict(DOCUMENT.read(data), SUBJECT)
        if found.zone != zone:
            raise DocumentDamaged("read", SUBJECT, "it is of another zone")
        return found


def joined(profile: Profile, zone: ZoneProfile) -> Profile:
    """A profile with what the archive of a zone holds, as if its rows lay beside the others. Raises DocumentDamaged
    where the two do not agree."""
    parts = {(table.schema_name, table.name): table for table in zone.tables}
    tables = tuple(
        _joined(table, zone.zone, parts.pop((table.schema_name, table.name), None)) for table in profile.tables
    )
    if parts:
        raise _contradiction()
    return profile.model_copy(update={"tables": tables})


def _joined(table: TableProfile, zone: str, part: ZoneTable | None) -> TableProfile:
    noted = table.zones.get(zone)
    if noted is None and part is None:
        return table
    if noted is None or part is None or noted.stored != part.rows:
        raise _contradiction()
    body, other = table.to_dict(), part.to_dict()
    body["members"] += other["members"]
    body["digest"]["stored"] = f"{(int(table.digest.stored, 16) + int(part.stored, 16)) % 2**256:064x}"
    body["geography"] = _counts(body["geography"], other["geography"])
    for column, sums in other["totals"].items():
        body["totals"][column] = _totals(body["totals"].get(column), sums)
    del body["zones"][zone]
    return TableProfile.from_dict(body, PROFILE)


def _counts(one: Any, other: Any) -> Any:
    if one is None or other is None:
        return one or other
    return {level: _added(one.get(level, {}), other.get(level, {})) for level in {**one, **other}}


def _totals(one: Any, other: Any) -> Any:
    if one is None:
        return other
    levels = {level: _added(one[level], other[level]) for level in ("region", "country")}
    return {"all": _added({"": one["all"]}, {"": other["all"]})[""], **levels}


def _added(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """Numbers, or decimal texts of whole ones, by code."""
    found = dict(one)
    for code, number in other.items():
        total = int(found.get(code, 0)) + int(number)
        found[code] = str(total) if isinstance(number, str) else total
    return found


def _contradiction() -> DocumentDamaged:
    return DocumentDamaged("read", SUBJECT, "it does not agree with the profile beside it")
