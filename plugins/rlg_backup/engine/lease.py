"""The lease that whoever decides about a source's backups on one target holds while he does."""

from __future__ import annotations

import getpass
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from ..catalog import Lease
from .heartbeat import give_back
from .wiring import Wiring


@contextmanager
def held(wiring: Wiring, source: str, target: str, work: str = "retention") -> Iterator[Lease]:
    """``work`` is told to others that want it. Raises LeaseHeld while a run is at work on the source there. It is given
    back whatever happens."""
    lease = Lease.acquire(
        wiring.storage(target),
        source,
        f"{_printable(socket.gethostname())}/{os.getpid()}/{work}",
        timedelta(minutes=wiring.settings.lease_minutes),
        trusted=wiring.trusted,
        clock=wiring.clock,
    )
    try:
        yield lease
    finally:
        give_back(wiring, {target: lease.state()})


def whoever() -> str:
    """Who asks for it, to people: this user on this host."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError):  # a container's user has no name
        user = f"uid {os.geteuid()}"
    return f"{_printable(user)}@{_printable(socket.gethostname())}"


def _printable(name: str) -> str:
    return "".join(one if one.isascii() and one.isprintable() else "?" for one in name)[:80]
