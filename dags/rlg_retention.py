"""Retention: marks the backups that the policy keeps no longer, and removes what was marked a grace time before. Daily.

`rlg-backup expire --dry-run` tells why each backup stays or goes.
"""

from airflow.sdk import dag

from rlg_backup.tasks.configuration import scheduled, settings
from rlg_backup.tasks.guard import step
from rlg_backup.tasks.outcome import outcome_of_checks
from rlg_backup.tasks.retention import expire

SETTINGS = settings()
WHAT_TO_DO = "Where it says so nothing was marked or removed. Mend the cause; docs/runbooks.md says how."
PLACE = {**step(SETTINGS.retries), "queue": SETTINGS.retention.queue}


@dag(**scheduled(SETTINGS, SETTINGS.schedule.retention), doc_md=__doc__)
def rlg_retention():
    found = [
        expire.override(task_id=f"expire_{name}", pool=source.pool, **PLACE)(name)
        for name, source in SETTINGS.sources.items()
    ]
    outcome_of_checks.override(task_id="outcome")(found, "retention", WHAT_TO_DO)


rlg_retention()
