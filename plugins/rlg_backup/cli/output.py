"""How the command line speaks: text for a person, JSON for a machine, progress on a terminal."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from ..core.errors import BackupError
from ..core.model import Check, Verdict

PIPED = 10_000  # columns
MARKS = {Verdict.PASS: ("✓", "green"), Verdict.FAIL: ("✗", "red"), Verdict.COULD_NOT_VERIFY: ("?", "yellow")}


def printable(text: str) -> str:
    """The text without control characters and lone surrogates, as escapes: names in a source can hold anything, and a
    terminal obeys what it is sent."""
    return "".join(
        character if character.isprintable() or character in "\n\t" else character.encode("unicode_escape").decode()
        for character in text
    )


class Output:
    """One command's output. ``as_json`` prints one JSON value and nothing else on standard output."""

    def __init__(self, as_json: bool) -> None:
        self.as_json = as_json
        self.console = Console(highlight=False, soft_wrap=True, emoji=False)
        if not self.console.is_terminal:
            self.console.width = PIPED  # a line of a table stays a line for what reads it

    def say(self, text: str, style: str | None = None) -> None:
        """A line for a person; silent with --json."""
        if not self.as_json:
            self.console.print(printable(text), style=style, markup=False)

    def data(self, value: Any) -> None:
        """The result for a machine; silent without --json."""
        if self.as_json:
            click.echo(json.dumps(value, indent=2, default=str))

    def table(self, headers: list[str], rows: list[list[str]], right: tuple[int, ...] = ()) -> None:
        """Rows for a person. Text is never read as markup; headers that are all empty are left out."""
        if self.as_json:
            return
        table = Table(box=None, pad_edge=False, header_style="bold", show_header=any(headers))
        for number, header in enumerate(headers):
            table.add_column(header, justify="right" if number in right else "left", overflow="fold")
        for row in rows:
            table.add_row(*(Text(printable(cell)) for cell in row))
        self.console.print(table)

    def checks(self, checks: list[Check] | tuple[Check, ...]) -> None:
        """Each check on a line: a mark, its name, what was measured."""
        for check in checks:
            mark, colour = MARKS[check.verdict]
            self.say(f"  {mark} {check.group} / {check.name}: {check.measured}", colour if mark != "✓" else None)

    def verdict(self, verdict: Verdict, text: str) -> None:
        mark, colour = MARKS[verdict]
        self.say(f"{mark} {verdict.value}  {text}", f"bold {colour}")


@contextmanager
def progress_bar(enabled: bool) -> Iterator[Any]:
    """A callback ``(what, done, total)`` that draws bars on a terminal, and does nothing elsewhere."""
    console = Console(stderr=True)
    if not enabled or not console.is_terminal:
        yield lambda what, done, total: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed:,.0f}"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bars:
        known: dict[str, Any] = {}

        def show(what: str, done: int, total: int) -> None:
            if what not in known:
                known[what] = bars.add_task(what, total=total or None)
                if len(known) > 6:  # older lines scroll away
                    bars.remove_task(known.pop(next(iter(known))))
            bars.update(known[what], completed=done, total=total or None)

        yield show


def told(error: BackupError) -> dict[str, str | None]:
    """An error as JSON."""
    return {"error": type(error).__name__, "message": error.text, "hint": error.hint}


def fail(error: BackupError, as_json: bool) -> int:
    """Print an error; returns the exit code of its class."""
    if as_json:
        click.echo(json.dumps(told(error), indent=2))
    else:
        console = Console(stderr=True, highlight=False, soft_wrap=True, emoji=False)
        console.print(f"error: {printable(str(error))}", style="red", markup=False)
    sys.stdout.flush()
    return error.exit_code
