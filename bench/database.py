"""The PostgreSQL database that is measured: pgbench's tables, and two wide ones of a made-up product.

The server makes it by itself, in sets (``sql/``), in under a minute for each GB. Every text is its own row's:
there is nothing to find twice for what compresses or deduplicates, as there is nothing in a table of customers.
Among the columns are personal ones, places, and values of every usual type; the constants here say what a backup with
policies does with them.
"""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

POLICIES: Final = {"people.email": "tokenize", "people.phone": "tokenize", "people.full_name": "tokenize"}
TOTALS: Final = {"events": ["cents"], "pgbench_accounts": ["abalance"]}
KEPT: Final = dict.fromkeys(POLICIES, "keep")  # without policies, by name: what looks personal would be tokenized
BY_CHANCE: Final = ["pgbench_accounts.filler", "pgbench_history.filler"]  # digits that now and then are a phone number
GEOGRAPHY: Final[dict[str, Any]] = {
    "levels": {
        "region": {"table": "regions", "key": "code"},
        "country": {"table": "countries", "key": "code", "parent": "region"},
    },
    "tables": {table: {"region": "region", "country": "country"} for table in ("people", "events")},
}
_SQL: Final = Path(__file__).parent / "sql"
_ROWS: Final = {  # the part of a table in the whole, and the bytes of one of its rows as COPY writes it
    "events": (0.40, 444.9),
    "people": (0.30, 579.6),
    "accounts": (0.25, 96.4),
    "history": (0.05, 65.1),
}


@dataclass(frozen=True)
class Database:
    """A database, and who asks it: ``environment`` is what PostgreSQL's programs need to connect."""

    psql: Path
    environment: Mapping[str, str]

    def fill(self, size: int) -> None:
        """Makes tables of about ``size`` bytes of COPY text; raises CalledProcessError when the server refuses."""
        rows = {name: max(1000, int(size * part / width)) for name, (part, width) in _ROWS.items()}
        self._run("tables", {})
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda script: self._run(script, rows), ("events", "people", "pgbench")))
        self._run("end", {})

    def add_sessions(self, size: int) -> None:
        """A table with keys of type uuid, of as many rows as there are people in ``size`` bytes."""
        self._run("sessions", {"people": int(size * _ROWS["people"][0] / _ROWS["people"][1])})

    def change(self, night: int) -> None:
        """What happens to the rows in a night."""
        self._run("changes", {"night": night})

    def counts(self) -> dict[str, int]:
        """Rows of each table, indexes and constraints: what a restore must have brought back."""
        return {name: int(number) for name, number in (line.split("|") for line in self._run("counts", {}).split())}

    def _run(self, script: str, variables: Mapping[str, int]) -> str:
        given = [f"-v{name}={value}" for name, value in variables.items()]
        command: list[str | Path] = [self.psql, "-XqAt", "-vON_ERROR_STOP=1", *given, "-f", _SQL / f"{script}.sql"]
        done = subprocess.run(  # noqa: S603 - the server's own program
            command, env=dict(self.environment), stdout=subprocess.PIPE, check=True
        )
        return done.stdout.decode()
