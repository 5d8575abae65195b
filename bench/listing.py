"""make bench WHAT=listing: how long a catalog of 10,000 restore points takes to list, on a folder and on an emulator of
each cloud, beside what the vendor's own SDK takes for the bare names.

Ours is measured as a machine lists that was never there, page after page, and as one that knows how far the catalog
went, in stretches. Each in turns; emulators take most of the time: read ratios. It fails only where a point lacks.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any, Final

from pydantic import TypeAdapter
from rich.console import Console
from rich.table import Table
from tests.support.clouds import cloud

from bench.machine import described
from bench.processes import PROJECT, CommandFailed
from rlg_backup.catalog.reading import Catalog
from rlg_backup.catalog.seen import SeenHead, SeenHeads
from rlg_backup.config.targets import Target
from rlg_backup.engine.targets import open_storage, own_client

SOURCE: Final = "rlg_data"
PLACES: Final = ("local", "s3", "gcs", "azure")
PARTED: Final = ("s3", "gcs")  # that begin a list anywhere
WHO: Final = ("ours", "ours, known", "sdk")
_WRITERS: Final = 8


@dataclass(frozen=True)
class Listing:
    """Seconds of one listing, and processor seconds of this process."""

    place: str
    who: str
    wall: float
    cpu: float


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=10_000, help="restore points  [10000]")
    parser.add_argument("--repeats", type=int, default=5, help="how often each is measured  [5]")
    parser.add_argument("--places", nargs="*", default=PLACES, choices=PLACES, help="only these")
    parser.add_argument("--folder", type=Path, default=PROJECT / ".bench", help="where the result goes")
    given = parser.parse_args()
    console = Console(width=None if sys.stdout.isatty() else 120)
    done: list[Listing] = []
    try:
        for place in given.places:
            with TemporaryDirectory() as folder, _target(place, Path(folder)) as settings:
                done += _measured(place, settings, given.size, given.repeats, Path(folder))
    except CommandFailed as failure:
        console.print(str(failure), style="red", markup=False)
        return 1
    _show(console, done, given.size)
    given.folder.mkdir(parents=True, exist_ok=True)
    result = given.folder / f"listing-{given.size}.json"
    result.write_text(json.dumps({**described(), "points": given.size, "runs": [asdict(one) for one in done]}))
    console.print(f"[dim]{result}[/dim]")
    return 0


@contextmanager
def _target(place: str, folder: Path) -> Iterator[Mapping[str, Any]]:
    if place == "local":
        yield {"type": "local", "path": str(folder / "nas")}
        return
    with cloud(place) as there:
        os.environ.update(there.environment)
        yield {**there.settings, "prefix": ""}


def _measured(place: str, settings: Mapping[str, Any], size: int, repeats: int, folder: Path) -> Iterator[Listing]:
    target: Any = TypeAdapter(Target).validate_python(dict(settings))
    storage = open_storage("bench", target)
    names = [f"catalog/{SOURCE}/{number:08d}-20261123T020000Z-{number:08x}-full.json" for number in range(1, size + 1)]
    with ThreadPoolExecutor(_WRITERS) as pool:
        list(pool.map(lambda name: storage.put_bytes(name, b"{}"), names))
    new, known = (Catalog(storage, SOURCE, trusted=(), seen=SeenHeads(folder / name)) for name in ("new", "known"))
    known.seen.remember("bench", SOURCE, SeenHead(size, "0" * 64))
    calls: dict[str, Callable[[], int]] = {"ours": lambda: len(new.points())}
    if place in PARTED:
        calls["ours, known"] = lambda: len(known.points())
    if place != "local":
        calls["sdk"] = lambda: SDK[place](own_client("bench", target), target)
    for number in range(repeats + 1):
        for who in list(calls)[:: -1 if number % 2 else 1]:
            began, cpu = time.perf_counter(), time.process_time()
            found = calls[who]()
            took = Listing(place, who, time.perf_counter() - began, time.process_time() - cpu)
            if found != size:
                raise CommandFailed(f"{place}, {who}: {found} of {size} restore points are listed")
            if number:  # the first of each makes connections and imports
                yield took


def _s3(client: Any, target: Any) -> int:
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=target.bucket, Prefix=f"catalog/{SOURCE}/")
    return sum(len(page.get("Contents", ())) for page in pages)


def _gcs(client: Any, target: Any) -> int:
    return sum(1 for _ in client.list_blobs(target.bucket, prefix=f"catalog/{SOURCE}/"))


def _azure(client: Any, target: Any) -> int:
    container = client.get_container_client(target.container)
    return sum(1 for _ in container.list_blobs(name_starts_with=f"catalog/{SOURCE}/"))


SDK: Final[Mapping[str, Callable[[Any, Any], int]]] = {"s3": _s3, "gcs": _gcs, "azure": _azure}


def _show(console: Console, done: list[Listing], size: int) -> None:
    table = Table(title=f"{size:,} restore points", header_style="bold", caption="medians; known: in stretches")
    for heading in ("PLACE", "", "WALL s", "CPU s"):
        table.add_column(heading, justify="left" if heading in ("PLACE", "") else "right")
    for place in dict.fromkeys(one.place for one in done):
        for who in WHO:
            runs = [one for one in done if (one.place, one.who) == (place, who)]
            if runs:
                wall, cpu = (median(getattr(one, name) for one in runs) for name in ("wall", "cpu"))
                table.add_row(place, who, f"{wall:.2f}", f"{cpu:.2f}")
    console.print(table)


if __name__ == "__main__":
    sys.exit(main())
