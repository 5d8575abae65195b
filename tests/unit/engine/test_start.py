"""What a step costs before it begins: each is a process of its own."""

from __future__ import annotations

import subprocess
import sys

HEAVY = ("pandas", "great_expectations", "boto3", "airflow")


def test_the_steps_are_imported_without_what_only_some_of_them_need() -> None:
    script = f"import sys, rlg_backup.engine.steps; print(*(name for name in {HEAVY} if name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "\n"
