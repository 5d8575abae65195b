"""make bench WHAT=postgres: our backup and restore of a PostgreSQL database beside what people use instead.

Starts a PostgreSQL 18 of its own, makes a database of the size asked for, and runs every command several times, in an
order that is turned round from time to time, so that what else the machine does meets all of them. Prints medians,
each beside that of the pipeline ``pg_dump | zstd | age``; the same goes into a JSON file, with the machine, the
versions and the command lines. It fails only where a command fails or a restore lacks a row or an index: how fast
a machine is, is for people to judge.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from rich.console import Console

from bench.contenders import CONTENDERS, Contender
from bench.database import Database
from bench.machine import described, versions
from bench.measuring import Measured, Measurement
from bench.processes import MB, PROJECT, CommandFailed, run, run_command
from bench.tables import show
from rlg_backup.core.errors import BackupError
from rlg_backup.demo.server import Server

SETTINGS: Final = ("shared_buffers=512MB", "maintenance_work_mem=256MB", "max_wal_size=4GB", "autovacuum=off")
"""Beside the defaults: fsync, synchronous_commit and full_page_writes are on, wal_level is replica. No autovacuum,
since when it comes is chance; the database was vacuumed and analyzed when it was made."""


def main() -> int:
    return run_bench("postgres", str(__doc__), _measured, show)


Measure = Callable[[Measurement, Server, argparse.Namespace, Console], Iterator[Measured]]


def run_bench(
    name: str,
    doc: str,
    measured: Measure,
    show: Callable[[Console, Measurement], None],
    contenders: Mapping[str, Sequence[Contender]] = CONTENDERS,
    *,
    tracked: bool = False,
) -> int:
    """A benchmark over a server of its own: options, folders, the database, what is ``measured`` (the result is written
    after every run), and the tables at the end. Returns the exit code."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=float, default=1.4, help="GB of rows, as COPY writes them  [1.4]")
    parser.add_argument("--repeats", type=int, default=3, help="how often a command is measured  [3]")
    parser.add_argument("--ours", action="store_true", help="only our own commands")
    parser.add_argument("--folder", type=Path, default=PROJECT / ".bench", help="where it is done")
    given = parser.parse_args()
    console = Console(width=None if sys.stdout.isatty() else 150)
    root: Path = given.folder.absolute() / name
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    result = given.folder / f"{name}-{given.size:g}GB.json"
    try:
        with Server(root / "server", durable=True, settings=SETTINGS) as server:
            measurement = _prepared(root, server, int(given.size * 1000 * MB), console, tracked=tracked)
            facts = {
                "size": given.size,
                "settings": SETTINGS,
                **described(),
                "versions": versions(server.environment()),
            }
            for _ in measured(measurement, server, given, console):
                result.write_text(json.dumps({**facts, **measurement.to_json(contenders)}, indent=2))
    except (CommandFailed, BackupError, subprocess.CalledProcessError) as failure:
        console.print(str(failure), style="red", markup=False)
        return 1
    finally:
        shutil.rmtree(root, ignore_errors=True)
    show(console, measurement)
    console.print(f"[dim]{result}[/dim]")
    return 0


def _prepared(root: Path, server: Server, size: int, console: Console, *, tracked: bool = False) -> Measurement:
    """The database, keys and a configuration, with everything that is read already in the cache. ``tracked``: for
    backups of what changed, with a table that has a key of another kind."""
    environment = _environment(root, server)
    with console.status(f"making the database: {size / MB:,.0f} MB"):
        kind = ["tracked"] if tracked else []
        environment["TO"] = run("keys", ["-m", "bench.postgres_world", root, *kind]).output.strip()
        run_command("createdb", ["createdb", "bench"], environment, root)
        environment["PGDATABASE"] = "bench"
        database = Database(server.programs / "psql", environment)
        database.fill(size)
        if tracked:
            database.add_sessions(size)
        run_command("pg_dump", ["pg_dump", "-f", "plain.sql"], environment, root)
    postmaster = int((server.folder / "data" / "postmaster.pid").read_text().split()[0])
    return Measurement(root, environment, postmaster)


def _measured(
    measurement: Measurement, server: Server, given: argparse.Namespace, console: Console
) -> Iterator[Measured]:
    """Every run, as soon as it is done; a restore is counted out before it counts."""
    expected = _counts(measurement, server, "bench")
    for verb, contenders in CONTENDERS.items():
        chosen = [one for one in contenders if (one.ours or not given.ours) and not one.missing]
        for number in range(given.repeats):
            for contender in chosen[::-1] if number % 2 else chosen:
                with console.status(f"{verb}: {contender.name}"):
                    one = measurement.run(verb, contender)
                if verb == "restore" and (found := _counts(measurement, server, "restored")) != expected:
                    raise CommandFailed(f"'{contender.name}' restored {found}, not {expected}")
                console.print(
                    f"[dim]{verb} {one.name}: {one.wall:.1f} s, others took {one.others:.1f} processors[/dim]"
                )
                yield one


def _counts(measurement: Measurement, server: Server, database: str) -> dict[str, int]:
    return Database(server.programs / "psql", {**measurement.environment, "PGDATABASE": database}).counts()


def _environment(root: Path, server: Server) -> dict[str, str]:
    """Where the server is and where our code is, for every command; secrets are made for this once."""
    found = server.environment()
    found |= {"PATH": f"{Path(sys.executable).parent}:{found['PATH']}", "RLG_POSTGRES_BIN": str(server.programs)}
    found |= {"PYTHONPATH": os.pathsep.join(map(str, (PROJECT / "plugins", PROJECT)))}
    found |= {"AIRFLOW_CONN_RLG_BENCH": server.url("bench")}
    found |= {"RESTIC_REPOSITORY": "restic", "RESTIC_PASSWORD": secrets.token_hex(), "RESTIC_CACHE_DIR": "cache"}
    return found | {"BORG_PASSPHRASE": secrets.token_hex(), "BORG_BASE_DIR": str(root)}


if __name__ == "__main__":
    sys.exit(main())
