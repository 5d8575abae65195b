"""restore, drill."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import click

from ..core.model import Check, Fidelity
from ..engine.wiring import Wiring
from .commands import json_option, source_of, source_option, target_option, wire
from .output import Output, progress_bar

F = TypeVar("F", bound=Callable[..., int])


def aside_options(command: F) -> F:
    """``--without-request`` and its ``--reason``, as ``aside`` and ``reason``."""
    why = click.option("--reason", metavar="TEXT", help="Why: it stands in the result, the report and the log.")
    which = click.option(
        "--without-request",
        "aside",
        multiple=True,
        metavar="N[-M]",
        help="Set requests to erase aside that are nobody's, or whose key is lost; never a PASS then.",
    )
    return which(why(command))


@click.command()
@click.argument("which", metavar="[ID]", required=False)
@click.option("--as-of", metavar="TIME", help="The newest backup that is not after this time, in place of an ID.")
@click.option("--to", required=True, help="A new file, folder or database; see above.")
@source_option
@target_option
@click.option(
    "--schema",
    "schemas",
    multiple=True,
    metavar="OLD=NEW",
    help="Restore under this name into a PostgreSQL database that exists; others keep theirs.",
)
@click.option("--identity", "identities", multiple=True, help="file:PATH, env:NAME or exec:COMMAND, for this restore.")
@click.option(
    "--fidelity",
    type=click.Choice([fidelity.value for fidelity in Fidelity]),
    default=Fidelity.RECOVERABLE.value,
    show_default=True,
    help="masked: a copy for development, in which what a policy protects is masked.",
)
@click.option("--accept-masked", is_flag=True, help="Restore a backup that is masked for ever in some columns.")
@aside_options
@json_option
@click.pass_obj
def restore(
    config: Path,
    which: str | None,
    as_of: str | None,
    to: str,
    source: str | None,
    target: str | None,
    schemas: tuple[str, ...],
    identities: tuple[str, ...],
    fidelity: str,
    accept_masked: bool,
    aside: tuple[str, ...],
    reason: str | None,
    as_json: bool,
) -> int:
    """Restore a whole backup (ID, its beginning, a time, or latest) to a new place, and prove it equal.

    Without an ID the latest. What an incremental or differential one was made after is restored with it.

    The place is a path (of a SQLite database or a file tree), or a PostgreSQL database that does not exist or is
    empty: postgres:CONNECTION/DATABASE, where AIRFLOW_CONN_<CONNECTION> says which server, or
    postgresql://USER@HOST:PORT/DATABASE, with the password in PGPASSWORD or ~/.pgpass.

    \b
    Examples:
      rlg-backup restore latest --source files --to /restore/files
      rlg-backup restore latest --source data --to postgres:rlg_restore/data_again
      rlg-backup restore --as-of "2026-11-23 14:00" --source data --to postgres:rlg_restore/before_the_accident
      rlg-backup restore latest --source data --to postgres:rlg_data/rlg_data --schema public=of_yesterday
      rlg-backup restore latest --source data --to postgres:rlg_restore/for_development --fidelity masked
    """
    from ..engine.erasure import SetAside
    from ..engine.restore import restore as run

    out, without = Output(as_json), SetAside.parse(aside, reason)
    with progress_bar(not as_json) as progress:
        wiring = wire(config, progress)
        wanted = _wanted(wiring, which, as_of)
        name = source_of(wiring, source, wanted)
        renamed = dict(_renamed(schema) for schema in schemas)
        done = run(
            wiring,
            name,
            wanted,
            to,
            target=target,
            identities=identities,
            schemas=renamed,
            fidelity=Fidelity(fidelity),
            accept_masked=accept_masked,
            aside=without,
        )
    what = f"{done.rows:,} rows" if not done.entries else f"{done.entries:,} files and folders"
    how = "masked as configured" if fidelity == Fidelity.MASKED else "equal to the snapshot"
    how += ", without what was to be erased" if done.erased else ""
    out.verdict(done.verdict, f"{done.source}  {done.backup_id}  restored to {done.to}: {what}, {how}")
    for warning in done.warnings:
        out.say(f"  note: {warning}", "yellow")
    out.data(done.to_json())
    return done.verdict.exit_code


def _wanted(wiring: Wiring, which: str | None, as_of: str | None) -> str:
    """What a restore point is chosen by; the latest without a word."""
    from ..engine.restore_points import moment_of

    if as_of is None:
        return which or "latest"
    if which is not None:
        raise click.UsageError("name a backup, or a time with --as-of, not both")
    if moment_of(wiring, as_of) is None:
        raise click.BadParameter(f"'{as_of}' is no time, as 2026-11-23T14:00:00Z is", param_hint="--as-of")
    return as_of


def _renamed(schema: str) -> tuple[str, str]:
    old, _, new = schema.partition("=")
    if not (old and new):
        raise click.BadParameter(f"'{schema}' is not of the form OLD=NEW", param_hint="--schema")
    return old, new


@click.command()
@click.option("--source", "sources", multiple=True, help="A source; may be given several times.  [default: all]")
@aside_options
@json_option
@click.pass_obj
def drill(config: Path, sources: tuple[str, ...], aside: tuple[str, ...], reason: str | None, as_json: bool) -> int:
    """Restore the newest backups into scratch, run the expectation suites, write the report.

    Example: rlg-backup drill --source data
    """
    from ..engine import retention
    from ..engine.drill import drill as run
    from ..engine.erasure import SetAside

    out, without = Output(as_json), SetAside.parse(aside, reason)
    with progress_bar(not as_json) as progress:
        wiring = wire(config, progress)
        verdict, blocks, files = run(wiring, sources or tuple(wiring.settings.sources), without)
    out.verdict(verdict, "restore drill")
    for block in blocks:
        out.say(f"{block['source']}  {block.get('backup_id', 'no backup')}")
        out.checks([Check(**check) for check in block["checks"]])
    for name, error in retention.note_drills(wiring, blocks).items():
        out.say(f"  {name}: the drill is not on record on its target: {error}", "yellow")
    out.say(f"report: {files.html}")
    out.data({"verdict": verdict.value, "html": str(files.html), "json": str(files.json), "sources": blocks})
    return verdict.exit_code


COMMANDS = (restore, drill)
