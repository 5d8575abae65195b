"""make bench: what each command of the product takes on big sources, in time and in memory.

Makes the sources in a folder, backs up, verifies, restores and drills them, every command as a process of its own, and
prints a table; the same goes into a JSON file, which is written anew after each command. It fails only where a
command fails: how fast a machine is and how much memory it takes is for people to judge.
"""

from __future__ import annotations

import argparse
import json
import platform
import shutil
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from bench.processes import MB, PROJECT, CommandFailed, Run, run

BOUND: Final = 400 * MB
VERBS: Final = ("stage", "snapshot", "anonymize", "encrypt", "checksum", "upload", "validate", "commit", "wipe")


@dataclass(frozen=True)
class Measured:
    """One command over one source. ``size`` is what the source holds, ``archive`` what was made of it, in bytes."""

    source: str
    run: Run
    size: int
    archive: int = 0

    @property
    def speed(self) -> float:
        """Bytes of the source a second."""
        return self.size / self.run.wall

    def to_json(self) -> dict[str, Any]:
        taken = {name: value for name, value in asdict(self.run).items() if name != "output"}
        return {"source": self.source, **taken, "bytes_in": self.size, "bytes_out": self.archive, "speed": self.speed}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=float, default=2, help="GB of sources: two tables and one file  [2]")
    parser.add_argument("--entries", type=int, default=0, help="small files in a third source  [none]")
    parser.add_argument("--folder", type=Path, default=PROJECT / ".bench", help="where it is done; emptied first")
    parser.add_argument("--sources", nargs="*", default=None, help="only these  [data files many]")
    given = parser.parse_args()
    console = Console()
    root: Path = given.folder.absolute() / "world"
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    measured: list[Measured] = []
    result = given.folder / f"memory-{given.size:g}GB.json"
    try:
        with console.status("making the sources"):
            made = run("sources", ["-m", "bench.world", root, str(int(given.size * 1000 * MB)), str(given.entries)])
        facts = json.loads(made.output)
        for source in given.sources or facts["bytes"]:
            for one in _measure(root, source, facts["bytes"][source], console):
                measured.append(one)
                result.write_text(json.dumps(_document(measured, facts["rows"]), indent=2))
                console.print(f"[dim]{source} {one.run.name}: {one.run.peak / MB:,.0f} MB, {one.run.wall:.1f} s[/dim]")
    except CommandFailed as failure:
        console.print(str(failure), style="red", markup=False)
        return 1
    finally:
        shutil.rmtree(root, ignore_errors=True)
    _show(console, measured, given.size)
    console.print(f"[dim]{result}[/dim]")
    return 0


def _measure(root: Path, source: str, size: int, console: Console) -> Iterator[Measured]:
    """The verbs one by one, then the whole commands; what was written is removed in between."""
    config, reference = root / "backup.yaml", root / "reference.json"
    command: list[str | Path] = ["-c", "from rlg_backup.cli.main import main; main()", "--config", config]
    place = root / "restored"
    plan: list[tuple[str, list[str | Path]]] = [
        *((verb, ["-m", "bench.verb", config, reference, verb, source]) for verb in VERBS),
        ("backup", [*command, "backup", "--json", "--source", source]),
        ("verify --full", [*command, "verify", "--json", "--full", "--source", source]),
        ("restore", [*command, "restore", "--json", "--source", source, "--to", place]),
        ("drill", [*command, "drill", "--json", "--source", source]),
    ]
    for name, arguments in plan:
        with console.status(f"{source}: {name}"):
            done = run(name, arguments)
        yield Measured(source, done, size, _archive(root, source))
        if name == "wipe":
            shutil.rmtree(root / "backups")
            shutil.rmtree(root / "state", ignore_errors=True)
        if name == "restore":
            shutil.rmtree(place) if place.is_dir() else place.unlink()
    shutil.rmtree(root / "backups")
    shutil.rmtree(root / "state", ignore_errors=True)


def _archive(root: Path, source: str) -> int:
    return sum(path.stat().st_size for path in (root / "backups" / source).rglob("*.age"))


def _show(console: Console, measured: list[Measured], size: float) -> None:
    table = Table(title=f"{size:g} GB: two tables and one file", header_style="bold")
    for heading in ("SOURCE", "COMMAND"):
        table.add_column(heading)
    for heading in ("WALL s", "CPU s", "PEAK MB", "IN MB", "OUT MB", "MB/s"):
        table.add_column(heading, justify="right")
    for one in measured:
        numbers = (one.run.peak / MB, one.size / MB, one.archive / MB, one.speed / MB)
        style = "red" if one.run.peak > BOUND else ""
        seconds = (f"{one.run.wall:.1f}", f"{one.run.cpu:.1f}")
        table.add_row(one.source, one.run.name, *seconds, *(f"{n:,.0f}" for n in numbers), style=style)
    console.print(table)
    most = max(measured, key=lambda one: one.run.peak)
    kept = most.run.peak <= BOUND
    words = f"the bound of {BOUND // MB} MB was {'kept' if kept else 'NOT kept'}"
    console.print(f"{words}: most was {most.run.peak / MB:,.0f} MB, by {most.run.name} of {most.source}")


def _document(measured: list[Measured], rows: int) -> dict[str, Any]:
    return {
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
        "bound": BOUND,
        "kept": all(one.run.peak <= BOUND for one in measured),
        "rows": rows,
        "measured": [one.to_json() for one in measured],
    }


if __name__ == "__main__":
    sys.exit(main())
