"""What may happen to a column: a policy's name, or a mapping with its settings (``{policy: mask, keep_last: 2}``)."""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal, get_args

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from .fields import Strict

JSON_STEP: Final = r"\.(?P<name>[\w-]+)|\['(?P<quoted>[^']*)'\]|\[(?P<place>\d+)\]|(?P<any>\.\*|\[\*\])"
_JSON_PATH: Final = re.compile(rf"\$(?:{re.sub(r'[?]P<[a-z]+>', '?:', JSON_STEP)})+")


def _json_path(value: str) -> str:
    if not _JSON_PATH.fullmatch(value):
        raise ValueError("a path begins with $, and goes on with .name, ['any name'], [0], [*] or .*")
    return value


class _Policy(Strict):
    policy: str

    def __str__(self) -> str:
        own = self.model_dump(mode="json", exclude={"policy"}, exclude_defaults=True)
        settings = ", ".join(f"{name}: {value}" for name, value in sorted(own.items()))
        return f"{self.policy} {settings}".rstrip()


class Keep(_Policy):
    """Stored as it is, on purpose."""

    policy: Literal["keep"]


class Tokenize(_Policy):
    """Comes back with the tokenization key. With ``paths``, what stands there in JSON; with ``elements``, each element
    of an array; without either, the whole value."""

    policy: Literal["tokenize"]
    paths: tuple[Annotated[str, AfterValidator(_json_path)], ...] = ()
    elements: bool = False

    @model_validator(mode="after")
    def _one_of_them(self) -> Tokenize:
        if self.paths and self.elements:
            raise ValueError("'paths' are of JSON and 'elements' of arrays: give one of them")
        return self


class Scrub(_Policy):
    """Text in which personal data is found by its shape: these spans come back with the key, the rest stays."""

    policy: Literal["scrub"]


class Hash(_Policy):
    """Equal values stay equal, and stay unknown."""

    policy: Literal["hash"]


class Pseudonym(_Policy):
    """As ``hash``, in the shape of an e-mail address or a phone number."""

    policy: Literal["pseudonym"]
    like: Literal["email", "phone"]


class Mask(_Policy):
    """Asterisks, but for the last letters and digits."""

    policy: Literal["mask"]
    keep_last: int = Field(default=4, ge=0, le=64)


class Generalize(_Policy):
    """A date to its ``year`` or ``month``, an IP address to its ``network`` (/24, /48), a place to one for its whole
    ``city`` or ``country``; a number to the multiple of ``bucket`` nearest to it towards zero."""

    policy: Literal["generalize"]
    to: Literal["year", "month", "network", "city", "country"] | None = None
    bucket: int | None = Field(default=None, ge=1)

    @model_validator(mode="after")
    def _one_of_them(self) -> Generalize:
        if (self.to is None) == (self.bucket is None):
            raise ValueError("give either 'to' or 'bucket'")
        return self


class Redact(_Policy):
    """Nothing is left, or ``to``."""

    policy: Literal["redact"]
    to: str | None = None


class Drop(_Policy):
    """Not stored at all: a restore leaves NULL, or the column's default."""

    policy: Literal["drop"]


def _mapping(value: object) -> object:
    return {"policy": value} if isinstance(value, str) else value


AnyPolicy = Keep | Tokenize | Scrub | Hash | Pseudonym | Mask | Generalize | Redact | Drop
MaskedPolicy = Keep | Hash | Pseudonym | Mask | Generalize | Redact
Policy = Annotated[Annotated[AnyPolicy, Field(discriminator="policy")], BeforeValidator(_mapping)]
MaskedForm = Annotated[Annotated[MaskedPolicy, Field(discriminator="policy")], BeforeValidator(_mapping)]


def _names(union: object) -> tuple[str, ...]:
    return tuple(str(get_args(one.model_fields["policy"].annotation)[0]) for one in get_args(union))


NAMES: Final = _names(AnyPolicy)
MASKED_NAMES: Final = _names(MaskedPolicy)
