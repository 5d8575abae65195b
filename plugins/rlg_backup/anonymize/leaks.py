"""The proof that the policies did their work: a search of the stored rows for personal data.

Two questions are asked of each text, blob, JSON or variant column, and of file names:

- Does it hold an original value of a column under a policy, as the cell or within its text? Each such row is a
  **hit**, unless the column is allowed to (the setting ``personal_text_allowed``): then it is a warning. What a policy
  left for ever cannot be covered, only refused: there a hit takes ``share`` of the values, so that nobody who calls
  himself what is left of another stops every run. Where that is by design what many share (``generalize``), or the one
  text of the configuration (``redact``), nobody's value is looked for.
- Does it look like personal data that no policy covers? In a column without a policy, or of one whose policy covers
  parts (``scrub``, ``paths``, ``elements``) in the rest, where at least
  ``share`` (2 %) of the non-NULL values hold an e-mail address, a phone number, an IP address, a payment
  card or a bank account, the kind is **undeclared**, unless the column is allowed to; below that it is a warning,
  for an address now and then is what free text has. Card numbers count only in columns where half of
  what is shaped like one passes Luhn's check: of plain numbers one in ten does.

A run goes on without hits and undeclared kinds only. Results hold names and counts, never a value.
Not searched: numbers, compressed or encrypted blobs, text in UTF-16 or base64, pictures. In blobs that are not UTF-8
original values are searched for, shapes are not.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl
import pyarrow as pa

from .actions import Redact
from .cells import Cells
from .forms import ROLE, SPANS, TOKEN, form_of
from .generalizing import Generalize
from .originals import Originals
from .shapes import CANDIDATE, CARD, CARD_SHAPED, HARMLESS, kinds_in
from .spans import without_tokens
from .text import counted, pieces_of, text_of
from .tokens import OVERHEAD, VERSION

UNREADABLE = "\ufffd"  # what text_of puts for bytes that are not UTF-8
ORIGINAL, NO_TOKEN = "original", "not-a-token"
_CLOSELY = 2000  # texts of one piece that look personal at first sight and are looked at twice, evenly chosen


@dataclass(frozen=True)
class Seen:
    """What one batch showed of one column: ``looked`` non-NULL values; rows by (kind, origin), where
    origin is the ``table.column`` an original value belongs to and empty for the other kinds."""

    column: str
    looked: int
    rows: Mapping[tuple[str, str], int]


@dataclass(frozen=True)
class Hit:
    """``rows`` of ``looked`` values of ``column`` (``table.column``) hold data of that kind."""

    column: str
    kind: str
    rows: int
    looked: int
    origin: str = ""

    @property
    def what(self) -> str:
        """What was found in how many values."""
        what = f"original values of {self.origin}" if self.kind == ORIGINAL else self.kind
        return f"{what} in {self.rows} of {self.looked}"

    def __str__(self) -> str:
        return f"{self.column}: {self.what}"


def scan(
    table: str,
    batch: pa.RecordBatch,
    originals: Originals,
    declared: Mapping[str, str],
    formed: Collection[str] = (),
) -> list[Seen]:
    """Looks at a batch of stored rows. ``declared``: the table's columns under a policy other than keep, with its name;
    ``formed``: those whose types give every value a form of its own, of which the shapes are not asked.

    In those a token column must hold nothing but tokens, and the others no original values; the shapes are asked for
    where only parts are tokens, of the rest. Fields with a role are none of the table's: codes of regions and
    countries. One result for each column that holds text, whether or not anything was found in it.
    """
    seen = []
    for column, values in zip(batch.schema, batch.columns, strict=True):
        label, policy = f"{table}.{column.name}", declared.get(column.name)
        if ROLE in (column.metadata or {}) or policy == Generalize.name:
            continue
        if form_of(column) == TOKEN:
            seen.append(_tokens_seen(label, values))
        elif (text := text_of(values)) is not None and not (policy == Redact.name and text.n_unique() == 1):
            in_part = form_of(column) == SPANS
            text = without_tokens(text) if in_part else text
            shapes = in_part or (policy is None and column.name not in formed)
            seen.append(_text_seen(label, text, originals, shapes=shapes))
    return seen


def scan_names(label: str, paths: Sequence[bytes], originals: Originals) -> Seen:
    """The same for the relative paths of a tree's entries; ``label`` names them in the finding."""
    texts = pl.Series("value", [path.decode("utf-8", "backslashreplace") for path in paths], dtype=pl.String)
    return _text_seen(label, texts, originals, shapes=True)


def kinds_by_shape(texts: pl.Series) -> dict[str, int]:
    """Kind of personal data > how many of the texts (no NULL among them) have its shape."""
    rows: Counter[tuple[str, str]] = Counter()
    for piece in pieces_of(counted(texts)):
        rows.update(_shapes(piece, Cells(piece["value"])))
    if 2 * rows[CARD, ""] < rows[CARD_SHAPED, ""]:
        del rows[CARD, ""]
    return {kind: number for (kind, _), number in rows.items() if kind != CARD_SHAPED}


def scan_name(path: bytes, originals: Originals) -> frozenset[str]:
    """The kinds of personal data in one path (``original``, ``email``, ``phone``, ``ip``, ``card``)."""
    seen = scan_names("path", [path], originals)
    return frozenset(kind for kind, _ in seen.rows if kind != CARD_SHAPED)


@dataclass
class Finding:
    """What all batches showed together, judged by the rule at the top of this module.

    ``share`` is the part of a column's values from which a kind is undeclared; ``allowed`` are the
    ``table.column`` whose personal text the configuration accepts, ``for_ever`` those whose policy no key undoes.
    """

    share: float = 0.02
    allowed: frozenset[str] = frozenset()
    for_ever: frozenset[str] = frozenset()
    _looked: Counter[str] = field(default_factory=Counter)
    _rows: Counter[tuple[str, str, str]] = field(default_factory=Counter)

    def add(self, seen: Seen) -> None:
        self._looked[seen.column] += seen.looked
        for (kind, origin), rows in seen.rows.items():
            self._rows[seen.column, kind, origin] += rows

    @property
    def hits(self) -> list[Hit]:
        """Original values, or untokenized ones, where none may be: the run must stop."""
        return [hit for hit in self._all() if self._certain(hit) and not self._accepted(hit)]

    @property
    def undeclared(self) -> list[Hit]:
        """Kinds of personal data in columns that no policy covers: the run must stop."""
        return [hit for hit in self._all() if self._many(hit) and not self._accepted(hit)]

    @property
    def warnings(self) -> list[Hit]:
        """What is accepted, or too rare to be a column of that kind."""
        return [h for h in self._all() if self._accepted(h) or not (self._certain(h) or self._many(h))]

    @property
    def looked(self) -> int:
        """How many values were looked at, in all columns."""
        return self._looked.total()

    def _all(self) -> Iterator[Hit]:
        for (column, kind, origin), rows in sorted(self._rows.items()):
            by_chance = kind == CARD and 2 * rows < self._rows[column, CARD_SHAPED, ""]
            if kind != CARD_SHAPED and not by_chance:
                yield Hit(column, kind, rows, self._looked[column], origin)

    def _accepted(self, hit: Hit) -> bool:
        return hit.column in self.allowed and hit.kind != NO_TOKEN

    def _certain(self, hit: Hit) -> bool:
        if hit.kind == ORIGINAL and hit.column in self.for_ever:
            return self._often(hit)
        return hit.kind in (ORIGINAL, NO_TOKEN)

    def _many(self, hit: Hit) -> bool:
        return hit.kind not in (ORIGINAL, NO_TOKEN) and self._often(hit)

    def _often(self, hit: Hit) -> bool:
        return hit.rows >= self.share * hit.looked


def _tokens_seen(label: str, values: pa.Array) -> Seen:
    # Polars: for a scalar pyarrow would load pandas, which takes 45 MB.
    present = pl.Series("token", pl.from_arrow(values.drop_null()), dtype=pl.Binary)
    tokens = present.bin.starts_with(bytes([VERSION])) & (present.bin.size() > OVERHEAD)
    wrong = len(present) - int(tokens.sum())
    return Seen(label, len(present), {(NO_TOKEN, ""): wrong} if wrong else {})


def _text_seen(label: str, text: pl.Series, originals: Originals, *, shapes: bool) -> Seen:
    rows: Counter[tuple[str, str]] = Counter()
    for piece in pieces_of(counted(text)):
        weights, cells = piece["rows"], Cells(piece["value"])
        found = originals.find(cells)
        if len(found):  # nearly never: the next line costs as much as the search
            for origin, those in found.group_by("origin").agg("cell").iter_rows():
                rows[ORIGINAL, origin] += int(weights.gather(those).sum())
        if shapes:
            rows.update(_shapes(piece, cells))
    return Seen(label, len(text), dict(rows))


def _shapes(piece: pl.DataFrame, cells: Cells) -> Counter[tuple[str, str]]:
    """``cells``: of the piece's texts."""
    possible = cells.numbers | cells.addresses()
    if not possible.any():
        return Counter()
    piece = piece.filter(pl.Series(possible))
    plain = piece.with_columns(pl.col("value").str.replace_all(HARMLESS, "~"))
    candidates = plain.filter(pl.col("value").str.contains(CANDIDATE))
    looked_at = candidates.gather_every(-(-len(candidates) // _CLOSELY)) if len(candidates) > _CLOSELY else candidates
    rows: Counter[tuple[str, str]] = Counter()
    for text, weight in looked_at.select("value", "rows").iter_rows():
        if UNREADABLE in text:  # a picture, a vector: random bytes have every shape sooner or later
            continue
        for kind in kinds_in(text):
            rows[kind, ""] += weight
    if looked_at is candidates:
        return rows
    each = candidates["rows"].to_numpy().sum() / looked_at["rows"].to_numpy().sum()  # stands for so many
    return Counter({kind: round(number * each) for kind, number in rows.items()})
