"""What is measured side by side on one database: our commands, and those that people use instead.

Each is a line for the shell, run in the folder of the measurement. Connections, passwords and the recipient ``$TO``
come from the environment.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import Final

PIPELINE: Final = "the pipeline"  # in both directions
PLAIN, POLICIES = "ours", "ours, with policies"
IMPORTS: Final = "imports.txt"
_OURS: Final = f"python -m bench.command {IMPORTS} --config backup.yaml"


@dataclass(frozen=True)
class Contender:
    """``before`` is run first and not measured. ``stored`` is the file or folder it leaves, ``needs`` its program;
    ``ours`` says that it is our command, which tells its seconds."""

    name: str
    line: str
    before: str
    stored: str = ""
    needs: str = ""
    ours: bool = False

    @property
    def missing(self) -> bool:
        """Whether its program is not installed."""
        return bool(self.needs) and shutil.which(self.needs) is None


_BACKUPS: Final = (
    Contender(
        PLAIN,
        f"{_OURS} backup --json --source plain",
        "rm -rf backups/plain backups/catalog/plain state",
        "backups/plain",
        ours=True,
    ),
    Contender(PIPELINE, "pg_dump | zstd -3 -T2 -q | age -r $TO -o pipeline.age", "rm -f pipeline.age", "pipeline.age"),
    Contender(
        POLICIES,
        f"{_OURS} backup --json --source policies",
        "rm -rf backups/policies backups/catalog/policies state",
        "backups/policies",
        ours=True,
    ),
    Contender("pg_dump -Fd -j2", "pg_dump -Fd -j2 -Z gzip:1 -f directory", "rm -rf directory", "directory"),
    Contender("pg_dump to a file", "pg_dump -f plain.sql", "rm -f plain.sql", "plain.sql"),
    Contender(
        "restic, of that file", "restic backup -q plain.sql", "rm -rf restic; restic init -q", "restic", needs="restic"
    ),
    Contender(
        "borg, of that file",
        "borg create borg::first plain.sql",
        "rm -rf borg; borg init --error -e repokey-blake2 borg",
        "borg",
        needs="borg",
    ),
)
_GONE: Final = "PGOPTIONS='-c client_min_messages=warning' dropdb --if-exists restored"
_NEW: Final = f"{_GONE}; createdb restored"
_RESTORES: Final = (
    Contender(
        PLAIN,
        f"{_OURS} restore latest --json --source plain --to postgres:rlg_bench/restored",
        _GONE,
        ours=True,
    ),
    Contender(
        PIPELINE,
        "age -d -i keys/restore-worker/identity.txt pipeline.age | zstd -d -q"
        " | psql -Xq -v ON_ERROR_STOP=1 restored >/dev/null",
        _NEW,
    ),
    Contender(
        POLICIES,
        f"{_OURS} restore latest --json --source policies --to postgres:rlg_bench/restored",
        _GONE,
        ours=True,
    ),
    Contender("pg_restore -j2", "pg_restore -j2 -d restored directory", _NEW),
)
CONTENDERS: Final = {"backup": _BACKUPS, "restore": _RESTORES}
