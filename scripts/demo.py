"""make demo: the platform generated, backed up, changed, backed up again, verified and drilled through Airflow; each
step is printed."""

from __future__ import annotations

import argparse
import sys
import time

from scripts.project import SOURCES, Setup
from scripts.standalone import PROJECT, Standalone

from rlg_backup.cli.output import progress_bar
from rlg_backup.core.errors import BackupError

CHANGED = 7  # the seed of the changes
PATIENCE = 900  # seconds for one run
MARKS = {"success": "✓", "failed": "✗", "upstream_failed": "✗", "skipped": "-"}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=2000, help="accounts; everything else scales with them")
    parser.add_argument("--source", choices=SOURCES, default=SOURCES[0], help="what the databases are kept in")
    options = parser.parse_args()
    start = time.monotonic()
    setup = Setup(options.source)
    with setup.serving():
        generate(setup, options.size)
        say("starting Airflow")
        airflow = setup.airflow()
        with airflow:
            say(f"Airflow is ready at {airflow.url}", start)
            good = back_up(airflow, "rlg_full_backup")
            change(setup)
            good &= back_up(airflow, "rlg_incremental_backup")
            drill = airflow.trigger("rlg_restore_drill")
            good &= follow(airflow, "rlg_restore_drill", drill)
            report = airflow.returned("rlg_restore_drill", drill, "report")
        file = setup.write_variables()
    print()
    if report:
        print(f"drill report:   {report['report']}   ({report['verdict']})")
    print(f"the runs in Airflow's UI:   make up{'' if setup.source == SOURCES[0] else f' SOURCE={setup.source}'}")
    print(f"on the command line:        source {file} && .venv/bin/rlg-backup list")
    say("demo finished" if good else "demo FAILED", start)
    return 0 if good else 1


def generate(setup: Setup, size: int) -> None:
    """The platform, once: its files are the last part that appears."""
    from rlg_backup.demo import generate as make

    if (setup.platform / "files").exists():
        say(f"the platform is there already: {setup.platform} (remove {setup.home} to begin anew)")
        return
    begin = time.monotonic()
    with progress_bar(True) as progress:
        summary = make(
            setup.platform,
            include=PROJECT / "include",
            size=size,
            server=setup.server.url() if setup.server else None,
            progress=lambda table, rows: progress(table, rows, 0),
        )
    say(f"generated the demo platform: {summary.rows:,} rows, {summary.entries} files and folders", begin)


def change(setup: Setup) -> None:
    """What a day does to the platform."""
    from rlg_backup.demo import mutate

    begin = time.monotonic()
    done = mutate(setup.platform, seed=CHANGED, changes=200, server=setup.server.url() if setup.server else None)
    print()
    say(f"a day of use: {sum(done.operations.values())} changes to the demo platform", begin)


def back_up(airflow: Standalone, dag: str) -> bool:
    """A backup, and the verifications that its commits start; whether all was a success."""
    before = {run["dag_run_id"] for run in airflow.runs("rlg_verify")}
    good = follow(airflow, dag, airflow.trigger(dag))
    return follow_verifications(airflow, dag, before) and good


def follow(airflow: Standalone, dag: str, run: str) -> bool:
    """Print each step of a run as it ends; whether the run was a success."""
    print(f"\n{dag}")
    begin, shown = time.monotonic(), set()
    while time.monotonic() - begin < PATIENCE:
        state = airflow.state(dag, run)
        for task in sorted(airflow.tasks(dag, run), key=lambda item: str(item["end_date"])):
            name = task["task_id"] + (f"[{task['map_index']}]" if task["map_index"] >= 0 else "")
            if task["state"] in MARKS and name not in shown:
                shown.add(name)
                print(f"  {MARKS[task['state']]} {name:<34} {task['duration'] or 0:6.1f} s", flush=True)
        if state in ("success", "failed"):
            print(f"  {dag}: {state.upper()} in {time.monotonic() - begin:.0f} s")
            return state == "success"
        time.sleep(1)
    print(f"  {dag}: still running after {PATIENCE} s")
    return False


def follow_verifications(airflow: Standalone, dag: str, before: set[str]) -> bool:
    """The runs that the commits started, until each source's newest backup was looked at."""
    begin, good, seen = time.monotonic(), True, set(before)
    verified: set[str] = set()
    backup = airflow.runs(dag)[-1]["dag_run_id"]
    wanted = set(airflow.returned(dag, backup, "outcome") or {})
    while not wanted <= verified and time.monotonic() - begin < PATIENCE:
        for run in airflow.runs("rlg_verify"):
            if run["dag_run_id"] not in seen:
                seen.add(run["dag_run_id"])
                good &= follow(airflow, "rlg_verify", run["dag_run_id"])
                verified |= {item["source"] for item in airflow.returned("rlg_verify", run["dag_run_id"], "plan") or []}
        time.sleep(1)
    if not wanted or not wanted <= verified:
        print(f"  not verified: {', '.join(sorted(wanted - verified)) or 'nothing was committed'}")
        return False
    return good


def say(text: str, since: float | None = None) -> None:
    print(f"{text}{'' if since is None else f'   [{time.monotonic() - since:.0f} s]'}", flush=True)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (RuntimeError, BackupError) as error:
        sys.exit(f"error: {error}")
