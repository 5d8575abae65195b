"""Restore a backup into a new database or folder, by hand; what is restored is proven equal to the snapshot.

Replacing live data is refused: name a place that does not exist yet.
"""

from airflow.sdk import Param, dag

from rlg_backup.tasks.configuration import settings
from rlg_backup.tasks.erasure import ASIDE
from rlg_backup.tasks.guard import step
from rlg_backup.tasks.outcome import outcome_of_checks
from rlg_backup.tasks.restore import choose, load_and_prove, run_suites, thawed, verify_chosen

SETTINGS = settings()
PLACES = [f"postgres:{name}/restored" for name in SETTINGS.restore_connections]
PLACES += [f"{folder}/restored" for folder in SETTINGS.restore_folders]
if next(iter(SETTINGS.sources.values())).type != "postgres":  # the first source's kind of place comes first
    PLACES.reverse()
LOOK_AGAIN = max(1, 20 * SETTINGS.retries.wait_seconds)  # ten minutes, as shipped
WAITING = {
    "mode": "reschedule",
    "poke_interval": LOOK_AGAIN,
    "timeout": 3 * 24 * 3600,
}  # Amazon's slowest takes two days
PLACE = {**step(SETTINGS.retries), "queue": SETTINGS.restore_queue}


@dag(
    schedule=None,
    max_active_runs=4,
    tags=["rlg-backup"],
    doc_md=__doc__,
    params={
        "source": Param(
            next(iter(SETTINGS.sources)), type="string", enum=list(SETTINGS.sources), title="What to restore"
        ),
        "restore_point": Param(
            "latest",
            type="string",
            title="Restore point",
            description="An id or its beginning, a time (the newest not after it; without a zone: ours), or latest.",
            examples=["latest"],
        ),
        "to": Param(
            next(iter(PLACES), "/restore/restored"),
            type="string",
            minLength=2,
            title="Where to",
            examples=PLACES,
            description="What does not exist yet: a database file or a folder below one of the restore_folders, or "
            "postgres:CONNECTION/DATABASE with one of the restore_connections.",
        ),
        "fidelity": Param(
            "recoverable",
            type="string",
            enum=["recoverable", "masked"],
            title="Fidelity",
            description="masked: a copy for development, in which what a policy protects is masked.",
        ),
        "accept_masked": Param(
            False,
            type="boolean",
            title="Accept what is masked for ever",
            description="A backup with columns that no key brings back is restored only where this is on.",
        ),
        **ASIDE,
    },
)
def rlg_restore():
    chosen = choose.override(**PLACE)()
    readable = thawed.override(task_id="thaw", **PLACE, **WAITING)(chosen)
    checked = verify_chosen.override(task_id="verify", **PLACE)(readable)
    done = load_and_prove.override(task_id="restore", **PLACE)(checked)
    tested = run_suites.override(task_id="test", **PLACE)(done)
    outcome_of_checks.override(task_id="outcome")(tested, "restore")


rlg_restore()
