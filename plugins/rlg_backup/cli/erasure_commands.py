"""erase."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..core.model import Verdict
from .commands import json_option, wire
from .output import Output

if TYPE_CHECKING:
    from ..engine.erasure import Trial
    from ..engine.wiring import Wiring


@click.command()
@click.option(
    "--subject", metavar="KEY|-", help="Whose data: the key of their row; -: keys from the input, one a line."
)
@click.option("--kind", help="What the key is of, as 'erasure.subjects' calls it; may be left out when there is one.")
@click.option("--reason", default="request", show_default=True, metavar="CODE", help="Short, in clear: gdpr-17, say.")
@click.option("--print-hash", is_flag=True, help="Print what stands for the subject, for rlg_erasure; record nothing.")
@click.option("--dry-run", is_flag=True, help="Show what would be left out of the newest backups; record nothing.")
@click.option("--complete", is_flag=True, help="Put requests on targets that were down, and mend what is damaged.")
@json_option
@click.pass_obj
def erase(
    config: Path,
    subject: str | None,
    kind: str | None,
    reason: str,
    print_hash: bool,
    dry_run: bool,
    complete: bool,
    as_json: bool,
) -> int:
    """Record that somebody is to be forgotten: every later restore and drill leaves out what is theirs.

    It is done when every target has the request, and is not taken back. The source is yours to erase from. Without
    anything: show the ledger. Read keys from standard input: what stands on a command line, others may read.

    \b
    Examples:
      rlg-backup erase --subject - --kind account --dry-run
      rlg-backup erase --subject - --kind account --reason gdpr-17
      rlg-backup erase --complete
    """
    from ..engine import erasure

    if complete and (subject is not None or print_hash or dry_run):
        raise click.UsageError("--complete goes alone")
    if (print_hash or dry_run) and subject is None:
        raise click.UsageError(f"{'--print-hash' if print_hash else '--dry-run'} needs a --subject")
    out, wiring = Output(as_json), wire(config)
    if subject is None:
        return _show(out, wiring, complete)
    named, texts = _kind(wiring, kind), _lines() if subject == "-" else [subject]
    if dry_run:
        return _try_out(out, wiring, named, texts)
    if print_hash:
        hashes = [erasure.subject_for(wiring, named, text).text for text in texts]
        for found in hashes:
            out.say(found)
        data: list[dict[str, Any]] = [{"kind": named, "subject": found} for found in hashes]
    else:
        recorded = erasure.record(wiring, named, texts, reason)
        for done in recorded:
            when = "is recorded" if done.new else f"was recorded on {done.requested_at:%Y-%m-%d}"
            out.verdict(Verdict.PASS, f"request {done.sequence:08d} ({done.kind}) {when} on {', '.join(done.targets)}")
        data = [done.to_json() for done in recorded]
    out.data(data if subject == "-" else data[0])
    return 0


def _try_out(out: Output, wiring: Wiring, kind: str, texts: list[str]) -> int:
    from ..engine import erasure

    hashes: dict[str, list[str]] = {}
    for text in texts:
        found = erasure.subject_for(wiring, kind, text)
        hashes.setdefault(found.key, []).append(found.sha256)
    trials = erasure.try_out(wiring, kind, hashes)
    verdict = Verdict.of(one.verdict for one in trials)
    out.verdict(verdict, f"{len(texts)} of kind {kind}; nothing was recorded")
    for one in trials:
        out.say(f"{one.source}  {one.backup_id or 'no backup'}")
        rows = [[title, what, f"{one.rows[title]:,}", *_counts(one, title)] for title, what in one.does.items()]
        if rows:
            out.table(["TABLE", "WHAT", "ROWS", "DELETED", "EMPTIED"], rows, right=(2, 3, 4))
        if one.why:
            out.say(f"  not all was tried: {one.why}", "yellow")
    out.data({"verdict": verdict.value, "kind": kind, "sources": [one.to_json() for one in trials]})
    return verdict.exit_code


def _counts(trial: Trial, title: str) -> tuple[str, str]:
    if trial.erased is None:
        return "not read", "not read"
    found = trial.erased.get(title)
    return (f"{found.deleted:,}", f"{found.anonymized:,}") if found else ("0", "0")


def _lines() -> list[str]:
    """The keys on standard input; none is one that no row has, which is refused."""
    return [line for line in sys.stdin.read().splitlines() if line.strip()] or [""]


def _show(out: Output, wiring: Wiring, complete: bool) -> int:
    from ..engine import erasure

    ledger = erasure.finish(wiring) if complete else erasure.known(wiring, whole=True)
    where = wiring.ledger_targets if complete else [name for name in wiring.ledger_targets if name in ledger.lengths]
    lengths = {name: len(ledger.entries) if complete else ledger.lengths[name] for name in where}
    short = any(length < len(ledger.entries) for length in lengths.values())
    passed_over = {} if complete else {name: str(error) for name, error in ledger.passed_over.items()}
    verdict = Verdict.COULD_NOT_VERIFY if short or passed_over else Verdict.PASS
    on_each = ", ".join(f"{name}: {length}" for name, length in lengths.items())
    out.verdict(verdict, f"{len(ledger.entries)} requests to erase; {on_each}")
    rows = [
        [f"{one.entry.sequence:08d}", f"{one.entry.requested_at:%Y-%m-%d %H:%M:%S}Z", one.entry.kind, one.entry.reason]
        for one in ledger.entries
    ]
    if rows:
        out.table(["REQUEST", "RECORDED", "KIND", "REASON"], rows)
    for name, error in passed_over.items():
        out.say(f"  not read on {name}: {error}", "yellow")
    if short:
        out.say("  some targets lack requests: 'rlg-backup erase --complete'", "yellow")
    entries = [one.entry.to_dict() for one in ledger.entries]
    out.data({"verdict": verdict.value, "lengths": lengths, "passed_over": passed_over, "entries": entries})
    return verdict.exit_code


def _kind(wiring: Wiring, kind: str | None) -> str:
    kinds = sorted(wiring.settings.erasure.subjects)
    if kind is None and len(kinds) > 1:
        raise click.UsageError(f"name what the key is of: --kind {'|'.join(kinds)}")
    return kind or next(iter(kinds), "subject")


COMMANDS = (erase,)
