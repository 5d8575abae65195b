"""Parses the DAG files as a dag-processor does and prints what it met, as JSON. Run as a script; all is by environment.

Every attempt to reach a network is refused and listed. Airflow's own imports are paid for before the clock starts.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

HEAVY = ("pyarrow", "polars", "boto3", "botocore", "great_expectations", "pandas", "cryptography", "duckdb")
attempts: list[str] = []


def refuse(event: str, arguments: tuple[Any, ...]) -> None:
    if event in ("socket.connect", "socket.getaddrinfo", "socket.sendto", "socket.gethostbyname"):
        attempts.append(f"{event} {arguments[1:]}")
        raise OSError("no network while parsing")


def main() -> None:
    dags, plugins = (Path(os.environ[f"AIRFLOW__CORE__{name}_FOLDER"]) for name in ("DAGS", "PLUGINS"))
    import airflow.sdk  # noqa: F401  # what every DAG file imports: not ours to pay for
    from airflow import plugins_manager
    from airflow.dag_processing.dagbag import BundleDagBag
    from airflow.providers.standard.operators.python import PythonOperator  # noqa: F401  # the operator of @task

    before = set(sys.modules)
    sys.addaudithook(refuse)
    _, plugin_errors = plugins_manager._get_plugins()
    files, errors = {}, {}
    for file in sorted(dags.glob("*.py")):
        wall, start = time.perf_counter(), time.process_time()
        bag = BundleDagBag(file, bundle_path=dags, bundle_name="dags-folder")
        seconds = {"processor": time.process_time() - start, "wall": time.perf_counter() - wall}
        files[file.name] = {"dags": sorted(bag.dags), **seconds}
        errors.update(bag.import_errors)
    loaded = set(sys.modules) - before
    ours = str(plugins / "rlg_backup") + os.sep
    report = {
        "files": files,
        "errors": errors,
        "plugin_errors": plugin_errors,
        "attempts": attempts,
        "heavy": sorted(name for name in HEAVY if name in loaded),
        "bare": sorted(  # modules of the package under their file name alone
            name
            for name, module in sys.modules.items()
            if name.isidentifier() and name != "rlg_backup" and str(getattr(module, "__file__", None)).startswith(ours)
        ),
    }
    sys.stdout.write("\n" + json.dumps(report) + "\n")


if __name__ == "__main__":
    main()
