"""Copies to each target what it was down for, so that every backup is where the configuration wants it. Daily, before
the backups; `rlg-backup replicate` does the same by hand.
"""

from airflow.sdk import dag

from rlg_backup.tasks.configuration import scheduled, settings
from rlg_backup.tasks.guard import step
from rlg_backup.tasks.outcome import outcome_of_checks
from rlg_backup.tasks.replicate import replicate

SETTINGS = settings()
WHAT_TO_DO = "A target lacks backups that others have: see which, mend it, and run this again."


@dag(**scheduled(SETTINGS, SETTINGS.schedule.replicate), doc_md=__doc__)
def rlg_replicate():
    found = [
        replicate.override(task_id=f"replicate_{name}", pool=source.pool, queue=source.queue, **step(SETTINGS.retries))(
            name
        )
        for name, source in SETTINGS.sources.items()
    ]
    outcome_of_checks.override(task_id="outcome")(found, "replication", WHAT_TO_DO)


rlg_replicate()
