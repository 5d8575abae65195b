"""make up: Airflow with its UI on this project, until Ctrl-C. PORT=8080 by default."""

from __future__ import annotations

import argparse
import signal
import sys

from scripts.project import SOURCES, Setup, port_wanted

from rlg_backup.core.errors import BackupError


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", choices=SOURCES, default=SOURCES[0], help="what the demo's databases are kept in")
    setup = Setup(parser.parse_args().source)
    for number in (signal.SIGINT, signal.SIGTERM):  # also where a shell started us with SIGINT ignored
        signal.signal(number, signal.default_int_handler)
    try:
        with setup.serving():
            airflow = setup.airflow(port_wanted() or 8080)
            print("starting Airflow ...", flush=True)
            with airflow:
                print(f"{airflow.url}   (no log-in; Ctrl-C stops it)", flush=True)
                airflow.wait()
    except KeyboardInterrupt:
        print("stopped")
    except (RuntimeError, BackupError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
