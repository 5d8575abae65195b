"""make up: Airflow with its UI on this project, until Ctrl-C. PORT=8080 by default."""

from __future__ import annotations

import signal
import sys

from project import HOME, port_wanted, standalone


def main() -> None:
    HOME.mkdir(exist_ok=True)
    for number in (signal.SIGINT, signal.SIGTERM):  # also where a shell started us with SIGINT ignored
        signal.signal(number, signal.default_int_handler)
    airflow = standalone(HOME, port_wanted() or 8080)
    print("starting Airflow ...", flush=True)
    try:
        with airflow:
            print(f"{airflow.url}   (no log-in; Ctrl-C stops it)", flush=True)
            airflow.wait()
    except KeyboardInterrupt:
        print("stopped")
    except RuntimeError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
