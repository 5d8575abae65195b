"""What the typed documents share: strict fields, and errors that name a field and never its value."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, ValidationError

from ..core.errors import DocumentDamaged
from ..core.model import BACKUP_ID, SOURCE_NAME

_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", re.ASCII)
_SHOWN = 80  # of a field's path that stands in an error


def _instant(value: object) -> datetime:
    """RFC 3339 in seconds and Z, or an aware datetime, whose part below a second is dropped."""
    if isinstance(value, str) and _INSTANT.fullmatch(value):
        return datetime.strptime(value, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value.astimezone(UTC).replace(microsecond=0)
    raise ValueError("it is not a time as YYYY-MM-DDTHH:MM:SSZ")


def _write_instant(value: datetime) -> str:
    # isoformat pads the year to 4 digits, which strftime does not on every system.
    return value.replace(tzinfo=None).isoformat(timespec="seconds") + "Z"


def _backup_id(value: str) -> str:
    if not (value.isascii() and BACKUP_ID.fullmatch(value)):
        raise ValueError("it is not a backup id")
    return value


def _source_name(value: str) -> str:
    if not SOURCE_NAME.fullmatch(value):
        raise ValueError("it is not a name of lower-case letters, digits and '_'")
    return value


def _sorted_set(value: tuple[str, ...]) -> tuple[str, ...]:
    if list(value) != sorted(set(value)):
        raise ValueError("it is not sorted, or names something twice")
    return value


Text = Annotated[str, Field(strict=True)]
Count = Annotated[int, Field(strict=True, ge=0, lt=2**53)]
Flag = Annotated[bool, Field(strict=True)]
Sha256 = Annotated[str, Field(strict=True, pattern=r"^[0-9a-f]{64}$")]
KeyId = Annotated[str, Field(strict=True, pattern=r"^[0-9a-f]{16}$")]
Name = Annotated[str, Field(strict=True), AfterValidator(_source_name)]  # of a source or a zone
BackupId = Annotated[str, Field(strict=True), AfterValidator(_backup_id)]
SortedTexts = Annotated[tuple[Text, ...], AfterValidator(_sorted_set)]
Instant = Annotated[datetime, BeforeValidator(_instant), PlainSerializer(_write_instant)]


class Record(BaseModel):
    """A frozen part of a document: unknown and missing fields are refused, and nothing is coerced.

    Making one from wrong values raises DocumentDamaged, as reading one does.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, serialize_by_alias=True)

    if not TYPE_CHECKING:  # for the type checker the generated, typed signature stands

        def __init__(self, /, **fields: object) -> None:
            try:
                super().__init__(**fields)
            except ValidationError as error:
                raise damage("write", _noun(type(self)), error) from None

        # Without this mark pydantic would call __init__ for the parts of a document it reads.
        __init__.__pydantic_base_init__ = True

    def to_dict(self) -> dict[str, Any]:
        """JSON types only; ``from_dict`` of it is equal to this."""
        return self.model_dump(mode="json")

    @classmethod
    def from_dict(cls, value: object, subject: str) -> Self:
        """Reads the JSON value of a document called ``subject``; raises DocumentDamaged naming the field."""
        try:
            return cls.model_validate(value)
        except ValidationError as error:
            raise damage("read", subject, error) from None


def damage(verb: str, subject: str, error: ValidationError) -> DocumentDamaged:
    """The first fault of a document, without the value that is at fault."""
    fault = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(str(step) for step in fault["loc"])[:_SHOWN]
    if fault["type"] == "missing":
        return DocumentDamaged(verb, subject, f"it lacks the field '{place}'")
    if fault["type"] == "extra_forbidden":
        return DocumentDamaged(verb, subject, f"it has the unknown field '{place}'")
    cause = str(fault["ctx"]["error"]) if fault["type"] == "value_error" else fault["msg"]
    return DocumentDamaged(verb, subject, f"field '{place}': {cause}" if place else cause)


def require_unique(names: Sequence[str], what: str) -> None:
    """For validators: raises ValueError when a name stands twice."""
    if len(set(names)) != len(names):
        raise ValueError(f"it names one {what} twice")


def _noun(cls: type[BaseModel]) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", cls.__name__).lower()
