"""The sources that are measured: a database of two big tables, and a tree with one big file.

They are made in a stream, are the same for the same size, and hold what is worst for memory and for the leak check:
nearly every text is a different one, and all personal values differ.
"""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable, Iterator
from itertools import count, islice
from pathlib import Path
from typing import Any, Final

SEED: Final = 20261122
POLICIES: Final = {"people.email": "tokenize", "people.phone": "tokenize", "people.name": "keep"}
_ROWS: Final = 20_000  # inserted between two looks at the size
_BLOCK: Final = 1 << 20
_COUNTRIES: Final = ("ZA", "IL", "NA", "BW", "GB", "FR", "IN", "US")
_KINDS: Final = ("scrape", "report", "newsletter", "chat", "alert")
_PHRASES: Final = (
    "the account asks for a report",
    "prices in the region are as they were",
    "the team answers within a day",
    "a second reader compares totals by town",
    "the newsletter goes out to every subscriber",
    "the source could not be reached",
)
_TABLES: Final = {
    "people": (
        "id INTEGER PRIMARY KEY, email TEXT NOT NULL, phone TEXT, name TEXT, country TEXT, note TEXT, joined TEXT,"
        " cents INTEGER"
    ),
    "events": (
        "id INTEGER PRIMARY KEY, person INTEGER, kind TEXT, at TEXT, cents INTEGER, ratio REAL, payload TEXT,"
        " trace BLOB"
    ),
}
Row = tuple[Any, ...]


def make_database(path: Path, table_bytes: int) -> int:
    """Two tables of about ``table_bytes`` each; returns the number of rows."""
    connection = sqlite3.connect(path, isolation_level=None)
    for pragma in ("journal_mode = OFF", "synchronous = OFF", "locking_mode = EXCLUSIVE"):
        connection.execute(f"PRAGMA {pragma}").fetchone()
    rows = 0
    for (name, columns), make in zip(_TABLES.items(), (_person, _event), strict=True):
        connection.execute(f"CREATE TABLE {name} ({columns})")
        rows += _fill(connection, name, _rows(make), table_bytes)
    connection.close()
    return rows


def make_tree(root: Path, file_bytes: int) -> None:
    """One big file that cannot be compressed, beside a few small ones."""
    root.mkdir()
    for number in range(8):
        (root / f"note-{number}.txt").write_text(f"note {number}\n" * 100)
    chance = random.Random(SEED)  # noqa: S311 - the same bytes each time
    with (root / "media.bin").open("wb") as file:
        for start in range(0, file_bytes, _BLOCK):
            file.write(chance.randbytes(min(_BLOCK, file_bytes - start)))


def make_entries(root: Path, entries: int) -> None:
    """A tree of that many small files, a thousand in each folder."""
    for folder in range(-(-entries // 1000)):
        place = root / f"folder-{folder:05d}"
        place.mkdir(parents=True)
        for number in range(min(1000, entries - folder * 1000)):
            (place / f"file-{number:05d}.txt").write_text(f"entry {folder}/{number}\n")


def _fill(connection: sqlite3.Connection, table: str, rows: Iterator[Row], size: int) -> int:
    pages = size // int(connection.execute("PRAGMA page_size").fetchone()[0])
    before = int(connection.execute("PRAGMA page_count").fetchone()[0])
    done = 0
    while connection.execute("PRAGMA page_count").fetchone()[0] - before < pages:
        connection.execute("BEGIN")
        connection.executemany(f"INSERT INTO {table} VALUES (?, ?, ?, ?, ?, ?, ?, ?)", islice(rows, _ROWS))  # noqa: S608
        connection.execute("COMMIT")
        done += _ROWS
    return done


def _rows(make: Callable[[int, list[str]], Row]) -> Iterator[Row]:
    chance = random.Random(SEED)  # noqa: S311 - the same rows each time
    phrases = [f"{chance.choice(_PHRASES)} x{chance.randrange(16**5):05x}z" for _ in range(1021)]
    return (make(number, phrases) for number in count(1))


def _person(number: int, phrases: list[str]) -> Row:
    mixed = number * 2654435761 % 2**32
    country = _COUNTRIES[mixed % 8]
    return (
        number,
        f"person.{mixed:08x}@mail{number % 97}.example.org",
        f"+27 {mixed % 90 + 10} {number % 1000:03d} {mixed % 10_000:04d}",
        f"Name{mixed % 50_000} Surname{number % 70_001}",
        country,
        f"{phrases[mixed % 1021]} {number} {phrases[number % 1021]}",
        f"2026-{number % 12 + 1:02d}-{number % 28 + 1:02d}T{number % 24:02d}:{number % 60:02d}:00Z",
        mixed % 1_000_000,
    )


def _event(number: int, phrases: list[str]) -> Row:
    mixed = number * 2246822519 % 2**32
    kind = _KINDS[mixed % 5]
    return (
        number,
        mixed % 1_000_000,
        kind,
        f"2026-{number % 12 + 1:02d}-{number % 28 + 1:02d}T{number % 24:02d}:{number % 60:02d}:{mixed % 60:02d}Z",
        mixed % 100_000,
        mixed / 7,
        f'{{"kind": "{kind}", "step": {number}, "text": "{phrases[mixed % 1021]}"}}',
        mixed.to_bytes(4, "big") * 4,
    )
