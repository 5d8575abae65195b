"""make up: Airflow with its UI on this project, until Ctrl-C. PORT=8080 by default."""

from __future__ import annotations

from project import HOME, port_wanted, standalone


def main() -> None:
    HOME.mkdir(exist_ok=True)
    airflow = standalone(HOME, port_wanted() or 8080)
    print("starting Airflow ...", flush=True)
    with airflow:
        print(f"{airflow.url}   (no log-in; Ctrl-C stops it)", flush=True)
        try:
            airflow.wait()
        except KeyboardInterrupt:
            print("stopping")


if __name__ == "__main__":
    main()
