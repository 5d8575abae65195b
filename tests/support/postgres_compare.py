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
from contextlib import contextmanager

from tests.support.postgres_server import address_of, drop_database, query

from rlg_backup.demo.server import Server, programs
from rlg_backup.sources.postgres.address import Address

VOLATILE = {
    rb"-- Dumped from database version .*": "a copy may be on a server of another version",
}
_KEY = "volatile"  # else pg_dump 18.1 and later put a random one into \restrict and \unrestrict
_SHOWN, _WIDTH = 40, 240  # lines, and characters of each, that a failure shows

_NEW = (rb"^SET transaction_timeout = 0;$", rb" LOCALE_PROVIDER = libc(?=.*;$)")  # an older server does not know these
_PUBLIC = b"REVOKE CREATE ON SCHEMA public FROM PUBLIC;"  # pg_dump takes it for done, as it is in 15 and later
_WRITING = {"PGOPTIONS": "-c default_transaction_read_only=off"}  # the torture's own setting refuses its own dump


def assert_same_database(left: Address, right: Address) -> None:
    one, two = dumped(left), dumped(right)
    if one != two:
        raise AssertionError(f"{left} and {right} differ:\n{_difference(one, two)}")


def dumped(address: Address) -> list[bytes]:
    """The lines of a dump, with what is set on the database itself, and its name left open."""
    text = _dump(address).replace(address.database.encode(), b"DATABASE")
    return list(_sorted_rows(line for line in text.split(b"\n") if not any(re.fullmatch(p, line) for p in VOLATILE)))


@contextmanager
def copied_by_pg_dump(source: Address, server: Server) -> Iterator[Address]:
    """What ``pg_dump | psql`` makes of a database on a server: the measure of a copy there."""
    copy = address_of(server, f"{source.database}_copied")
    text = _dump(source).replace(source.database.encode(), copy.database.encode())
    for pattern in _NEW:
        text = re.sub(pattern, b"", text, flags=re.MULTILINE)
    if int(query(address_of(server), "SHOW server_version_num")[0][0]) < 150_000:
        text = re.sub(rb"^\\connect .*$", rb"\g<0>\n" + _PUBLIC, text, count=1, flags=re.MULTILINE)
    try:
        command = [programs() / "psql", "-Xq", "-v", "ON_ERROR_STOP=1"]
        done = subprocess.run(
            command, env=address_of(server).environment() | _WRITING, input=text, capture_output=True, timeout=120
        )
        assert done.returncode == 0, done.stderr.decode(errors="replace")
        yield copy
    finally:
        drop_database(server, copy.database)


def _dump(address: Address) -> bytes:
    command = [programs() / "pg_dump", "--create", f"--restrict-key={_KEY}", address.database]
    done = subprocess.run(command, env=address.environment(), capture_output=True, timeout=120)
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    return done.stdout


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
