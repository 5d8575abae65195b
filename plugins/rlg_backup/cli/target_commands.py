"""replicate."""

from __future__ import annotations

from pathlib import Path

import click

from ..core.errors import FAILED
from ..core.model import Verdict
from .commands import json_option, wire
from .output import Output, progress_bar


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


COMMANDS = (replicate,)
