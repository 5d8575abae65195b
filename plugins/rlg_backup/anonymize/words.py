"""Text as runs of words, and runs as numbers: how an original value is found again inside other text.

A word is a maximal run of letters and digits, so that ``j.doe@example.org`` is the run j, doe, example,
org wherever it stands: in a sentence, in JSON, in a file name, quoted or not. A run's number is made of
the keyed hashes of its words; without the key it tells nothing of them. Case and Unicode compatibility forms
(NFKC) do not count. Scripts without spaces between words give long words.
"""

from __future__ import annotations

import hashlib
import html
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

import numpy as np
import polars as pl
import polars_hash as plh
import pyarrow as pa

from .shapes import HARMLESS

LONGEST = 8  # words in a run; longer values are not searched for
Array = np.ndarray[Any, np.dtype[Any]]

_WORD = r"[\p{L}\p{M}\p{N}]+"
_NOT_ASCII = r"[^\x00-\x7f]"
_FOLDED = {"ς": "σ", "ß": "ss"}  # what lower case leaves apart, and case folding does not
MULTIPLIER = np.uint64(6364136223846793005)  # odd: multiplying by it loses nothing modulo 2^64

_ESCAPED = r"\\|%[0-9A-Fa-f]{2}|&#?\w+;"  # cells that may say more once unwrapped
_ESCAPE = re.compile(r"\\(?:u([0-9A-Fa-f]{4})|([nrtbf])|(.))", re.DOTALL)
_PHONE = r"\d(?:[ ().\-]{0,2}\d){8,16}"


def words(values: pl.Series, key: bytes) -> pl.DataFrame:
    """The words of texts (no NULL among them), in order, one a row.

    Columns: ``cell`` (index of the text), ``hash`` (uint64), ``size`` (characters), ``letters`` and
    ``digits`` (whether it is nothing but).
    """
    folded = values.str.to_lowercase()
    if values.str.contains(_NOT_ASCII).any():
        folded = folded.str.normalize("NFKC").str.to_lowercase().str.replace_many(_FOLDED)
    cells = pl.int_range(len(values), dtype=pl.UInt32, eager=True)
    runs = pl.DataFrame({"cell": cells, "word": folded.str.extract_all(_WORD)}).explode("word").drop_nulls()
    encoded = runs["word"].to_arrow().dictionary_encode()
    facts = _facts(pl.Series("word", pl.from_arrow(encoded.dictionary), dtype=pl.String), key)
    indices = pl.Series("index", pl.from_arrow(encoded.indices.cast(pa.uint32())))
    return runs.select("cell").hstack(facts[indices])


def runs_of(hashes: Array, longest: int) -> Iterator[tuple[int, Array]]:
    """For each length up to ``longest`` the numbers of the runs of so many words that begin at each word (fewer than
    the words by the length less one), whether or not the words are of one text."""
    runs = hashes
    for length in range(1, longest + 1):
        if length > 1:
            runs = runs[: max(0, len(hashes) - length + 1)] * MULTIPLIER + hashes[length - 1 :]
        yield length, runs


def unwrapped(values: pl.Series) -> pl.Series:
    """Texts with what their escapes hide added at the end: JSON's backslashes, URL and HTML escapes, and
    phone numbers without their separators. The text itself stays, so nothing is lost by a wrong guess."""
    escaped = values.str.contains(_ESCAPED)
    if escaped.any():
        pairs = zip(values.to_list(), escaped.to_list(), strict=True)
        values = pl.Series(values.name, [_with_plain(text) if may else text for text, may in pairs], dtype=pl.String)
    phones = values.str.replace_all(HARMLESS, "~").str.extract_all(_PHONE).list.join("\n")
    return values + "\n" + compact_phones(phones)


def compact_phones(phones: pl.Series) -> pl.Series:
    """The digits of phone numbers (one or more in a text, a line each) without an international 00."""
    return phones.str.replace_all(r"[^\d\n]", "").str.replace_all(r"(?m)^00", "")


def _with_plain(text: str) -> str:
    plain = text
    if "\\" in plain:
        plain = _ESCAPE.sub(lambda escape: _unescaped(*escape.groups()), plain)
    if "%" in plain:
        plain = unquote(plain)
    if "&" in plain:
        plain = html.unescape(plain)
    return text if plain == text else f"{text}\n{plain}"


def _unescaped(code: str | None, blank: str | None, other: str | None) -> str:
    if code is not None:
        character = chr(int(code, 16))
        return " " if "\ud800" <= character <= "\udfff" else character
    return " " if blank is not None else other or ""


def _facts(distinct: pl.Series, key: bytes) -> pl.DataFrame:
    """What ``words`` says of each distinct word. The hash is the start of SHA-256(a key of 64 hex digits, word)."""
    own = hashlib.blake2b(digest_size=32, key=key, person=b"rlg words").hexdigest()
    keyed = pl.DataFrame({"word": own + distinct}).select(plh.col("word").chash.sha2_256())["word"]
    return pl.DataFrame(
        {
            "hash": keyed.str.slice(0, 16).str.to_integer(base=16, dtype=pl.UInt64),
            "size": distinct.str.len_chars(),
            "letters": ~distinct.str.contains(r"[^\p{L}]"),
            "digits": ~distinct.str.contains(r"\P{Nd}"),
        },
        schema={"hash": pl.UInt64, "size": pl.UInt32, "letters": pl.Boolean, "digits": pl.Boolean},
    )
