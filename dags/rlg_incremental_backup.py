"""Incremental backups of every source, what changed since the last one of any kind: daily 02:00.

On the day of a full backup it waits for that one, and is skipped when it was committed. It has no schedule without
``change_state``.
"""

from airflow.sdk import dag

from rlg_backup.tasks.backup import backup_graph
from rlg_backup.tasks.configuration import scheduled, settings

SETTINGS = settings()
CRON = SETTINGS.schedule.incremental if SETTINGS.change_state else "none"


@dag(**scheduled(SETTINGS, CRON), doc_md=__doc__)
def rlg_incremental_backup():
    backup_graph(SETTINGS, "incremental")


rlg_incremental_backup()
