"""make bench WHAT=storage: our drivers beside the vendors' own SDK calls, on one file and one emulator of each cloud.

Every transfer is a process of its own, in turns. Seconds are without imports and without making the client. Emulators
on this machine take most of the time on both sides: read ratios. It fails only where a transfer fails or a download
differs.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any, Final

from rich.console import Console
from rich.table import Table
from tests.support.clouds import cloud

from bench.line import bounded
from bench.machine import described
from bench.processes import MB, PROJECT, CommandFailed, run

CLOUDS: Final = ("s3", "gcs", "azure")
WHO: Final = ("ours", "sdk")
VERBS: Final = ("upload", "download")


@dataclass(frozen=True)
class Transfer:
    """One run: seconds of the transfer alone, processor seconds and the most memory (bytes) of its process."""

    cloud: str
    verb: str
    who: str
    wall: float
    cpu: float
    memory: float


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=float, default=1, help="GB of the file  [1]")
    parser.add_argument("--repeats", type=int, default=3, help="how often a transfer is measured  [3]")
    parser.add_argument("--clouds", nargs="*", default=CLOUDS, choices=CLOUDS, help="only these")
    parser.add_argument("--line", type=float, default=0, help="MB/s that a connection gives an upload  [no bound]")
    parser.add_argument("--folder", type=Path, default=PROJECT / ".bench", help="where it is done")
    given = parser.parse_args()
    console = Console(width=None if sys.stdout.isatty() else 120)
    root: Path = given.folder.absolute() / "storage"
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    bound = f"-line-{given.line:g}" if given.line else ""
    result = given.folder / f"storage-{given.size:g}GB{bound}.json"
    done: list[Transfer] = []
    try:
        sha256 = _make(root / "file", int(given.size * 1000 * MB))
        for kind in given.clouds:
            for one in _transfers(root, kind, sha256, given.repeats, given.line * MB):
                done.append(one)
                console.print(f"[dim]{one.cloud} {one.verb} {one.who}: {one.wall:.1f} s[/dim]")
                runs = [asdict(o) for o in done]
                result.write_text(json.dumps({**described(), "size": given.size, "line": given.line, "runs": runs}))
    except CommandFailed as failure:
        console.print(str(failure), style="red", markup=False)
        return 1
    finally:
        shutil.rmtree(root, ignore_errors=True)
    _show(console, done, given.size)
    console.print(f"[dim]{result}[/dim]")
    return 0


def _make(path: Path, size: int) -> str:
    """A file of random bytes, as an archive is; its SHA-256."""
    digest = hashlib.sha256()
    with path.open("wb") as file:
        for start in range(0, size, 16 * MB):
            block = os.urandom(min(16 * MB, size - start))
            digest.update(block)
            file.write(block)
    return digest.hexdigest()


def _transfers(root: Path, kind: str, sha256: str, repeats: int, line: float) -> Iterator[Transfer]:
    with cloud(kind) as there, bounded(there.settings["endpoint_url"], line) as url:
        os.environ.update(there.environment)
        settings = json.dumps({**there.settings, "endpoint_url": url, "prefix": ""})
        for number in range(repeats):
            for who in WHO[::-1] if number % 2 else WHO:
                key = f"{who}-{number}"
                for verb, name in (("upload", "file"), ("download", "back")):
                    yield _transfer(kind, verb, who, [settings, key, str(root / name), sha256])
                _require_same(root / "back", sha256, f"{kind} {who}")
                _transfer(kind, "remove", "ours", [settings, key, "", sha256])  # else each round finds less room


def _transfer(kind: str, verb: str, who: str, arguments: list[str]) -> Transfer:
    os.sync()  # or it is the next transfer that waits for what this one left to be written
    ran = run(f"{kind} {verb} {who}", ["-m", "bench.transfer", who, verb, *arguments])
    return Transfer(kind, verb, who, float(ran.output), ran.cpu, ran.peak)


def _require_same(path: Path, sha256: str, what: str) -> None:
    with path.open("rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != sha256:
            raise CommandFailed(f"{what}: what came back is not what was stored")
    path.unlink()


def _show(console: Console, done: list[Transfer], size: float) -> None:
    table = Table(
        title=f"{size:g} GB", header_style="bold", caption="SPEED: ours in proportion to the SDK's, median of pairs"
    )
    for heading in ("CLOUD", "", "OURS s", "SDK s", "SPEED", "OURS CPU s", "SDK CPU s", "OURS MB", "SDK MB"):
        table.add_column(heading, justify="left" if heading in ("CLOUD", "") else "right")
    for kind in dict.fromkeys(one.cloud for one in done):
        for verb in VERBS:
            ours, sdk = (_medians([o for o in done if (o.cloud, o.verb, o.who) == (kind, verb, who)]) for who in WHO)
            speed = f"{_speed([one for one in done if (one.cloud, one.verb) == (kind, verb)]):.2f}"
            walls = (f"{ours['wall']:.1f}", f"{sdk['wall']:.1f}", speed)
            rest = (f"{ours['cpu']:.1f}", f"{sdk['cpu']:.1f}", *(f"{one['memory'] / MB:,.0f}" for one in (ours, sdk)))
            table.add_row(kind, verb, *walls, *rest)
    console.print(table)


def _speed(runs: list[Transfer]) -> float:
    """Of pairs, each measured one after the other: a machine is faster at some times than at others."""
    ours, sdk = ([one.wall for one in runs if one.who == who] for who in WHO)
    return median(theirs / own for own, theirs in zip(ours, sdk, strict=True))


def _medians(runs: list[Transfer]) -> Mapping[str, Any]:
    return {name: median(getattr(one, name) for one in runs) for name in ("wall", "cpu", "memory")}


if __name__ == "__main__":
    sys.exit(main())
