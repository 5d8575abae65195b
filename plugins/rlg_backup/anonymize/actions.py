"""What a policy does to a column. One class each; a new one is written here and entered in ``_ACTIONS``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Protocol

import pyarrow as pa

from ..core.errors import InvalidSetting, KeyUnavailable, PolicyMismatch
from .forms import NULL, TOKEN, UTF8, form_of, in_form, to_plaintexts
from .tokens import OVERHEAD, TokenKey

_OFFSETS = 2**31 - 1  # bytes an Arrow binary column can hold


@dataclass(frozen=True)
class Subject:
    """The column an action works on. ``label`` is ``table.column``, for messages."""

    label: str
    field: pa.Field
    nullable: bool
    key: TokenKey | None

    def form(self) -> str:
        """Raises PolicyMismatch when the column has none of the plain forms."""
        form = form_of(self.field)
        if form is None:
            raise PolicyMismatch(
                "anonymize",
                self.label,
                f"its values have the type '{self.field.type}', which no policy but keep handles",
            )
        if form == TOKEN:
            raise PolicyMismatch("anonymize", self.label, "it holds tokens already")
        return form

    def required_key(self) -> TokenKey:
        if self.key is None:
            raise KeyUnavailable(
                "anonymize",
                self.label,
                "its policy needs the tokenization key and there is none",
                "set 'tokenization.key'",
            )
        return self.key


class Action(Protocol):
    """A policy. ``reversible``: the tokenization key gives the values back; ``keyed``: it needs that key."""

    name: ClassVar[str]
    reversible: ClassVar[bool]
    keyed: ClassVar[bool]

    def apply(self, subject: Subject, values: pa.Array) -> tuple[pa.Field, pa.Array]:
        """The column as it is stored. Pure: the same input gives the same output."""
        ...


@dataclass(frozen=True)
class Keep:
    """The column is stored as it is, on purpose."""

    name: ClassVar[str] = "keep"
    reversible: ClassVar[bool] = True
    keyed: ClassVar[bool] = False

    def apply(self, subject: Subject, values: pa.Array) -> tuple[pa.Field, pa.Array]:
        return subject.field, values


@dataclass(frozen=True)
class Tokenize:
    """Each value becomes its token; with the tokenization key it comes back."""

    name: ClassVar[str] = "tokenize"
    reversible: ClassVar[bool] = True
    keyed: ClassVar[bool] = True

    def apply(self, subject: Subject, values: pa.Array) -> tuple[pa.Field, pa.Array]:
        key = subject.required_key()
        return in_form(subject.field, TOKEN), _each_distinct(subject, values, key.tokens, OVERHEAD)


@dataclass(frozen=True)
class Hash:
    """Each value becomes 32 hex digits: equal values stay equal, and stay unknown."""

    name: ClassVar[str] = "hash"
    reversible: ClassVar[bool] = False
    keyed: ClassVar[bool] = True

    def apply(self, subject: Subject, values: pa.Array) -> tuple[pa.Field, pa.Array]:
        key = subject.required_key()
        return in_form(subject.field, UTF8), _each_distinct(subject, values, key.hashes, 32)


@dataclass(frozen=True)
class Redact:
    """Nothing is left: NULL, or the empty text where the column allows no NULL."""

    name: ClassVar[str] = "redact"
    reversible: ClassVar[bool] = False
    keyed: ClassVar[bool] = False

    def apply(self, subject: Subject, values: pa.Array) -> tuple[pa.Field, pa.Array]:
        if subject.nullable:
            return in_form(subject.field, NULL), pa.nulls(len(values))
        return in_form(subject.field, UTF8), pa.repeat(pa.scalar(""), len(values))


_ACTIONS: dict[str, Action] = {action.name: action for action in (Keep(), Tokenize(), Hash(), Redact())}


def action_named(name: str) -> Action:
    """The policy a configuration names; raises InvalidSetting."""
    try:
        return _ACTIONS[name]
    except KeyError:
        raise InvalidSetting(
            "use the policy", name, "there is no policy of that name", f"one of: {', '.join(sorted(_ACTIONS))}"
        ) from None


def _each_distinct(subject: Subject, values: pa.Array, change: Callable[[pa.Array], pa.Array], growth: int) -> pa.Array:
    """Every distinct value changed once, then put back in the order of the rows; NULL stays NULL.

    No cache is kept between batches. Measured on a million e-mails: it would save half of the time where they
    come from 100,000 and cost a third more where all differ, and it would hold personal values for longer.
    """
    try:
        encoded = to_plaintexts(values, subject.form()).dictionary_encode()
    except ValueError as error:
        raise PolicyMismatch("anonymize", subject.label, f"it holds {error}") from None
    if values.nbytes + (growth + 1) * len(values) > _OFFSETS:
        raise PolicyMismatch("anonymize", subject.label, "a batch of it would pass 2 GiB", "read smaller batches")
    return change(encoded.dictionary).take(encoded.indices)
