"""Reads back a share of every target's copies, all within `scrub_turns` runs, and mends a damaged one from another.

`rlg-backup verify --all` reads all of them at once.
"""

from airflow.sdk import dag

from rlg_backup.tasks.configuration import scheduled, settings
from rlg_backup.tasks.guard import step
from rlg_backup.tasks.outcome import outcome_of_checks
from rlg_backup.tasks.scrub import scrub

SETTINGS = settings()
WHAT_TO_DO = "A copy was damaged, or could not be read. What is mended is sound again; find out what befell the target."


@dag(**scheduled(SETTINGS, SETTINGS.schedule.scrub), doc_md=__doc__)
def rlg_scrub():
    found = [
        scrub.override(task_id=f"scrub_{name}", pool=source.pool, queue=source.queue, **step(SETTINGS.retries))(name)
        for name, source in SETTINGS.sources.items()
    ]
    outcome_of_checks.override(task_id="outcome")(found, "scrub", WHAT_TO_DO)


rlg_scrub()
