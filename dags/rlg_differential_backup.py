"""Differential backups of every source, what changed since the last full one: by hand, unless scheduled."""

from airflow.sdk import dag

from rlg_backup.tasks.backup import backup_graph
from rlg_backup.tasks.configuration import scheduled, settings

SETTINGS = settings()
CRON = SETTINGS.schedule.differential if SETTINGS.change_state else "none"


@dag(**scheduled(SETTINGS, CRON), doc_md=__doc__)
def rlg_differential_backup():
    backup_graph(SETTINGS, "differential")


rlg_differential_backup()
