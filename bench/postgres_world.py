"""A project to measure PostgreSQL in: keys, and one database as two sources. Run as a program, as bench.world is.

Usage: python -m bench.postgres_world FOLDER [tracked]
"""

from __future__ import annotations

import sys
from pathlib import Path

from bench.database import BY_CHANCE, GEOGRAPHY, KEPT, POLICIES, TOTALS
from bench.world import configure
from rlg_backup.cli.setup_commands import write_keys


def main(folder: str, tracked: str = "") -> None:
    """The source ``plain`` saves rows as they are, ``policies`` as a product would; ``tracked``, so that backups can be
    made of what changed. Prints a recipient."""
    root = Path(folder)
    public = write_keys(root / "keys", False)
    sources = {
        "plain": _database(policies=KEPT),
        "policies": _database(policies=POLICIES, geography=GEOGRAPHY, totals=TOTALS, personal_text_allowed=BY_CHANCE),
    }
    configure(root, public, sources, tracked=bool(tracked))
    print(public["identity"])


def _database(**settings: object) -> dict[str, object]:
    return {"type": "postgres", "connection": "rlg_bench", "targets": ["local"], **settings}


if __name__ == "__main__":
    main(*sys.argv[1:])
