"""privacy scan."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
import yaml

from .commands import json_option, wire
from .output import Output, progress_bar

if TYPE_CHECKING:
    from ..engine.privacy_scan import Scanned, ScannedColumn


@click.group()
def privacy() -> None:
    """See which columns hold personal data."""


@privacy.command("scan")
@click.argument("source")
@json_option
@click.pass_obj
def scan(config: Path, source: str, as_json: bool) -> int:
    """Propose policies for a source, as YAML to paste into the configuration.

    Each column is classified by its name and by a sample of its rows; of a tree the names are looked at. The confidence
    (0 to 1) is the estimated chance that a column is personal. No value is shown, and nothing is changed.

    \b
    Examples:
      rlg-backup privacy scan data
      rlg-backup privacy scan data > policies.yaml
    """
    from ..engine.privacy_scan import scan as run

    out = Output(as_json)
    with progress_bar(not as_json) as progress:
        found = run(wire(config, progress), source)
    out.data(found.to_json())
    if found.names:
        _tell_names(out, found)
    else:
        _tell_columns(out, found)
    return 0


def _tell_names(out: Output, found: Scanned) -> None:
    out.say(f"# {found.source}: {found.names} names were looked at", "dim")
    for kind, names in found.kinds:
        out.say(f"# {kind}: in {names} names, which are saved as they are: rename them, or exclude them", "yellow")
    if not found.kinds:
        out.say("# none looks like personal data", "green")


def _tell_columns(out: Output, found: Scanned) -> None:
    """YAML, its remarks as comments: what is printed can be pasted whole."""
    decided = sum(one.policy is not None for one in found.columns)
    counts = f"{len(found.columns)} columns of {found.tables} tables, {decided} of them decided"
    out.say(f"# {found.source}: {counts}", "dim")
    if not found.proposals:
        out.say("# no other column looks personal", "green")
        return
    out.say("policies:")
    for one in found.proposals:
        out.say(f"  {_key(one.pattern)}: {one.proposed}  # {_why(one)}", "yellow")


def _why(one: ScannedColumn) -> str:
    values = f"in {one.found} of {one.sampled}" if one.found else f"by its name, {one.sampled}"
    return f"{one.kind or 'by its class'}, confidence {one.confidence:.2f}, {values} sampled values"


def _key(name: str) -> str:
    """A name as a key of YAML: quoted where it has to be, for a database's names can hold anything."""
    return yaml.safe_dump({name: None}, width=1_000_000).strip().removesuffix(": null")
