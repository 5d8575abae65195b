"""backup, list, show, verify, doctor."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..config.load import load
from ..core.errors import FAILED, BackupError, BackupNotFound
from ..core.model import Copy, Kind, Tier, Verdict
from ..engine.wiring import Wiring
from .output import Output, printable, progress_bar, told
from .scrubbing import scrub_all

if TYPE_CHECKING:
    from ..engine.restore_points import Chosen

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for machines.")
source_option = click.option("--source", help="The source; may be left out when there is one, or an id names it.")
target_option = click.option("--target", help="Read this target only.  [default: the first that answers]")


def wire(config: Path, progress: Callable[[str, int, int], None] | None = None) -> Wiring:
    """The wiring of a configuration file."""
    settings = load(config)
    base = config.expanduser().resolve().parent
    return Wiring(settings, base=base, progress=progress) if progress else Wiring(settings, base=base)


def source_of(wiring: Wiring, source: str | None, which: str) -> str:
    """The source a restore point belongs to: as named, the only one, or the one that lists the id."""
    from ..engine.restore_points import list_points

    names = list(wiring.settings.sources)
    if source:
        wiring.source_settings(source)
        return source
    if len(names) == 1:
        return names[0]
    if which == "latest" or which[4:5] == "-":
        raise click.UsageError(f"name a source: --source {'|'.join(names)}")
    found = [name for name in names if any(p.backup_id.startswith(which) for p in list_points(wiring, name).points)]
    if len(found) != 1:
        cause = "no target lists it" if not found else f"the sources {', '.join(found)} have backups that begin so"
        raise BackupNotFound("find", which, cause, "see 'rlg-backup list'")
    return found[0]


@click.command()
@click.option("--source", "sources", multiple=True, help="A source; may be given several times.  [default: all]")
@click.option("--kind", type=click.Choice([kind.value for kind in Kind]), default="full", show_default=True)
@json_option
@click.pass_obj
def backup(config: Path, sources: tuple[str, ...], kind: str, as_json: bool) -> int:
    """Back up sources: snapshot, anonymize, encrypt, checksum, upload, validate, commit.

    An incremental backup holds what changed since the last one of any kind, a differential one since the last full one;
    without a sound one before it a full one is made, with a warning.

    Example: rlg-backup backup --source data --kind incremental
    """
    from ..engine.backup import backup as run

    out, results = Output(as_json), []
    failed: dict[str, BackupError] = {}
    with progress_bar(not as_json) as progress:
        wiring = wire(config, progress)
        names = sources or tuple(wiring.settings.sources)
        for source in names:
            try:
                results.append(run(wiring, source, Kind(kind)))
            except BackupError as error:  # the other sources are still backed up
                if len(names) == 1:
                    raise
                failed[source] = error
    for result in results:
        copies = ", ".join(f"{target} (#{sequence})" for target, sequence in result.committed.items())
        verdict = Verdict.PASS if result.complete else Verdict.FAIL
        out.verdict(verdict, f"{result.source}  {result.backup_id}  {result.kind}  committed on {copies}")
        for target, reason in result.missing.items():
            out.say(f"  no copy on {target}: {reason}", "red")
        for warning in result.warnings:
            out.say(f"  warning: {warning}", "yellow")
    for source, fault in failed.items():
        out.verdict(Verdict.FAIL, f"{source}  {fault}")
    out.data([*(result.to_json() for result in results), *({"source": n, **told(e)} for n, e in failed.items())])
    if failed:
        return next(iter(failed.values())).exit_code
    return 0 if all(result.complete for result in results) else FAILED


@click.command("list")
@source_option
@json_option
@click.pass_obj
def list_command(config: Path, source: str | None, as_json: bool) -> int:
    """List the restore points of every target, oldest first.

    Example: rlg-backup list --source data --json
    """
    from ..engine.restore_points import list_points

    out, wiring = Output(as_json), wire(config)
    rows, data, code = [], [], 0
    for name in [source] if source else wiring.settings.sources:
        listing = list_points(wiring, name)
        for target, error in listing.unreadable.items():
            click.echo(printable(f"warning: target '{target}' may hold more than is listed: {error}"), err=True)
            code = error.exit_code
        for point in listing.points:
            copies = ", ".join(_copy(copy) for copy in point.copies)
            rows.append([point.backup_id, name, point.kind, f"{point.taken:%Y-%m-%d %H:%M:%S}Z", copies])
            data.append(point.to_json())
    if rows:
        out.table(["ID", "SOURCE", "KIND", "TIME", "TARGETS"], rows)
    elif not code:
        out.say("no restore points yet")
    out.data(data)
    return code


def _copy(copy: Copy) -> str:
    notes = [f"in tier '{copy.tier}'"] if copy.tier is not Tier.HOT else []
    notes += [f"marked, goes after {copy.due_at:%Y-%m-%d %H:%M}Z"] if copy.due_at else []
    return f"{copy.target} ({'; '.join(notes)})" if notes else copy.target


@click.command()
@click.argument("which", metavar="ID")
@source_option
@target_option
@json_option
@click.pass_obj
def show(config: Path, which: str, source: str | None, target: str | None, as_json: bool) -> int:
    """Show one restore point: what it holds, who can open it, who signed it, and the chain it is restored from.

    Example: rlg-backup show latest --source data
    """
    from ..engine.chains import chain_of
    from ..engine.restore_points import choose

    out, wiring = Output(as_json), wire(config)
    chosen = choose(wiring, source_of(wiring, source, which), which, target=target)
    manifest = chosen.manifest
    held = manifest.contents
    masked = f" (for ever masked: {', '.join(manifest.masked_columns)})" if manifest.masked_columns else ""
    rows = [
        ["id", manifest.backup_id],
        ["source", manifest.source],
        ["kind", manifest.kind.value],
        ["snapshot", f"{manifest.snapshot.taken_at:%Y-%m-%d %H:%M:%S}Z of {manifest.snapshot.system}"],
        [
            "holds",
            f"{held.tables} tables, {held.rows:,} rows, {held.entries:,} files and folders, {held.bytes:,} bytes",
        ],
        ["left out", f"{held.excluded} by name; {held.warnings} warnings"],
        ["fidelity", f"{manifest.fidelity.value}{masked}"],
        *([f"archive {one.zone}", f"{one.size:,} bytes, SHA-256 {one.sha256}"] for one in manifest.archives),
        ["recipients", ", ".join(manifest.recipients)],
        ["signed by", chosen.signer],
        ["manifest", f"SHA-256 {chosen.manifest_sha256}"],
        ["read from", f"{chosen.target}, sequence {chosen.point.sequence}"],
    ]
    rows += [["not asked", f"{name}: {why}"] for name, why in chosen.unasked.items()]
    expires = _expiry(wiring, chosen)
    rows += [["expires", expires]] if expires else []
    out.table(["", ""], rows)
    data: dict[str, Any] = {"target": chosen.target, "sequence": chosen.point.sequence, "manifest": manifest.to_dict()}
    data["expires"] = expires
    try:
        chain = [_link(link) for link in chain_of(wiring, chosen)]
    except BackupError as error:  # what is known of the point itself is shown all the same
        out.say(f"its chain is broken: {error}", "red")
        out.data({**data, "chain": None, "fault": told(error)})
        return error.exit_code
    if manifest.parent is not None:
        rows = [[link["backup_id"], link["kind"], link["time"], f"{link['bytes']:,}", link["target"]] for link in chain]
        out.table(["ID", "KIND", "TIME", "BYTES", "TARGET"], rows, right=(3,))
    out.data({**data, "chain": chain, "fault": None})
    return 0


def _expiry(wiring: Wiring, chosen: Chosen) -> str | None:
    """When a marked restore point goes, and why; None for one that stays."""
    try:
        mark = wiring.catalog(chosen.target, chosen.source).state().marked().get(chosen.point.backup_id)
    except BackupError as error:  # the point itself is sound all the same
        return f"not known: {error}"
    return f"after {mark.due_at:%Y-%m-%d %H:%M:%S}Z: {mark.reason}" if mark else None


def _link(link: Chosen) -> dict[str, Any]:
    """One backup of a chain, as JSON."""
    return {
        "backup_id": link.point.backup_id,
        "kind": link.point.kind.value,
        "time": f"{link.manifest.snapshot.taken_at:%Y-%m-%dT%H:%M:%SZ}",
        "bytes": sum(archive.size for archive in link.manifest.archives),
        "target": link.target,
    }


@click.command()
@click.argument("which", metavar="[ID]", required=False)
@source_option
@target_option
@click.option("--full/--quick", default=False, help="Full decrypts and reads every member; it needs an identity.")
@click.option("--all", "every", is_flag=True, help="Read every copy on every target.")
@click.option("--mend/--no-mend", default=True, help="With --all: replace what is damaged by another target's copy.")
@json_option
@click.pass_obj
def verify(
    config: Path,
    which: str | None,
    source: str | None,
    target: str | None,
    full: bool,
    every: bool,
    mend: bool,
    as_json: bool,
) -> int:
    """Prove a backup without restoring it (ID, its beginning, a time, or latest).

    Quick checks signatures, the chain, sizes and digests. Full also decrypts and reads every row. With --all every copy
    on every target is read, as quick does, and a damaged one is mended from another target's.

    \b
    Examples:
      rlg-backup verify latest --source data --full
      rlg-backup verify --all
    """
    from ..engine.verify import verify as run

    if every and (which is not None or target is not None or full):
        raise click.UsageError("--all reads every copy: give no ID, no --target and no --full with it")
    out, which = Output(as_json), which or "latest"
    with progress_bar(not as_json) as progress:
        wiring = wire(config, progress)
        if every:
            return scrub_all(out, wiring, source, mend=mend)
        found = run(wiring, source_of(wiring, source, which), which, target=target, full=full)
    out.verdict(found.verdict, f"{found.source}  {found.backup_id}  on {found.target}")
    out.checks(found.checks)
    out.data(found.to_json())
    return found.verdict.exit_code


@click.command()
@json_option
@click.pass_obj
def doctor(config: Path, as_json: bool) -> int:
    """Check the configuration, keys, sources, targets, staging, and Airflow's pools and queues.

    Example: rlg-backup --config /etc/rlg-backup/backup.yaml doctor
    """
    from ..engine.doctor import examine

    out, wiring = Output(as_json), wire(config)
    checks = examine(wiring)
    verdict = Verdict.of(check.verdict for check in checks)
    out.verdict(verdict, f"{len(checks)} checks")
    out.checks(checks)
    data: list[dict[str, Any]] = [check.__dict__ | {"verdict": check.verdict.value} for check in checks]
    out.data({"verdict": verdict.value, "checks": data})
    return verdict.exit_code


COMMANDS = (backup, list_command, show, verify, doctor)
