"""The demo's place and environment: keys, platform, servers, variables. Shared by make demo, make up and the tests."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from scripts.standalone import PROJECT, Standalone

from rlg_backup.cli.keys_commands import make, write_key
from rlg_backup.cli.setup_commands import KEY_FILES
from rlg_backup.core.private import create_private
from rlg_backup.demo.server import Server

SOURCES = ("sqlite", "postgres")
DATABASES = {"RLG_DATA": "rlg_data", "RLG_FANS": "rlg_fans"}  # connection > database
ROLE = PROJECT / "include" / "postgres" / "backup_role.sql"


class Setup:
    """The demo with its databases in one kind (of ``SOURCES``), all of it below ``home``. Its keys are made once."""

    def __init__(self, source: str, home: Path | None = None) -> None:
        self.source, self.home = source, home or PROJECT / ".demo" / source
        self.server = Server(self.home / "server") if source == "postgres" else None
        self.platform = self.home / "platform"
        self._keys = self.home / "keys"
        for what, place in KEY_FILES.items():  # one by one: a demo of before may lack a kind
            if not (self._keys / place).exists():
                write_key(self._keys / place, what, *make(what))
        (self.home / "restored").mkdir(mode=0o700, parents=True, exist_ok=True)

    @contextmanager
    def serving(self) -> Iterator[None]:
        """With the PostgreSQL server, where the databases are in one: started here, with the role that backs up."""
        if self.server is None:
            yield
            return
        with self.server:
            self._make_role(self.server)
            yield

    def airflow(self, port: int | None = None) -> Standalone:
        """Airflow on this set-up. Its database is migrated and its pool made once."""
        airflow = Standalone(self.home / "airflow", self.variables(), port)
        marker = airflow.home / "migrated"
        if not marker.exists():
            airflow.run("db", "migrate")
            airflow.run("pools", "set", "rlg_backup", "4", "backup steps that run at the same time")
            marker.touch()
        return airflow

    def variables(self) -> dict[str, str]:
        """What ``include/config/backup.yaml`` takes, and the connections it names."""
        public = {what: _public(self._keys / KEY_FILES[what]) for what in ("identity", "escrow", "state", "signing")}
        return {
            "RLG_BACKUP_CONFIG": str(PROJECT / "include" / "config" / "backup.yaml"),
            "RLG_DATABASE_TYPE": self.source,
            "RLG_HOME": str(self.home),
            "RLG_KEYS": str(self._keys),
            "RLG_PLATFORM": str(self.platform),
            "RLG_RESTORE": str(self.home / "restored"),
            "RLG_RECIPIENT": public["identity"],
            "RLG_ESCROW_RECIPIENT": public["escrow"],
            "RLG_STATE_RECIPIENT": public["state"],
            "RLG_SIGNER": public["signing"],
            "RLG_IDENTITIES": f"file:{self._keys / KEY_FILES['identity']}",
            "RLG_STATE_IDENTITIES": f"file:{self._keys / KEY_FILES['state']}",
            **{f"AIRFLOW_CONN_{name}": value for name, value in self._connections().items()},
        }

    def write_variables(self) -> Path:
        """A file to source, so that ``rlg-backup`` on the command line sees the same set-up."""
        file = self.home / "env"
        file.unlink(missing_ok=True)
        with create_private(file) as out:  # passwords of the demo's server are in it
            out.writelines(f"export {name}='{value}'\n".encode() for name, value in self.variables().items())
        return file

    def _connections(self) -> Mapping[str, str]:
        """Backups read as a role that changes nothing. For a demo, drills go to the same server, as its superuser."""
        if self.server is None:
            files = {name: str(self.platform / f"{database}.db") for name, database in DATABASES.items()}
            return {name: json.dumps({"conn_type": "sqlite", "host": file}) for name, file in files.items()}
        reading = f"postgresql://rlg_backup:{self._password()}@{self.server.host}:{self.server.port}"
        found = {name: f"{reading}/{database}" for name, database in DATABASES.items()}
        return {**found, "RLG_SCRATCH": self.server.url()}

    def _make_role(self, server: Server) -> None:
        """The role of the runbook, by its own script; once."""
        secret = self.home / "backup-password"
        if secret.exists():
            return
        password = secrets.token_urlsafe(24)
        subprocess.run(
            [server.programs / "psql", "--quiet", "--single-transaction", "-v", "ON_ERROR_STOP=1", "-f", ROLE],
            env={**server.environment(), "RLG_BACKUP_PASSWORD": password},
            check=True,
        )
        with create_private(secret) as file:
            file.write(password.encode())

    def _password(self) -> str:
        return (self.home / "backup-password").read_text()


def _public(file: Path) -> str:
    marked = [line for line in file.read_text().splitlines() if line.startswith("# public: ")]
    return marked[0].removeprefix("# public: ")


def port_wanted() -> int | None:
    """``$PORT``, where it is given."""
    return int(os.environ["PORT"]) if os.environ.get("PORT") else None
