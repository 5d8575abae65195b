"""Two processes on one source, and one that is told to end."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from tests.support.world import World

from rlg_backup.catalog import Lease

ROOT = Path(__file__).resolve().parents[2]
COMMAND = Path(sys.executable).with_name("rlg-backup")


def test_a_second_process_on_the_same_source_is_told_who_holds_it(world: World) -> None:
    """A process takes the lease and is killed with it; another is refused until the lease has run out."""
    script = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from rlg_backup.config.load import load\n"
        "from rlg_backup.core.model import Kind\n"
        "from rlg_backup.engine import steps\n"
        "from rlg_backup.engine.wiring import Wiring\n"
        "file = Path(sys.argv[1])\n"
        "steps.stage(Wiring(load(file), base=file.parent), 'app', Kind.FULL, run='night')\n"
        "print('held', flush=True)\n"
        "time.sleep(60)\n"
    )
    before = world.objects()
    with process(sys.executable, "-c", script, str(world.config)) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        lease = json.loads((world.target() / "catalog" / "app" / "lease.json").read_bytes())
        done = subprocess.run(
            [COMMAND, "--config", world.config, "backup"],
            env=environment(), capture_output=True, text=True, timeout=60,
        )  # fmt: skip
    text = (
        f"error: unable to lease 'app': '{os.uname().nodename}/{holder.pid}/night' holds it on target 'local' "
        f"until {lease['expires_at']}\nhint: wait until that run ends, or its lease runs out\n"
    )
    assert (done.returncode, done.stdout, done.stderr) == (1, "", text)
    assert world.objects() == before


def test_a_backup_told_to_end_wipes_its_staging_and_gives_its_lease_back(world: World) -> None:
    connection = sqlite3.connect(world.root / "app.db")
    connection.execute("CREATE TABLE many (a)")
    connection.execute(
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000000) "
        "INSERT INTO many SELECT i FROM n"
    )
    connection.commit()
    connection.close()
    before = world.objects()
    with process(str(COMMAND), "--config", str(world.config), "backup") as run:
        deadline = time.monotonic() + 30
        while not any("member" in name for name in world.staged()):
            assert time.monotonic() < deadline and run.poll() is None
            time.sleep(0.01)
        run.send_signal(signal.SIGTERM)
        out, err = run.communicate(timeout=30)
    assert (run.returncode, out) == (1, "")
    assert err.lstrip("\n") == "stopped; 'rlg-backup list' shows what was committed before\n"
    assert (world.objects(), world.staged()) == (before, [])
    wiring = world.wiring()
    Lease.acquire(wiring.storage("local"), "app", "test", timedelta(minutes=1), trusted=wiring.trusted).release()


@contextmanager
def process(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    child = subprocess.Popen(arguments, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        yield child
    finally:
        child.kill()
        child.wait()
        for pipe in (child.stdout, child.stderr):
            assert pipe is not None
            pipe.close()


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT / "plugins")}
