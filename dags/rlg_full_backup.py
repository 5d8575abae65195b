"""Full backups of every source: Sundays 02:00 in the configured time zone."""

from airflow.sdk import dag

from rlg_backup.tasks.backup import backup_graph
from rlg_backup.tasks.configuration import scheduled, settings

SETTINGS = settings()


@dag(**scheduled(SETTINGS, SETTINGS.schedule.full), doc_md=__doc__)
def rlg_full_backup():
    backup_graph(SETTINGS, "full")


rlg_full_backup()
