"""The monthly restore drill: the newest backup of every source into scratch, tested, reported. 1st of the month."""

from airflow.sdk import dag

from rlg_backup.tasks.configuration import scheduled, settings
from rlg_backup.tasks.drill import clean, prepare, restore_to_scratch, run_drill_suites, write_report
from rlg_backup.tasks.erasure import ASIDE
from rlg_backup.tasks.guard import ONCE, step
from rlg_backup.tasks.outcome import outcome_of_checks
from rlg_backup.tasks.retention import note_drills

SETTINGS = settings()
PLACE = {**step(SETTINGS.retries), "queue": SETTINGS.restore_queue}
SOURCES = list(SETTINGS.sources)


@dag(**scheduled(SETTINGS, SETTINGS.schedule.drill), doc_md=__doc__, params=ASIDE)
def rlg_restore_drill():
    scratch = prepare.override(**PLACE)()
    blocks = [restore_to_scratch.override(task_id=f"restore_{source}", **PLACE)(source, scratch) for source in SOURCES]
    suites = run_drill_suites.override(task_id="suites", **PLACE)(SOURCES, blocks)
    report = write_report.override(task_id="report", **PLACE)(suites)
    noted = note_drills.override(task_id="note", **{**PLACE, "queue": SETTINGS.retention.queue})(suites)
    cleaned = clean.override(**{**ONCE, "queue": SETTINGS.restore_queue})(scratch)
    outcome = outcome_of_checks.override(task_id="outcome")(report, "drill")
    report >> cleaned.as_teardown(setups=scratch, on_failure_fail_dagrun=True) >> outcome
    noted >> outcome


rlg_restore_drill()
