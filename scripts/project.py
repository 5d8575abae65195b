"""The demo's place and environment: keys, platform, variables. Shared by make demo, make up and the tests."""

from __future__ import annotations

import os
from pathlib import Path

from standalone import PROJECT, Standalone

from rlg_backup.cli.setup_commands import KEY_FILES, write_keys

HOME = PROJECT / ".demo"


def environment(home: Path) -> dict[str, str]:
    """The variables that ``include/config/backup.yaml`` takes, for a set-up in ``home``; makes its keys once."""
    keys = home / "keys"
    if not (keys / KEY_FILES["staging"]).exists():
        write_keys(keys)
    (home / "restored").mkdir(mode=0o700, parents=True, exist_ok=True)
    public = {what: _public(keys / KEY_FILES[what]) for what in ("identity", "escrow", "signing")}
    return {
        "RLG_BACKUP_CONFIG": str(PROJECT / "include" / "config" / "backup.yaml"),
        "RLG_HOME": str(home),
        "RLG_KEYS": str(keys),
        "RLG_PLATFORM": str(home / "platform"),
        "RLG_RESTORE": str(home / "restored"),
        "RLG_RECIPIENT": public["identity"],
        "RLG_ESCROW_RECIPIENT": public["escrow"],
        "RLG_SIGNER": public["signing"],
        "RLG_IDENTITIES": f"file:{keys / KEY_FILES['identity']}",
    }


def standalone(home: Path, port: int | None = None) -> Standalone:
    """Airflow on that set-up. Its database is migrated and its pool made once."""
    airflow = Standalone(home / "airflow", environment(home), port)
    marker = airflow.home / "migrated"
    if not marker.exists():
        airflow.run("db", "migrate")
        airflow.run("pools", "set", "rlg_backup", "4", "backup steps that run at the same time")
        marker.touch()
    return airflow


def write_environment(home: Path) -> Path:
    """A file to source, so that ``rlg-backup`` on the command line sees the same set-up."""
    file = home / "env"
    lines = [f"export {name}='{value}'" for name, value in environment(home).items()]
    file.write_text("\n".join(lines) + "\n")
    return file


def _public(file: Path) -> str:
    marked = [line for line in file.read_text().splitlines() if line.startswith("# public: ")]
    return marked[0].removeprefix("# public: ")


def port_wanted() -> int | None:
    """``$PORT``, where it is given."""
    return int(os.environ["PORT"]) if os.environ.get("PORT") else None
