"""Makes a whole platform: two databases and a file tree."""

from __future__ import annotations

import shutil
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
from .databases import Databases, databases_of
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
    folder: Path,
    *,
    include: Path,
    seed: int = 7,
    size: int = 2000,
    server: str | None = None,
    progress: Progress | None = None,
) -> Summary:
    """Makes ``rlg_data.db``, ``rlg_fans.db`` and ``files/`` in a folder; ``size`` is accounts in RLG Data.

    With ``server``, the URL of a PostgreSQL server as a superuser of it, the databases ``rlg_data`` and ``rlg_fans``
    are made there in place of the files. ``include`` is the project's include folder (fixed data, prices, regions).
    Equal seeds and sizes give equal rows and files. Each part appears under its name when it is complete; a second run
    after a failure begins anew. Raises InvalidSetting (size), DestinationUnsuitable (a part is already there),
    ConfigurationError (fixed data, a missing package, a folder that cannot be written, a server), StorageFull.
    """
    if size < 1:
        raise InvalidSetting("generate", str(folder), f"the size is {size}, the least is 1")
    started = monotonic()
    databases = databases_of(folder, server)
    reference = load_reference(include, DATABASES, databases.kind)
    geography = load_geography(reference, seed, size)
    platform = Platform(seed, size, reference, geography, People(seed, reference.people, geography))
    with disk_faults("generate", folder), databases.faults("generate"):
        folder.mkdir(parents=True, exist_ok=True)
        _refuse_overwriting(folder, databases)
        for name in DATABASES:
            databases.make(name, reference.definitions[name], _rows(platform, name), progress)
        tree = folder / f"{TREE}.unfinished"
        if tree.exists():
            shutil.rmtree(tree)
        tree.mkdir()
        make_tree(tree, platform, progress)
        for name in DATABASES:
            databases.publish(name)
        tree.rename(folder / TREE)
        return survey(folder, databases, {}, started)


def survey(folder: Path, databases: Databases, operations: dict[str, int], started: float) -> Summary:
    """Counts what a platform holds; ``started`` is of the monotonic clock."""
    tables = {f"{name}.{table}": n for name in DATABASES for table, n in databases.count_rows(name).items()}
    entries, size = measure(folder / TREE)
    return Summary(tables, entries, size, operations, monotonic() - started)


@contextmanager
def disk_faults(verb: str, folder: Path) -> Iterator[None]:
    """Turns what the disk says into one of our errors."""
    try:
        yield
    except OSError as error:
        kind = StorageFull if error.errno == ENOSPC else ConfigurationError
        raise kind(verb, str(folder), error.strerror or type(error).__name__) from error


def _refuse_overwriting(folder: Path, databases: Databases) -> None:
    for name in DATABASES:
        if databases.has(name):
            cause, hint = f"it already holds {databases.title(name)}", f"name an empty {databases.place}"
            raise DestinationUnsuitable("generate", str(databases), cause, hint)
    if (folder / TREE).exists():
        raise DestinationUnsuitable("generate", str(folder), f"it already holds {TREE}", "name an empty folder")


def _rows(platform: Platform, database: str) -> Iterable[Rows]:
    return chain.from_iterable(make(platform) for make in MAKERS[database])
