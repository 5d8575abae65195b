"""replicate, thaw."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

import click

from ..core.errors import FAILED
from ..core.model import Verdict
from .commands import json_option, source_of, source_option, target_option, wire
from .output import Output, progress_bar

_EVERY: Final = 600  # seconds


@click.command()
@click.argument("sources", nargs=-1, metavar="[SOURCE]...")
@click.option("--all", "whole", is_flag=True, help="Every backup, not only the newest full one and what came after it.")
@json_option
@click.pass_obj
def replicate(config: Path, sources: tuple[str, ...], whole: bool, as_json: bool) -> int:
    """Copy to each target what it was down for, or, being new, never had; parents first, every byte checked.

    The DAG rlg_replicate does this each night before the backups. A backup that is older than what a target got since
    stays where it is.

    \b
    Examples:
      rlg-backup replicate
      rlg-backup replicate data --all
    """
    from ..engine.replicate import replicate as run

    out, found = Output(as_json), []
    with progress_bar(not as_json) as progress:
        wiring = wire(config, progress)
        for source in sources or tuple(wiring.settings.sources):
            found += run(wiring, source, whole=whole)
    for one in found:
        if one.copied:
            out.verdict(Verdict.PASS, f"{one.source}  {one.target} got {', '.join(one.copied)}")
        for backup_id, reason in one.left.items():
            out.say(f"{one.source}, {backup_id} is not on '{one.target}': {reason}", "yellow")
        if one.error is not None:
            out.verdict(Verdict.FAIL, f"{one.source}  {one.target}: {one.error}")
    if not any(one.copied or one.left or one.error for one in found):
        out.say(f"every target has {'every backup' if whole else 'the newest full backup and what came after it'}")
    out.data([one.to_json() for one in found])
    wrong = [one.error for one in found if one.error is not None]
    return wrong[0].exit_code if wrong else FAILED if any(one.failed for one in found) else 0


@click.command()
@click.argument("which", metavar="ID", default="latest")
@source_option
@target_option
@click.option("--wait", is_flag=True, help="Look again every ten minutes until everything can be read.")
@json_option
@click.pass_obj
def thaw(config: Path, which: str, source: str | None, target: str | None, wait: bool, as_json: bool) -> int:
    """Ask that a backup which lies in an archive tier can be read, with all that it needs; it takes hours.

    Exits with 0 once it can be restored, with 3 before. The DAG rlg_restore does this by itself, and waits.

    Example: rlg-backup thaw 20260104T000000Z-1b2c3d4e --source data --wait
    """
    from ..engine.thawing import thaw as run

    out, wiring = Output(as_json), wire(config)
    name = source_of(wiring, source, which)
    while not (found := run(wiring, name, which, target=target)).done and wait:
        time.sleep(_EVERY)
    for backup_id, place in found.readable.items():
        out.say(f"{backup_id}: {f'readable on {place}' if place else 'asked for, not readable yet'}")
    out.data(found.to_json())
    return (Verdict.PASS if found.done else Verdict.COULD_NOT_VERIFY).exit_code


COMMANDS = (replicate, thaw)
