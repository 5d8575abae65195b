"""What settings are made of: a model that refuses what it does not know, and the types of its fields."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo

from ..core.model import SOURCE_NAME
from ..core.size import parse_size


class Strict(BaseModel):
    """Unknown keys are errors: a setting misspelt is a setting lost."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _name(value: str) -> str:
    if not SOURCE_NAME.fullmatch(value):
        raise ValueError("a name is a lower-case letter, then lower-case letters, digits and _, at most 63")
    return value


def _absolute(value: object, info: ValidationInfo) -> object:
    base = (info.context or {}).get("base")
    if isinstance(value, str) and base is not None:
        if not value or "\0" in value:
            raise ValueError("it is not a path")
        try:
            return Path(base) / Path(value).expanduser()
        except RuntimeError:
            raise ValueError("the user it names with ~ has no home folder here") from None
    return value


def _given(value: object) -> object:
    """``["${VARIABLE:-}"]`` with the variable unset is an empty list."""
    return [item for item in value if item != ""] if isinstance(value, list) else value


def _size(value: object) -> object:
    return parse_size(value) if isinstance(value, str) else value


Texts = Annotated[tuple[str, ...], BeforeValidator(_given)]
Name = Annotated[str, AfterValidator(_name)]
Place = Annotated[Path, BeforeValidator(_absolute)]
Size = Annotated[int, BeforeValidator(_size), Field(gt=0)]  # bytes; "500 GB", "1.5 TiB"
Reference = str  # file:PATH, env:NAME, exec:COMMAND, secret:BACKEND/NAME
