"""Which rows belong to which zone, by their finest place."""

from __future__ import annotations

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from rlg_backup.config.residency import Residency
from rlg_backup.core.model import LEVELS
from rlg_backup.engine.zones import Zones

CODES = st.sampled_from([None, "a", "b", "c", "d"])
ROWS = st.lists(st.tuples(CODES, CODES, CODES, CODES), max_size=40)


@st.composite
def residencies(draw: st.DrawFn) -> Residency:
    """Each place of each level in one of two zones, or in none."""
    owners = st.sampled_from([None, "one", "two"])
    zones: dict[str, dict[str, list[str]]] = {name: {"jurisdictions": ["X"]} for name in ("one", "two")}
    for level in LEVELS:
        for code in "abcd":
            if (owner := draw(owners)) is not None:
                zones[owner].setdefault(level, []).append(code)
    return Residency.model_validate({"jurisdictions": {"X": []}, "zones": zones})


def batch_of(rows: list[tuple[str | None, ...]], levels: list[str]) -> pa.RecordBatch:
    fields = [pa.field("number", pa.int64())]
    fields += [pa.field(level, pa.string(), metadata={b"rlg.role": level.encode()}) for level in levels]
    places = [pa.array([row[LEVELS.index(level)] for row in rows], pa.string()) for level in levels]
    return pa.RecordBatch.from_arrays([pa.array(range(len(rows)), pa.int64()), *places], schema=pa.schema(fields))


@settings(deadline=None)  # the first one imports
@given(residencies(), ROWS, st.sets(st.sampled_from(LEVELS)))
def test_each_row_is_once_in_the_zone_that_names_its_finest_place(residency, rows, told):
    levels = [level for level in LEVELS if level in told]
    found = {}
    for zone, part in Zones(residency).split(batch_of(rows, levels)):
        assert zone not in found
        found[zone] = part.column(0).to_pylist()
    expected: dict[str, list[int]] = {}
    for number, row in enumerate(rows):
        owner = "default"
        for level in levels:  # coarsest first: the last that names it is the finest
            owner = residency.zone_of(level).get(row[LEVELS.index(level)], owner)
        expected.setdefault(owner, []).append(number)
    assert {zone: numbers for zone, numbers in found.items() if numbers} == expected
