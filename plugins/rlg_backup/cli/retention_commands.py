"""expire, hold."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..core.errors import FAILED
from ..core.model import Verdict
from .commands import json_option, source_of, wire
from .output import Output

if TYPE_CHECKING:
    from ..engine.retention import Outcome
    from ..engine.retention.holds import Noted
    from ..engine.wiring import Wiring

_REASON = 300  # characters


def _one_line(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    if value is not None and not (0 < len(value) <= _REASON and value.isprintable()):
        raise click.BadParameter(f"write one line of at most {_REASON} characters")
    return value


reason_option = click.option("--reason", callback=_one_line, help="Why; it is signed and kept on the target, in clear.")


@click.command()
@click.argument("sources", nargs=-1, metavar="[SOURCE]...")
@click.option("--target", help="On this target only.  [default: every one of the source]")
@click.option("--dry-run", is_flag=True, help="Decide and say why; write and remove nothing.")
@click.option("--undo", metavar="ID", help="Bring a marked backup back, and hold it (needs --reason).")
@reason_option
@json_option
@click.pass_obj
def expire(
    config: Path,
    sources: tuple[str, ...],
    target: str | None,
    dry_run: bool,
    undo: str | None,
    reason: str | None,
    as_json: bool,
) -> int:
    """Carry out the retention policy: mark what it does not keep, remove what was marked a grace time before.

    A marked backup is not offered as the latest any more, can be restored by its id, and comes back with --undo.

    \b
    Examples:
      rlg-backup expire --dry-run
      rlg-backup expire data --target offsite
      rlg-backup expire --undo 20261122T020000Z-7f3a9c2e --reason "the audit needs it"
    """
    from ..engine import retention

    out, wiring = Output(as_json), wire(config)
    if undo is not None:
        name = source_of(wiring, sources[0] if sources else None, undo)
        return _show_noted(out, retention.undo(wiring, name, undo, _needed(reason, "--undo")), "is back, and held as")
    outcomes = []
    for name in sources or tuple(wiring.settings.sources):
        for place in [target] if target else wiring.source_settings(name).targets:
            outcomes.append(retention.expire(wiring, name, place, dry_run=dry_run))
            _show(out, outcomes[-1])
    out.data([outcome.to_json() for outcome in outcomes])
    codes = [outcome.error.exit_code if outcome.error else outcome.verdict.exit_code for outcome in outcomes]
    return FAILED if FAILED in codes else max(codes)


def _show(out: Output, outcome: Outcome) -> None:
    done = "dry run, nothing was changed" if outcome.dry_run else f"{len(outcome.certificates)} removed"
    found = f"{len(outcome.decisions)} restore points, {done}" if outcome.error is None else str(outcome.error)
    out.verdict(outcome.verdict, f"{outcome.source} on {outcome.target}: {found}")
    rows = []
    for one in outcome.decisions:
        due = (
            f"{'was due' if one.action.value == 'goes' else 'goes after'} {one.due_at:%Y-%m-%d %H:%M}Z"
            if one.due_at
            else ""
        )
        kind, taken = one.fact.kind.value, f"{one.fact.taken_at:%Y-%m-%d %H:%M}Z"
        rows.append([one.fact.backup_id, kind, taken, one.action.value, due, "; ".join(one.reasons)])
    if rows:
        out.table(["ID", "KIND", "TAKEN", "", "", "WHY"], rows)
    for certificate in outcome.certificates:
        versions = sum(item.versions for item in certificate.objects)
        out.say(f"  removed {certificate.removal.backup_id}: {len(certificate.objects)} objects, {versions} versions")
    for name in outcome.abandoned:
        out.say(f"  {'would remove' if outcome.dry_run else 'removed'} {name}: a run that committed nothing")
    for warning in outcome.warnings:
        out.say(f"  {warning}", "yellow")
    for failure in outcome.failures:
        out.say(f"  {failure}", "red")


@click.command()
@click.argument("which", metavar="[ID]", required=False)
@click.option(
    "--subject",
    metavar="CASE",
    callback=_one_line,
    help="Hold every backup of the source, for this case (name no person).",
)
@click.option("--release", metavar="HOLD", help="End a hold, by its id or the beginning of it.")
@click.option("--source", help="The source; may be left out when there is one, or an id names it.")
@reason_option
@json_option
@click.pass_obj
def hold(
    config: Path,
    which: str | None,
    subject: str | None,
    release: str | None,
    source: str | None,
    reason: str | None,
    as_json: bool,
) -> int:
    """Keep a backup from expiring, whatever the policy says, until it is released. Without anything: list the holds.

    \b
    Examples:
      rlg-backup hold 20261122T020000Z-7f3a9c2e --reason "claim 2026/114"
      rlg-backup hold --subject claim-2026-114 --source data --reason "ordered by the court"
      rlg-backup hold --release 20261128T0914 --source data --reason "the claim was settled"
    """
    from ..engine import retention

    if sum(given is not None for given in (which, subject, release)) > 1:
        raise click.UsageError("name one of: a backup, --subject, --release")
    out, wiring = Output(as_json), wire(config)
    if which is None and subject is None and release is None:
        return _list(out, wiring, source)
    name = source_of(wiring, source, which or "latest")
    if release is not None:
        done = retention.release(wiring, name, release, _needed(reason, "--release"))
        return _show_noted(out, done, "is released from")
    done = retention.hold(wiring, name, backup=which, subject=subject, reason=_needed(reason, "a hold"))
    return _show_noted(out, done, "is held as")


def _list(out: Output, wiring: Wiring, source: str | None) -> int:
    from ..engine.retention import list_holds

    rows, data = [], []
    for name in [source] if source else wiring.settings.sources:
        for one, targets in list_holds(wiring, name):
            what = one.backup_id or f"all, for '{one.subject}'"
            since = f"{one.since:%Y-%m-%d %H:%M}Z"
            rows.append([one.hold_id, name, what, since, one.by, one.reason, ", ".join(targets)])
            data.append({"source": name, **one.to_dict(), "targets": list(targets)})
    if rows:
        out.table(["HOLD", "SOURCE", "HOLDS", "SINCE", "BY", "WHY", "TARGETS"], rows)
    else:
        out.say("nothing is held")
    out.data(data)
    return 0


def _show_noted(out: Output, done: Noted, what: str) -> int:
    about = done.hold.backup_id or f"every backup, for '{done.hold.subject}',"
    verdict = Verdict.PASS if done.targets and not done.missing else Verdict.FAIL
    out.verdict(verdict, f"{about} {what} {done.hold.hold_id} on {', '.join(done.targets) or 'no target'}")
    for target, error in done.missing.items():
        out.say(f"  not on {target}: {error}", "red")
    out.data(done.to_json())
    return verdict.exit_code


def _needed(reason: str | None, what: str) -> str:
    if reason is None:
        raise click.UsageError(f"{what} needs a --reason")
    return reason


COMMANDS = (expire, hold)
