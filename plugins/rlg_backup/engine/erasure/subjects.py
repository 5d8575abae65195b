"""Who is to be forgotten, found among the keys of rows and paths by their hashes."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from ...core.errors import KeyUnavailable
from ...format.erasure import hashed, spellings_of
from ...format.forms import TYPES, to_python
from .aside import HINT, numbers_told

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

    from ...catalog import Ledger
    from ...format.keys import ErasureKey
    from ..wiring import Wiring


class Subjects:
    """Those of one kind, by the hashes under each key that requests were recorded with."""

    def __init__(
        self, kind: str, hashes: Iterable[tuple[ErasureKey, frozenset[str]]], *, caseless: bool = False
    ) -> None:
        self.kind, self.caseless = kind, caseless
        self._hashes = list(hashes)
        self.found: set[str] = set()  # the hashes of those that had something here
        self.asked: dict[str, tuple[int, datetime]] = {}  # hash > number and time of the request

    @classmethod
    def of(cls, wiring: Wiring, ledger: Ledger, kind: str) -> Subjects:
        """Raises KeyUnavailable for requests under a key that is not here."""
        by_key: dict[str, set[str]] = {}
        for one in ledger.entries:
            if one.entry.kind == kind:
                by_key.setdefault(one.entry.key, set()).add(one.entry.subject)
        keys = {key.key_id: key for key in wiring.erasure_keys} if by_key else {}
        if missing := sorted(by_key.keys() - keys.keys()):
            numbers = [one.entry.sequence for one in ledger.entries if one.entry.key == missing[0]]
            cause = f"requests of the kind '{kind}' are hashed under the erasure key {missing[0]}, which is not here"
            hint = f"name it under erasure.old_keys; {HINT.format(numbers_told(numbers))}"
            raise KeyUnavailable("replay", "erasure ledger", cause, hint)
        found = [(keys[name], frozenset(hashes)) for name, hashes in by_key.items()]
        made = cls(kind, found, caseless=is_caseless_kind(wiring, kind))
        mine = [one.entry for one in ledger.entries if one.entry.kind == kind]
        made.asked = {one.subject: (one.sequence, one.requested_at) for one in mine}
        return made

    def __len__(self) -> int:
        return sum(len(hashes) for _, hashes in self._hashes)

    def has(self, text: str) -> bool:
        """Whether the subject with this key is among them; where case does not count, also as it is written: requests
        may be from before that was said."""
        plain = {*spellings_of(text), *(spellings_of(text.lower()) if self.caseless else ())}
        own = ((hashed(key, self.kind, one), hashes) for key, hashes in self._hashes for one in plain)
        found = {one for one, hashes in own if one in hashes}
        self.found |= found
        return bool(found)

    def late(self, at: datetime) -> int:
        """How many had something here that asked before ``at``."""
        return sum(self._is_before(one, at) for one in self.found if one in self.asked)

    def unfound(self, at: datetime) -> list[int]:
        """The numbers of requests that were not made before ``at`` and had nothing here."""
        left = ((one, number) for one, (number, _) in self.asked.items() if one not in self.found)
        return [number for one, number in left if not self._is_before(one, at)]

    def _is_before(self, one: str, at: datetime) -> bool:
        return self.asked[one][1] < at - timedelta(seconds=1)  # their times are exact to a second


def spelled(wiring: Wiring, kind: str, text: str) -> str:
    """A subject's key as it is hashed: in small letters where the configuration says that it is an e-mail address."""
    return text.lower() if is_caseless_kind(wiring, kind) else text


def is_caseless_kind(wiring: Wiring, kind: str) -> bool:
    """Whether in the keys of a kind case does not count."""
    return wiring.settings.erasure.normalise.get(kind) == "email"


def texts_of(column: pa.Array, declared: str = "") -> pl.Series:
    """The values of a column as texts, each value one, however it is stored: a whole number its decimal digits. What
    the ``declared`` type holds for equal has one text: digits of a fraction, blanks behind a text, its case."""
    texts = _texts(column)
    if is_caseless(declared):
        return texts.str.to_lowercase()
    if declared.startswith("numeric"):
        return texts.str.replace(r"^(-?\d+\.\d*?)0+$", "$1").str.strip_suffix(".")
    return texts.str.strip_chars_end(" ") if re.fullmatch(r"character(\(\d+\))?", declared) else texts


def is_caseless(declared: str) -> bool:
    """Whether a type of PostgreSQL holds texts for equal that differ in case alone."""
    return declared.rpartition(".")[2] == "citext"


def _texts(column: pa.Array) -> pl.Series:
    import polars as pl

    if column.type in (TYPES["int64"], TYPES["utf8"]):
        return pl.Series(column).cast(pl.String)
    values = to_python(column) if column.type == TYPES["variant"] else column.to_pylist()
    return pl.Series([_text(value) for value in values], dtype=pl.String)


def _text(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bytes | bytearray):
        return value.hex()
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
