"""The process inside a Room: makes its mounts, and forks a process for each command.

It reads one JSON order a line and answers with one. A forked process does all work, so that limits, users and threads
are the command's own; this one has imported the program and does nothing else.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import json
import os
import resource
import select
import sys
import traceback
from collections.abc import Callable
from typing import Any

import rlg_backup.engine.backup
import rlg_backup.engine.doctor
import rlg_backup.engine.drill
import rlg_backup.engine.restore
import rlg_backup.engine.restore_points
import rlg_backup.engine.verify
import rlg_backup.sources.files_destination
import rlg_backup.sources.geography
import rlg_backup.sources.sqlite
import rlg_backup.sources.sqlite_destination
import rlg_backup.storage.local  # noqa: F401 - a command must not pay for them again
from rlg_backup.cli.main import main

BROKEN = 99  # the exit code of a command that could not even begin or end
RDONLY, REMOUNT, DETACH = 1, 32, 2  # sys/mount.h
_libc = ctypes.CDLL(None, use_errno=True)


def mount(place: str, options: str = "", *, again: bool = False, read_only: bool = False) -> None:
    """A tmpfs at ``place``, or its options anew."""
    flags = (REMOUNT if again else 0) | (RDONLY if read_only else 0)
    if _libc.mount(b"tmpfs", os.fsencode(place), b"tmpfs", flags, options.encode()):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), place)


def unmount(place: str) -> None:
    """Takes a file system away, also from whoever has files of it open (umount -l)."""
    if _libc.umount2(os.fsencode(place), DETACH):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), place)


def run(arguments: list[str], limits: dict[str, int], user: int | None) -> dict[str, Any]:
    """The command line as a process of its own."""
    return _apart(lambda: main(arguments), limits, user)


def call(function: str, given: dict[str, Any], limits: dict[str, int], user: int | None) -> dict[str, Any]:
    """``module:function`` in a process of its own; what it returns is printed as JSON."""
    module, name = function.split(":")

    def work() -> None:
        print(json.dumps(getattr(importlib.import_module(module), name)(**given)))

    return _apart(work, limits, user)


def _apart(work: Callable[[], Any], limits: dict[str, int], user: int | None) -> dict[str, Any]:
    (out, out_end), (err, err_end) = os.pipe(), os.pipe()  # pipes: no limit of the command's applies to them
    child = os.fork()
    if child == 0:
        try:
            os.dup2(out_end, 1)
            os.dup2(err_end, 2)
            for descriptor in range(3, out_end + 4):
                with contextlib.suppress(OSError):
                    os.close(descriptor)
            _end(work, limits, user)
        finally:
            os._exit(BROKEN)
    os.close(out_end)
    os.close(err_end)
    texts = _read({out: b"", err: b""})
    _, status = os.waitpid(child, 0)
    return {"code": os.waitstatus_to_exitcode(status), "out": texts[out].decode(), "err": texts[err].decode()}


def _read(texts: dict[int, bytes]) -> dict[int, bytes]:
    """Everything that comes out of these descriptors."""
    left = set(texts)
    while left:
        for descriptor in select.select(list(left), [], [])[0]:
            data = os.read(descriptor, 1 << 16)
            texts[descriptor] += data
            if not data:
                left.remove(descriptor)
                os.close(descriptor)
    return texts


def _end(work: Callable[[], Any], limits: dict[str, int], user: int | None) -> None:
    """Does the work and ends as an interpreter does."""
    code = 1
    for name, limit in limits.items():
        more = _address_space() if name == "RLIMIT_AS" else 0
        resource.setrlimit(getattr(resource, name), (limit + more, limit + more))
    if user is not None:
        os.setgroups([])
        os.setresgid(user, user, user)
        os.setresuid(user, user, user)
    try:
        work()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:  # what an interpreter does with what nobody caught
        traceback.print_exc()
    gc.collect()  # what is only noticed now is told too
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _address_space() -> int:
    """Bytes this process has already: the limit is what a command may take beside them."""
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[0]) * resource.getpagesize()


def learn(commands: list[list[str]]) -> None:
    """Imports what these commands import when they run, so that one of another user, or without descriptors, has it."""

    def work() -> None:
        for command in commands:
            _quiet(command)
        print(json.dumps(list(sys.modules)))

    for name in json.loads(_apart(work, {}, None)["out"].splitlines()[-1]):
        with contextlib.suppress(ImportError):  # parts of C modules that have no name of their own
            importlib.import_module(name)


def _quiet(command: list[str]) -> None:
    with contextlib.suppress(SystemExit):
        main(command)


ORDERS: dict[str, Callable[..., Any]] = {"learn": learn, "mount": mount, "unmount": unmount, "run": run, "call": call}


def serve() -> None:
    orders, answers = os.fdopen(os.dup(0), "r"), os.fdopen(os.dup(1), "w")
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    print(json.dumps({"pid": os.getpid()}), file=answers, flush=True)
    for line in orders:
        order = json.loads(line)
        try:
            answer: Any = {"done": ORDERS[order.pop("do")](**order)}
        except OSError as error:
            answer = {"error": str(error)}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    serve()
