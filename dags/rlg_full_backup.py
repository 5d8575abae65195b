"""Full backups of every source: Sundays 02:00 in the configured time zone."""

from airflow.sdk import CronTriggerTimetable, dag

from rlg_backup.tasks.backup import backup_group
from rlg_backup.tasks.configuration import cron, settings
from rlg_backup.tasks.outcome import outcome_of_backups

SETTINGS = settings()
CRON = cron(SETTINGS.schedule.full)


@dag(
    schedule=CronTriggerTimetable(CRON, timezone=SETTINGS.timezone) if CRON else None,
    max_active_runs=1,
    allowed_run_types=["scheduled", "manual"],
    tags=["rlg-backup"],
    doc_md=__doc__,
)
def rlg_full_backup():
    groups = [backup_group(SETTINGS, name, "full") for name in SETTINGS.sources]
    outcome = outcome_of_backups.override(task_id="outcome")(list(SETTINGS.sources), [done for done, _ in groups])
    for _, last in groups:
        last >> outcome


rlg_full_backup()
