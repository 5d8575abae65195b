"""Full verification of every backup right after its commit, on the workers that hold identities."""

from airflow.sdk import AssetAny, Param, dag

from rlg_backup.tasks.backup import committed
from rlg_backup.tasks.configuration import settings
from rlg_backup.tasks.guard import step
from rlg_backup.tasks.outcome import outcome_of_checks
from rlg_backup.tasks.verify import plan_verification, verify

SETTINGS = settings()
PLACE = {**step(SETTINGS.retries), "queue": SETTINGS.restore_queue}


@dag(
    schedule=AssetAny(*[committed(source) for source in SETTINGS.sources]),
    max_active_runs=4,
    tags=["rlg-backup"],
    doc_md=__doc__,
    params={
        "source": Param(
            None, type=["null", "string"], enum=[None, *SETTINGS.sources], title="Source", description="Empty: all."
        ),
        "restore_point": Param(
            "latest", type="string", title="Restore point", description="An id or its beginning, a time, or latest."
        ),
    },
)
def rlg_verify():
    asked = plan_verification.override(task_id="plan", **PLACE)()
    found = verify.override(**PLACE).expand(asked=asked)
    outcome_of_checks.override(task_id="outcome")(found, "verification")


rlg_verify()
