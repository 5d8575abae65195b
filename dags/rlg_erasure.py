"""Record that somebody is to be forgotten, by hand: every later restore and drill leaves out what is theirs.

The request is on every target before the run succeeds, and is not taken back. The source is yours to erase from.
"""

from airflow.sdk import Param, dag

from rlg_backup.tasks.configuration import settings
from rlg_backup.tasks.erasure import record
from rlg_backup.tasks.guard import step
from rlg_backup.tasks.outcome import outcome_of_checks

SETTINGS = settings()
KINDS = sorted(SETTINGS.erasure.subjects)
WHAT_TO_DO = "The request is not on every target. Mend what it says, then run this again with the same subject."
NOT_CONFIGURED = "none: set 'erasure.subjects'"


@dag(
    schedule=None,
    max_active_runs=4,
    tags=["rlg-backup"],
    doc_md=__doc__,
    params={
        "subject": Param(
            type="string",
            minLength=1,
            title="Whose data",
            description="What `rlg-backup erase --print-hash` prints for them, which names nobody. The key of their "
            "row is taken, too; then Airflow keeps it with this run in its metadata database, for everybody who may "
            "read runs, until the run is deleted.",
        ),
        "kind": Param(
            next(iter(KINDS), NOT_CONFIGURED),
            type="string",
            enum=KINDS or [NOT_CONFIGURED],
            title="What the key is of",
        ),
        "reason": Param(
            "request",
            type="string",
            pattern="^[a-z0-9][a-z0-9._-]{0,39}$",
            title="Reason",
            description="A short code, such as gdpr-17. It is kept in clear on the targets: name no person.",
        ),
    },
)
def rlg_erasure():
    done = record.override(**{**step(SETTINGS.retries), "queue": SETTINGS.erasure.queue})()
    outcome_of_checks.override(task_id="outcome")(done, "erasure", WHAT_TO_DO)


rlg_erasure()
