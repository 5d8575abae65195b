"""A thief who has a worker: one task on each queue looks for identities in every way a task has, and tries them.

It runs with the project's own DAGs, from a bundle of its own. What it returns says where something was, never what.
"""

from __future__ import annotations

import contextlib
import os
import re
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from airflow.sdk import Connection, Variable, dag, get_current_context, task

IDENTITY = re.compile(rb"AGE-SECRET-KEY-[A-Z0-9-]+")
LARGEST = 1 << 20
REFERENCES: dict[str, tuple[str, ...]] = {
    "configured": (),
    "file": ("file:keys/restore-worker/identity.txt",),
    "environment": ("env:RLG_IDENTITY",),
    "secret": ("secret:vault/identity",),
}


@task
def steal() -> dict[str, Any]:
    """``found``: the ways that led to an identity; ``refused``: how the project's own code said no; ``opened``: bytes
    of the archive that any of what was found opens; ``read``: that the ways themselves work."""
    from rlg_backup.core.errors import BackupError
    from rlg_backup.tasks.wire import wire

    context = get_current_context()
    project, archive = (Path(context["params"][name]) for name in ("project", "archive"))
    loot: dict[str, set[bytes]] = {}
    refused, read = {}, {}
    for way, references in REFERENCES.items():
        try:
            loot[way] = {identity.text.encode() for identity in wire().identities(references)}
        except BackupError as error:
            refused[way] = type(error).__name__
    for way, (count, found) in {
        "files": look(files(project, Path(os.environ["AIRFLOW_HOME"]))),
        "uncovered files": look(uncovered(project)),
        "processes": look(processes(project)),
        "connections and variables": look(metadata(Path(os.environ["AIRFLOW_HOME"]))),
    }.items():
        read[way] = count
        if found:
            loot[way] = found
    return {"found": sorted(loot), "refused": refused, "read": read, "opened": opened(archive, loot)}


def look(texts: Iterator[bytes]) -> tuple[int, set[bytes]]:
    """How many texts there were, and the identities in them."""
    count, found = 0, set()
    for text in texts:
        count += 1
        found |= set(IDENTITY.findall(text))
    return count, found


def files(*roots: Path) -> Iterator[bytes]:
    """Every file of the project and of Airflow that can be read."""
    for root in roots:
        for path in root.rglob("*"):
            with contextlib.suppress(OSError):
                if path.is_file() and path.stat().st_size < LARGEST:
                    yield path.read_bytes()


def uncovered(project: Path) -> Iterator[bytes]:
    """What lies under something mounted on the keys, once it is taken away."""
    subprocess.run(["umount", project / "keys" / "restore-worker"], capture_output=True)
    yield from files(project / "keys")


def processes(project: Path) -> Iterator[bytes]:
    """The environment of every process there is, and the keys as each of them sees them."""
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            yield (process / "environ").read_bytes()
        with contextlib.suppress(OSError):
            yield (process / "root" / str(project)[1:] / "keys" / "restore-worker" / "identity.txt").read_bytes()


def metadata(home: Path) -> Iterator[bytes]:
    """Every connection and variable: the names from the database itself, the values as any task gets them."""
    with contextlib.closing(sqlite3.connect(f"file:{home}/airflow.db?mode=ro", uri=True)) as database:
        variables = [name for (name,) in database.execute("SELECT key FROM variable")]
        connections = [name for (name,) in database.execute("SELECT conn_id FROM connection")]
    yield from (str(Variable.get(name)).encode() for name in variables)
    yield from (Connection.get(name).get_uri().encode() for name in connections)


def opened(archive: Path, loot: dict[str, set[bytes]]) -> str:
    """What comes of the archive with everything that was found."""
    from rlg_backup.core.errors import BackupError
    from rlg_backup.format.age import AgeReader, parse_identity

    keys = {key.decode() for found in loot.values() for key in found if IDENTITY.fullmatch(key)}
    with archive.open("rb") as stream:
        try:
            return AgeReader(stream, [parse_identity(key) for key in sorted(keys)]).read(2).decode()
        except BackupError as error:
            return f"{type(error).__name__}: {error}"


@dag(schedule=None, params={"project": "", "archive": ""})
def rlg_canary():
    for queue in ("backup", "restore"):
        steal.override(task_id=f"on_{queue}", queue=queue)()


rlg_canary()
