"""Makes a whole platform: two databases and a file tree."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from errno import ENOSPC
from itertools import chain
from pathlib import Path
from time import monotonic

from ..core.errors import ConfigurationError, DestinationUnsuitable, InvalidSetting, StorageFull
from .data_accounts import account_rows
from .data_operations import operation_rows
from .data_services import service_rows
from .database import count_rows, make_database
from .fans_accounts import fan_rows
from .fans_services import contact_rows
from .geography import load_geography
from .outcome import DATABASES, TREE, Progress, Summary
from .people import People
from .platform import Maker, Platform, Rows, shared_rows
from .reference import load_reference
from .tree import make_tree, measure

MAKERS: dict[str, tuple[Maker, ...]] = {
    "rlg_data": (shared_rows, account_rows, service_rows, operation_rows),
    "rlg_fans": (shared_rows, fan_rows, contact_rows),
}


def generate(
    folder: Path, *, include: Path, seed: int = 7, size: int = 2000, progress: Progress | None = None
) -> Summary:
    """Makes ``rlg_data.db``, ``rlg_fans.db`` and ``files/`` in a folder; ``size`` is accounts in RLG Data.

    ``include`` is the project's include folder (fixed data, prices, regions). Equal seeds and sizes
    give equal rows and files. Each part appears under its name when it is complete; a second run after
    a failure begins anew. Raises InvalidSetting (size), DestinationUnsuitable (a part is already
    there), ConfigurationError (fixed data, a missing package, a folder that cannot be written),
    StorageFull.
    """
    if size < 1:
        raise InvalidSetting("generate", str(folder), f"the size is {size}, the least is 1")
    started = monotonic()
    reference = load_reference(include, DATABASES)
    geography = load_geography(reference, seed, size)
    platform = Platform(seed, size, reference, geography, People(seed, reference.people, geography))
    with disk_faults("generate", folder):
        folder.mkdir(parents=True, exist_ok=True)
        _refuse_overwriting(folder)
        making = [(folder / f"{part}.unfinished", folder / part) for part in _parts()]
        for (path, _), name in zip(making, DATABASES, strict=False):
            path.unlink(missing_ok=True)
            make_database(path, reference.definitions[name], _rows(platform, name), name, progress)
        tree = making[-1][0]
        if tree.exists():
            shutil.rmtree(tree)
        tree.mkdir()
        make_tree(tree, platform, progress)
        for path, final in making:
            path.rename(final)
    return survey(folder, {}, started)


def survey(folder: Path, operations: dict[str, int], started: float) -> Summary:
    """Counts what a platform holds; ``started`` is of the monotonic clock."""
    tables = {f"{name}.{table}": n for name in DATABASES for table, n in count_rows(folder / f"{name}.db").items()}
    entries, size = measure(folder / TREE)
    return Summary(tables, entries, size, operations, monotonic() - started)


@contextmanager
def disk_faults(verb: str, folder: Path) -> Iterator[None]:
    """Turns what the disk or SQLite says into one of our errors."""
    try:
        yield
    except OSError as error:
        kind = StorageFull if error.errno == ENOSPC else ConfigurationError
        raise kind(verb, str(folder), error.strerror or type(error).__name__) from error
    except sqlite3.Error as error:
        # The message may quote a value; the name of the code cannot.
        said = getattr(error, "sqlite_errorname", type(error).__name__)
        raise (StorageFull if said == "SQLITE_FULL" else ConfigurationError)(
            verb, str(folder), f"SQLite says {said}"
        ) from error


def _parts() -> tuple[str, ...]:
    return (*(f"{name}.db" for name in DATABASES), TREE)


def _refuse_overwriting(folder: Path) -> None:
    for part in _parts():
        if (folder / part).exists():
            raise DestinationUnsuitable("generate", str(folder), f"it already holds {part}", "name an empty folder")


def _rows(platform: Platform, database: str) -> Iterable[Rows]:
    return chain.from_iterable(make(platform) for make in MAKERS[database])
