"""What a policy does to a column. One class each."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import ClassVar, Final, Protocol

import pyarrow as pa

from ..core.errors import KeyUnavailable, PolicyMismatch
from .forms import NULL, SPANS, TOKEN, UTF8, form_of, in_form, to_plaintexts
from .pseudonyms import LONGEST, SHAPES
from .tokens import OVERHEAD, TokenKey
from .values import changed, on_text, strings

_COVERED: Final = re.compile(r"[0-9A-Za-z\x80-\U0010ffff]")  # Hindi vowel signs are no letters
_OFFSETS = 2**31 - 1  # bytes an Arrow binary column can hold

ALL: Final = frozenset(("any", "text", "bytes", "number", "boolean", "date", "ip", "json", "array", "other"))
"""The kinds of a column's declared type; ``any`` is of SQLite, which checks none."""
TEXTS: Final = frozenset(("any", "text"))


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
        if form in (TOKEN, SPANS):
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
    """A policy. ``reversible``: the tokenization key gives the values back; ``keyed``: it needs that key; ``takes``:
    the kinds of columns it reads; ``longest``: characters of what it leaves, None where it is no longer than the value.
    """

    name: ClassVar[str]
    reversible: ClassVar[bool]
    keyed: ClassVar[bool]

    @property
    def takes(self) -> frozenset[str]: ...

    @property
    def longest(self) -> int | None: ...

    def apply(self, subject: Subject, values: pa.Array) -> tuple[pa.Field, pa.Array] | None:
        """The column as it is stored; None: not at all. Pure: the same input gives the same output."""
        ...

    def personal(self, subject: Subject, values: pa.Array) -> pa.Array | None:
        """The values that are to be found nowhere else; None where they are no secret by themselves."""
        ...


class _Whole:
    """Of a policy that hides the whole value, which it is never longer than."""

    @property
    def longest(self) -> int | None:
        return None

    def personal(self, subject: Subject, values: pa.Array) -> pa.Array | None:
        return values


@dataclass(frozen=True)
class Keep(_Whole):
    """The column is stored as it is, on purpose."""

    name: ClassVar[str] = "keep"
    reversible: ClassVar[bool] = True
    keyed: ClassVar[bool] = False
    takes: ClassVar[frozenset[str]] = ALL

    def apply(self, subject: Subject, values: pa.Array) -> tuple[pa.Field, pa.Array] | None:
        return subject.field, values


@dataclass(frozen=True)
class Tokenize(_Whole):
    """Each value becomes its token; with the tokenization key it comes back."""

    name: ClassVar[str] = "tokenize"
    reversible: ClassVar[bool] = True
    keyed: ClassVar[bool] = True
    takes: ClassVar[frozenset[str]] = ALL - {"boolean"}

    def apply(self, subject: Subject, values: pa.Array) -> tuple[pa.Field, pa.Array] | None:
        key = subject.required_key()
        return in_form(subject.field, TOKEN), _each_distinct(subject, values, key.tokens, OVERHEAD)


@dataclass(frozen=True)
class Hash(_Whole):
    """Each value becomes 32 hex digits: equal values stay equal, and stay unknown."""

    name: ClassVar[str] = "hash"
    reversible: ClassVar[bool] = False
    keyed: ClassVar[bool] = True
    takes: ClassVar[frozenset[str]] = ALL - {"boolean"}

    @property
    def longest(self) -> int | None:
        return 32

    def apply(self, subject: Subject, values: pa.Array) -> tuple[pa.Field, pa.Array] | None:
        key = subject.required_key()
        return in_form(subject.field, UTF8), _each_distinct(subject, values, key.hashes, 32)


@dataclass(frozen=True)
class Pseudonym(_Whole):
    """Each value becomes an e-mail address or a phone number that is nobody's; equal values become equal ones."""

    like: str

    name: ClassVar[str] = "pseudonym"
    reversible: ClassVar[bool] = False
    keyed: ClassVar[bool] = True
    takes: ClassVar[frozenset[str]] = TEXTS

    @property
    def longest(self) -> int | None:
        return LONGEST[self.like]

    def apply(self, subject: Subject, values: pa.Array) -> tuple[pa.Field, pa.Array] | None:
        key, shape = subject.required_key(), SHAPES[self.like]

        def named(plaintexts: pa.Array) -> pa.Array:
            return strings([shape(key.digest(plaintext), plaintext) for plaintext in plaintexts.to_pylist()])

        return in_form(subject.field, UTF8), _each_distinct(subject, values, named, LONGEST[self.like])


@dataclass(frozen=True)
class Mask(_Whole):
    """Letters, digits and all that is not ASCII become ``*``, but for the last ``keep_last`` and no more than half."""

    keep_last: int

    name: ClassVar[str] = "mask"
    reversible: ClassVar[bool] = False
    keyed: ClassVar[bool] = False
    takes: ClassVar[frozenset[str]] = TEXTS

    def apply(self, subject: Subject, values: pa.Array) -> tuple[pa.Field, pa.Array] | None:
        return changed_column(subject, values, on_text(self._masked))

    def _masked(self, text: str) -> str:
        seen = len(_COVERED.findall(text))
        hidden = seen - min(self.keep_last, seen // 2)
        return _COVERED.sub("*", text, count=hidden) if hidden else text


@dataclass(frozen=True)
class Redact(_Whole):
    """Nothing is left: ``to``, or NULL, or the empty text where the column allows no NULL."""

    to: str | None = None

    name: ClassVar[str] = "redact"
    reversible: ClassVar[bool] = False
    keyed: ClassVar[bool] = False
    takes: ClassVar[frozenset[str]] = ALL

    @property
    def longest(self) -> int | None:
        return len(self.to or "")

    def apply(self, subject: Subject, values: pa.Array) -> tuple[pa.Field, pa.Array] | None:
        if subject.nullable and self.to is None:
            return in_form(subject.field, NULL), pa.nulls(len(values))
        return in_form(subject.field, UTF8), pa.repeat(pa.scalar(self.to or ""), len(values))


@dataclass(frozen=True)
class Drop(_Whole):
    """The column is not stored: a restore leaves NULL, or its default."""

    name: ClassVar[str] = "drop"
    reversible: ClassVar[bool] = False
    keyed: ClassVar[bool] = False
    takes: ClassVar[frozenset[str]] = ALL

    def apply(self, subject: Subject, values: pa.Array) -> tuple[pa.Field, pa.Array] | None:
        return None


def words_of(action: Action) -> str:
    """An action with its own settings: equal for equal ones, in every version."""
    settings = [field.name for field in fields(action) if field.compare]  # type: ignore[arg-type]  # all are dataclasses
    own = {name: getattr(action, name) for name in settings}
    given = [f"{name}={value!r}" for name, value in sorted(own.items()) if value is not None]
    return " ".join([action.name, *given])


def changed_column(
    subject: Subject, values: pa.Array, change: Callable[[bytes], bytes | None]
) -> tuple[pa.Field, pa.Array]:
    """The column with each distinct value's plaintext changed; raises PolicyMismatch."""
    try:
        form, made = changed(values, subject.form(), change, subject.nullable)
    except ValueError as error:
        raise PolicyMismatch("anonymize", subject.label, f"it holds {error}") from None
    return in_form(subject.field, form), made


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
