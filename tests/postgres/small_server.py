"""Called in a Room: a server whose databases lie on a disk of the room's own, and its log of changes on another."""

from __future__ import annotations

import shutil
from pathlib import Path

from rlg_backup.demo.server import Server

SETTINGS = ("max_connections=20", "shared_buffers=16MB", "max_wal_size=4GB", "autovacuum=off", "wal_level=minimal",
            "max_wal_senders=0")  # fmt: skip


def start(folder: str, log: str, programs: str) -> dict[str, object]:
    """Makes it below ``folder`` and starts it: where it listens, and its superuser's password. The write-ahead log lies
    in ``log``: without room for that, a server crashes."""
    server = Server(Path(folder), programs=Path(programs), settings=SETTINGS)
    server.start()
    server.stop()
    wal = server.folder / "data" / "pg_wal"
    shutil.move(wal, log)
    wal.symlink_to(log)
    server.start()
    return {"port": server.port, "password": server.password}


def restart(folder: str, programs: str) -> None:
    """Without any room a server crashes, and may not come up by itself."""
    server = Server(Path(folder), programs=Path(programs), settings=SETTINGS)
    server.stop("immediate")
    server.start()


def stop(folder: str, programs: str) -> None:
    Server(Path(folder), programs=Path(programs)).stop("immediate")
