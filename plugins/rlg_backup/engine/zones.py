"""The zones of rows: which rows must go into an archive of their own, by where they belong."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import polars as pl

from ..config.residency import BASE, Residency
from ..core.errors import InvalidSetting
from ..format.forms import role_of

if TYPE_CHECKING:
    import pyarrow as pa


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

    def require_known(self, level_tables: Mapping[str, str], places: Mapping[str, Iterable[str]]) -> None:
        """Every place that a zone names is one of the source's: a misspelt one would let its rows go anywhere.

        ``level_tables``: level > title of the table that lists its places; ``places``: level > codes that are there.
        Raises InvalidSetting.
        """
        if not level_tables:  # of such a source no row has a place
            return
        for name, zone in self._zones.items():
            for level in self._levels:
                for code in zone.codes(level):
                    if code not in places.get(level, ()):
                        cause = f"the table '{level_tables[level]}' of the source has no {level} '{code}'"
                        setting = f"residency.zones.{name}.{level}"
                        raise InvalidSetting("use", setting, cause, "name the codes that are there")


def _zone_of(column: pa.Array, codes: Mapping[str, str]) -> pl.Series:
    text: Any = pl.Series(pl.from_arrow(column)).cast(pl.String)
    return pl.Series(text.replace_strict(codes, default=None, return_dtype=pl.String))
