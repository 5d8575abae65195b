"""The zones of rows: which rows must go into an archive of their own, by where they belong."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

import polars as pl

from ..config.residency import BASE, Residency
from ..core.errors import InvalidSetting, ResidencyRefused
from ..format.forms import role_of

if TYPE_CHECKING:
    import pyarrow as pa

    from ..sources.port import Table


class Zones:
    """Tells the rows of a source apart; without zones in the configuration all are of one."""

    def __init__(self, residency: Residency) -> None:
        self._zones = residency.zones
        finest_first = list(reversed(residency.levels))
        self._levels = {level: dict(residency.zone_of(level)) for level in finest_first}

    def split(self, batch: pa.RecordBatch) -> Iterator[tuple[str, pa.RecordBatch]]:
        """The rows by zone, in their order: of each row the zone that names its finest place."""
        roles = {role_of(field).decode(): place for place, field in enumerate(batch.schema)}
        known = [(batch.column(roles[level]), codes) for level, codes in self._levels.items() if level in roles]
        if not known or not batch.num_rows:
            yield BASE, batch
            return
        found = pl.select(pl.coalesce(*(_zone_of(column, codes) for column, codes in known), pl.lit(BASE))).to_series()
        names = found.unique(maintain_order=True).to_list()
        if len(names) == 1:
            yield names[0], batch
            return
        for name in names:
            yield name, batch.filter((found == name).to_arrow())

    @property
    def levels(self) -> Iterable[str]:
        """The levels whose places zones name."""
        return self._levels.keys()

    def require_placed(self, tables: Iterable[Table], geography: Collection[str], placeless: Sequence[str]) -> None:
        """Every table says where its rows belong, or is named as one whose rows belong nowhere. ``geography``: titles
        of those that say so. Raises InvalidSetting."""
        for table in tables if self._zones else ():
            named = any(fnmatchcase(title, pattern) for title in table.titles for pattern in placeless)
            if not named and not set(table.titles) & set(geography):
                cause = "it does not say where its rows belong, and the configuration has zones"
                hint = "give its way in 'geography.tables', or name it in 'placeless'"
                raise InvalidSetting("save", table.title, cause, hint)

    def require_known(self, level_tables: Mapping[str, str], places: Mapping[str, Collection[str]]) -> None:
        """Every place that a zone names is one of the source's: a misspelt one would let its rows go anywhere.

        ``level_tables``: level > title of the table that lists its places; ``places``: level > codes that are there.
        Raises InvalidSetting.
        """
        for name, zone in self._zones.items():
            for level in self._levels:
                for code in zone.codes(level):
                    if code not in places[level]:
                        cause = f"the table '{level_tables[level]}' of the source has no {level} '{code}'"
                        setting = f"residency.zones.{name}.{level}"
                        raise InvalidSetting("use", setting, cause, "name the codes that are there")

    def require_listed(self, table: str, level: str, codes: Collection[str], listed: Collection[str]) -> None:
        """The places of a table's rows are listed: ``il`` may be Israel to who wrote it. Raises ResidencyRefused, which
        names no place."""
        if strange := set(codes) - set(listed) - {""}:
            cause = f"rows of {len(strange)} {level} codes that the source does not list: they may be of any zone"
            raise ResidencyRefused("save", table, cause, f"correct them, as the table of the level '{level}' has them")


def _zone_of(column: pa.Array, codes: Mapping[str, str]) -> pl.Series:
    text: Any = pl.Series(pl.from_arrow(column)).cast(pl.String)
    return pl.Series(text.replace_strict(codes, default=None, return_dtype=pl.String))
