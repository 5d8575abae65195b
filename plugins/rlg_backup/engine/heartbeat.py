"""Keeps a run's leases alive while a step works, says when one was lost, and gives them back."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from ..catalog import Lease
from ..core.errors import BackupError, LeaseLost
from .wiring import Wiring
from .workspace import Reference, Workspace

log = logging.getLogger(__name__)


@contextmanager
def heartbeat(wiring: Wiring, reference: Reference) -> Iterator[None]:
    """Renew every lease of the run, and its staging folder's time, now and at each third of a lease's life.

    A lease that was taken over is logged and left alone: the others are kept, and the commit, which is
    fenced, is what refuses.
    """
    leases = {target: wiring.lease(target, state) for target, state in reference.leases.items()}
    folder = wiring.settings.staging.folder
    Workspace.keep(folder, reference)
    _renew(leases)
    done = threading.Event()
    pause = wiring.settings.lease_minutes * 60 / 3

    def beat() -> None:
        while not done.wait(pause):
            Workspace.keep(folder, reference)
            _renew(leases)

    thread = threading.Thread(target=beat, name="lease-heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def give_back(wiring: Wiring, leases: Mapping[str, Mapping[str, Any]]) -> None:
    """Release a run's leases, by their states, the last taken first: who gets the first target's finds the others free.

    One that cannot be given back is logged, and runs out by itself.
    """
    for target, state in reversed(list(leases.items())):
        try:
            wiring.lease(target, state).release()
        except BackupError as error:
            log.warning("the lease of '%s' on '%s' is left to run out: %s", state.get("source"), target, error)


def _renew(leases: dict[str, Lease]) -> None:
    for target, lease in list(leases.items()):
        try:
            lease.renew()
        except LeaseLost as error:
            log.error("%s", error)
            del leases[target]
        except BackupError as error:  # the target may answer again before the lease runs out
            log.warning("the lease on target '%s' was not renewed: %s", target, error)
