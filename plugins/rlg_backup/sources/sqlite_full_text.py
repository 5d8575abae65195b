"""Full-text tables of SQLite: an index of another table's words, in tables of its own that a backup saves as they are.

Of rows that a restore leaves out, and of texts that it masks, the words would still be there. So such an index is made
anew of what is there, once the copy was proven to be what was saved.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ..core.errors import DestinationUnsuitable
from .sqlite_schema import SchemaRow, quoted

_USING = re.compile(rb"USING\s+[\"'`\[]?fts[345]\b", re.IGNORECASE)
_CONTENT = re.compile(rb"""\bcontent\s*=\s*('(?:[^']|'')*'|"(?:[^"]|"")*"|`[^`]*`|\[[^\]]*\]|\w*)""", re.IGNORECASE)


@dataclass(frozen=True)
class FullText:
    """A virtual table, and the table whose rows it is an index of; None where it has texts, or words, of its own."""

    name: str
    content: str | None


def full_text_tables(rows: Iterable[SchemaRow]) -> Iterator[FullText]:
    """Those of a database, by its definitions."""
    for row in rows:
        if row.virtual and _USING.search(row.sql or b""):
            found = _CONTENT.search(row.sql or b"")
            words = found[1].decode("utf-8", "replace") if found else ""
            quote = words[:1]
            plain = words[1:-1].replace(quote * 2, quote) if quote in ("'", '"', "`") else words.strip("[]")
            yield FullText(row.name.decode(), plain or None)


def make_anew(path: Path, rows: Collection[SchemaRow], erased: Collection[str]) -> list[str]:
    """Makes each index of one of the ``erased`` tables anew, in a database that nobody else has open; what was in it is
    overwritten. Returns what is to be told of those that cannot be.

    Raises DestinationUnsuitable where SQLite cannot make one here.
    """
    gone, tables, told = {title.casefold() for title in erased}, _tables(rows), []
    for one in full_text_tables(rows) if gone else ():
        if one.content is None:
            told.append(f"full-text table '{one.name}': its own texts are not searched for erased people")
        elif one.content.casefold() in gone:
            if (error := _rebuild(path, one)) is not None:
                cause = f"it has words of rows that were to be erased from '{one.content}', and SQLite cannot"
                hint = "restore where the application's own SQLite extensions are"
                raise DestinationUnsuitable("index", one.name, f"{cause} make it anew here", hint) from error
        elif one.content.casefold() not in tables:  # to make it anew would run a view of the archive
            told.append(f"full-text table '{one.name}': it may have words of erased people until it is rebuilt")
    return told


def make_all_anew(path: Path, rows: Collection[SchemaRow]) -> list[str]:
    """The same for every index, where texts were masked. Returns what is to be told of those that cannot be: an index
    without texts, or of a view."""
    tables, told = _tables(rows), []
    for one in full_text_tables(rows):
        if (one.content or "").casefold() not in {*tables, ""} or _rebuild(path, one) is not None:
            told.append(f"full-text table '{one.name}': it may have words of what is masked until it is rebuilt")
    return told


def _tables(rows: Collection[SchemaRow]) -> set[str]:
    return {row.name.decode().casefold() for row in rows if row.type == "table" and row.root}


def _rebuild(path: Path, one: FullText) -> sqlite3.Error | None:
    """What SQLite says against it."""
    connection = sqlite3.connect(str(path), isolation_level=None)
    try:
        for pragma in ("trusted_schema = OFF", "secure_delete = ON", "journal_mode = OFF", "synchronous = OFF"):
            connection.execute(f"PRAGMA {pragma}").fetchone()
        name = quoted(one.name)
        connection.execute(f"INSERT INTO {name} ({name}) VALUES ('rebuild')")  # noqa: S608 - a quoted name
    except sqlite3.Error as error:
        return error
    finally:
        connection.close()
    return None
