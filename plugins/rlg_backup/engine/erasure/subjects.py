"""Who is to be forgotten, found among the keys of rows and paths by their hashes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from ...core.errors import KeyUnavailable
from ...format.erasure import hashed, normalised
from ...format.forms import TYPES, to_python

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

    from ...catalog import Ledger
    from ...format.keys import ErasureKey
    from ..wiring import Wiring


class Subjects:
    """Those of one kind, by the hashes under each key that requests were recorded with."""

    def __init__(self, kind: str, hashes: Iterable[tuple[ErasureKey, frozenset[str]]]) -> None:
        self.kind = kind
        self._hashes = list(hashes)

    @classmethod
    def of(cls, wiring: Wiring, ledger: Ledger, kind: str) -> Subjects:
        """Raises KeyUnavailable for requests under a key that is not here."""
        by_key: dict[str, set[str]] = {}
        for one in ledger.entries:
            if one.entry.kind == kind:
                by_key.setdefault(one.entry.key, set()).add(one.entry.subject)
        keys = {key.key_id: key for key in wiring.erasure_keys} if by_key else {}
        if missing := sorted(by_key.keys() - keys.keys()):
            cause = f"requests of the kind '{kind}' are hashed under the erasure key {missing[0]}, which is not here"
            raise KeyUnavailable("replay", "erasure ledger", cause, "name it under erasure.old_keys")
        return cls(kind, [(keys[name], frozenset(hashes)) for name, hashes in by_key.items()])

    def __len__(self) -> int:
        return sum(len(hashes) for _, hashes in self._hashes)

    def has(self, text: str) -> bool:
        """Whether the subject with this key is among them."""
        plain = normalised(text)
        return any(hashed(key, self.kind, plain) in hashes for key, hashes in self._hashes)


def texts_of(column: pa.Array) -> pl.Series:
    """The values of a column as texts, each value one, however it is stored: a whole number its decimal digits."""
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
