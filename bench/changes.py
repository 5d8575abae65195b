"""make bench WHAT=changes: what a night's changes cost, and what a chain of such nights costs to restore.

The database of WHAT=postgres with one table more. A full backup of each kind, and first runs of restic and borg over a
dump; then nights, in each of which 1 % of the rows change and 0.1 % go (``sql/changes.sql``), and incremental backups
of each kind beside the next runs of the others. At the end the full backup is restored, and the chain of all nights.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table

from bench.contenders import IMPORTS, PLAIN, POLICIES, Contender
from bench.database import Database
from bench.measuring import Measured, Measurement
from bench.postgres import run_bench
from bench.processes import MB, CommandFailed, run_command
from rlg_backup.demo.server import Server

NIGHTS: Final = 6
_OURS: Final = f"python -m bench.command {IMPORTS} --config backup.yaml"
_GONE: Final = "PGOPTIONS='-c client_min_messages=warning' dropdb --if-exists restored"
_SOURCES: Final = {PLAIN: "plain", POLICIES: "policies"}


def _backup(name: str, kind: str) -> Contender:
    source = _SOURCES[name]
    line = f"{_OURS} backup --json --source {source} --kind {kind}"
    return Contender(name, line, "true", f"backups/{source}", ours=True)


def _restore(name: str, which: str) -> Contender:
    line = f"{_OURS} restore {which} --json --source plain --to postgres:rlg_bench/restored"
    return Contender(name, line, _GONE, ours=True)


_RESTIC: Final = Contender("restic", "restic backup -q plain.sql", "true", "restic", needs="restic")
_BORG: Final = Contender("borg", "borg create borg::$NIGHT plain.sql", "true", "borg", needs="borg")
_FIRST: Final = "restic init -q; borg init --error -e repokey-blake2 borg; true"
CONTENDERS: Final = {
    "full": [_backup(name, "full") for name in _SOURCES],
    "incremental": [*(_backup(name, "incremental") for name in _SOURCES), _RESTIC, _BORG],
    "restore": [_restore("the full alone", "$FULL"), _restore(f"the full and {NIGHTS} nights", "latest")],
}


def main() -> int:
    return run_bench("changes", str(__doc__), _measured, _show, CONTENDERS, tracked=True)


def _measured(
    measurement: Measurement, server: Server, given: argparse.Namespace, console: Console
) -> Iterator[Measured]:
    """Every run, as soon as it is done; a restore is counted out before it counts."""
    for one in _runs(measurement, server, given.repeats, given.ours):
        console.print(f"[dim]{one.verb} {one.name}: {one.wall:.1f} s, {one.stored / MB:,.1f} MB[/dim]")
        yield one


def _runs(measurement: Measurement, server: Server, repeats: int, only_ours: bool) -> Iterator[Measured]:
    database = Database(server.programs / "psql", measurement.environment)
    others = [] if only_ours else [one for one in (_RESTIC, _BORG) if not one.missing]
    for contender in CONTENDERS["full"]:
        yield _grown(measurement, contender, "full")
    counted = {}
    full = _newest(measurement.root, "plain")
    counted[full] = database.counts()
    run_command("repositories", ["bash", "-c", _FIRST], measurement.environment, measurement.root)
    environment = dict(measurement.environment)
    for night in range(NIGHTS + 1):
        measurement.environment = {**environment, "NIGHT": f"night{night}", "FULL": full}
        if night:
            database.change(night)
            for contender in CONTENDERS["incremental"][: len(_SOURCES)]:
                yield _grown(measurement, contender, "incremental")
        run_command("pg_dump", ["pg_dump", "-f", "plain.sql"], measurement.environment, measurement.root)
        for contender in others:
            yield _grown(measurement, contender, "incremental" if night else "first")
    expected = {"$FULL": counted[full], "latest": database.counts()}
    for _ in range(repeats):
        for contender, wanted in zip(CONTENDERS["restore"], expected.values(), strict=True):
            yield measurement.run("restore", contender)
            there = {**measurement.environment, "PGDATABASE": "restored"}
            if (found := Database(server.programs / "psql", there).counts()) != wanted:
                raise CommandFailed(f"'{contender.name}' restored {found}, not {wanted}")


def _grown(measurement: Measurement, contender: Contender, verb: str) -> Measured:
    """One run; stored is what came, the change state apart."""
    place = measurement.root / contender.stored
    before = set(place.rglob("*"))
    one = measurement.run(verb, contender)
    new = [path for path in place.rglob("*") if path not in before and path.is_file()]
    stored = sum(path.stat().st_size for path in new if path.name != "state.zip.age")
    measurement.runs[-1] = one = Measured(**{**vars(one), "stored": stored})
    return one


def _newest(root: Path, source: str) -> str:
    return max(path.name for path in (root / "backups" / source).iterdir())


def _show(console: Console, measurement: Measurement) -> None:
    """Every median, and what it is of our own full backup's, and of the full restore's."""
    full = {one.name: one for one in measurement.medians("full")}
    for verb in ("full", "first", "incremental", "restore"):
        table = Table(title=verb, header_style="bold", caption="RATIO: to our own full, or its restore")
        for heading in ("", "WALL s", "RATIO", "CPU s", "SERVER s", "MEMORY MB", "STORED MB", "RATIO", "OTHERS"):
            table.add_column(heading, justify="right" if heading else "left")
        medians = measurement.medians(verb)
        for one in medians:
            of = medians[0] if verb == "restore" else full.get(one.name, full[PLAIN])
            numbers = [one.wall, one.wall / of.wall, one.cpu, one.server, one.memory / MB, one.stored / MB]
            ratio = f"{one.stored / of.stored:.3f}" if of.stored else ""
            texts = [f"{number:,.2f}" for number in numbers]
            table.add_row(one.name, *texts, ratio, f"{one.others:.1f}")
        console.print(table)
        for one in medians:
            if one.steps:
                steps = ", ".join(f"{step} {seconds:.1f}" for step, seconds in one.steps.items())
                console.print(f"{verb} {one.name}, seconds with imports: {steps}")


if __name__ == "__main__":
    sys.exit(main())
