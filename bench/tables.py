"""The tables that a measurement of PostgreSQL ends in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from rich.console import Console
from rich.table import Table

from bench.contenders import CONTENDERS, PIPELINE, PLAIN, POLICIES
from bench.measuring import Measured, Measurement
from bench.processes import MB

_HEADINGS: Final = (
    "WALL s",
    "RATIO",
    "CPU s",
    "SERVER s",
    "RATIO",
    "MEMORY MB",
    "STORED MB",
    "RATIO",
    "IMPORTS s",
    "OTHERS",
)


def show(console: Console, measurement: Measurement) -> None:
    """Every median, as it is and in proportion to the pipeline's; then where our own time goes."""
    for verb in CONTENDERS:
        _show_medians(console, verb, measurement.medians(verb))
    _show_steps(console, measurement)
    stored = {one.name: one.stored for one in measurement.medians("backup")}
    console.print(f"tokens (stored with policies less without): {(stored[POLICIES] - stored[PLAIN]) / MB:,.1f} MB")
    for contender in CONTENDERS["backup"]:
        if contender.missing:
            console.print(f"{contender.name}: not installed")


def _show_medians(console: Console, verb: str, medians: Sequence[Measured]) -> None:
    pipeline = next((one for one in medians if one.name == PIPELINE), None)
    table = Table(title=verb, header_style="bold", caption="RATIO: to the pipeline; OTHERS: processors busy elsewhere")
    table.add_column("")
    for heading in _HEADINGS:
        table.add_column(heading, justify="right")
    for one in medians:
        table.add_row(
            one.name,
            f"{one.wall:.1f}",
            _ratio(one.wall, pipeline.wall if pipeline else 0),
            f"{one.cpu:.1f}",
            f"{one.server:.1f}",
            _ratio(one.cpu + one.server, pipeline.cpu + pipeline.server if pipeline else 0),
            f"{one.memory / MB:,.0f}",
            f"{one.stored / MB:,.1f}" if one.stored else "",
            _ratio(one.stored, pipeline.stored if pipeline else 0) if one.stored else "",
            f"{one.imports:.1f}" if one.imports else "",
            f"{one.others:.1f}",
        )
    console.print(table)


def _show_steps(console: Console, measurement: Measurement) -> None:
    for verb in CONTENDERS:
        for one in measurement.medians(verb):
            if one.steps:
                steps = ", ".join(f"{step} {seconds:.1f}" for step, seconds in one.steps.items())
                console.print(f"{verb} {one.name}, seconds with imports: {steps}")


def _ratio(value: float, of: float) -> str:
    return f"{value / of:.2f}" if of else ""
