"""Whether two PostgreSQL databases are the same, by the text that pg_dump writes of each: definitions and rows.

The same pg_dump, the newest, reads both. Rows have no order, so the lines of a COPY are compared sorted. What may
differ between a database and its copy is VOLATILE, each with its reason, and nothing else.
"""

from __future__ import annotations

import difflib
import itertools
import re
import subprocess
from collections.abc import Iterator

from rlg_backup.demo.server import programs
from rlg_backup.sources.postgres.address import Address

VOLATILE = {
    rb"-- Dumped from database version .*": "a copy may be on a server of another version",
}
_KEY = "volatile"  # else pg_dump 18.1 and later put a random one into \restrict and \unrestrict
_SHOWN, _WIDTH = 40, 240  # lines, and characters of each, that a failure shows


def assert_same_database(left: Address, right: Address, *, ignored: dict[bytes, str] | None = None) -> None:
    """``ignored`` are more patterns of whole lines that may differ here, each with its reason."""
    patterns = [re.compile(pattern) for pattern in {**VOLATILE, **(ignored or {})}]
    one, two = (dumped(address, patterns) for address in (left, right))
    if one != two:
        raise AssertionError(f"{left} and {right} differ:\n{_difference(one, two)}")


def dumped(address: Address, ignored: list[re.Pattern[bytes]] | None = None) -> list[bytes]:
    """The lines of a dump, with what is set on the database itself, and its name left open."""
    command = [programs() / "pg_dump", "--create", f"--restrict-key={_KEY}", address.database]
    done = subprocess.run(command, env=address.environment(), capture_output=True, timeout=120)
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    text = done.stdout.replace(address.database.encode(), b"DATABASE")
    lines = (line for line in text.split(b"\n") if not any(pattern.fullmatch(line) for pattern in ignored or ()))
    return list(_sorted_rows(lines))


def _sorted_rows(lines: Iterator[bytes]) -> Iterator[bytes]:
    for line in lines:
        yield line
        if line.startswith(b"COPY ") and line.endswith(b" FROM stdin;"):
            yield from sorted(itertools.takewhile(lambda row: row != b"\\.", lines))
            yield b"\\."


def _difference(one: list[bytes], two: list[bytes]) -> str:
    """The first lines that differ, with the object each is of."""
    start = next((n for n, (a, b) in enumerate(zip(one, two, strict=False)) if a != b), min(len(one), len(two)))
    subject = next((line for line in reversed(one[:start]) if line.startswith((b"-- Name:", b"COPY "))), b"")
    shown = slice(start, start + 2000)
    texts = [[line[:_WIDTH].decode(errors="replace") for line in lines[shown]] for lines in (one, two)]
    changes = difflib.unified_diff(*texts, "source", "copy", lineterm="", n=0)
    return "\n".join([subject[:_WIDTH].decode(errors="replace"), *itertools.islice(changes, _SHOWN)])
