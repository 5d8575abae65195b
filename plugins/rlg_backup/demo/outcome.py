"""What a run of the generator did, and where the parts of a platform lie."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

DATABASES = ("rlg_data", "rlg_fans")  # SQLite: <name>.db in the platform's folder
TREE = "files"

# Called when a part is made, with its name ("rlg_data.accounts", "files") and its rows or entries.
Progress = Callable[[str, int], None]


@dataclass(frozen=True)
class Summary:
    """The platform after a run, in counts only.

    ``tables`` maps ``<database>.<table>`` to rows. ``entries`` and ``bytes`` are of the tree (files,
    folders and links below its root; content of files). ``operations`` is empty after ``generate``;
    after ``mutate`` it maps ``<database>.insert|update|delete|rekey`` and
    ``files.create|edit|rename|delete|mode|relink`` to how many were done.
    """

    tables: Mapping[str, int]
    entries: int
    bytes: int
    operations: Mapping[str, int]
    seconds: float

    @property
    def rows(self) -> int:
        return sum(self.tables.values())
