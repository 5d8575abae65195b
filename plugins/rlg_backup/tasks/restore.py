"""Tasks of ``rlg_restore``: a whole backup into a new database or folder."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from airflow.sdk import get_current_context, task

from .erasure import set_aside
from .guard import guarded
from .wire import wire

if TYPE_CHECKING:
    from airflow.sdk import PokeReturnValue

log = logging.getLogger(__name__)
Json = dict[str, Any]


@task
@guarded
def choose() -> Json:
    """Check the form and settle which backup, on which target, is meant."""
    from ..core.model import Fidelity
    from ..engine.fidelity import require_fidelity
    from ..engine.places import require_allowed, settled
    from ..engine.restore_points import choose as find

    params, wiring = get_current_context()["params"], wire()
    set_aside()
    place = settled(wiring, params["source"], require_allowed(wiring, params["source"], params["to"]))
    chosen = find(wiring, params["source"], params["restore_point"] or "latest")
    require_fidelity(wiring, chosen, place, Fidelity(params["fidelity"]), accept_masked=params["accept_masked"])
    told = [f"the copy on target '{name}' was not used: {why}" for name, why in chosen.passed_over.items()]
    found = {"source": params["source"], "backup_id": chosen.point.backup_id, "target": chosen.target}
    return {**found, "to": place, "warnings": told}


@task.sensor
@guarded
def thawed(chosen: Json) -> PokeReturnValue:
    """Ask for what lies in an archive tier, and wait until it can be read; hours, in which no worker is held."""
    from airflow.sdk import PokeReturnValue

    from ..engine.thawing import thaw

    found = thaw(wire(), chosen["source"], chosen["backup_id"])
    frozen = [backup_id for backup_id, place in found.readable.items() if place is None]
    if frozen:
        log.warning("waiting for the archive tier to give: %s", ", ".join(frozen))
        return PokeReturnValue(is_done=False)
    return PokeReturnValue(is_done=True, xcom_value={**chosen, "target": found.readable[chosen["backup_id"]]})


@task
@guarded
def verify_chosen(chosen: Json) -> Json:
    """Signatures, chain, size and digest of the chosen copy, or of another one where it is damaged, before anything is
    written; returns which copy is sound."""
    from ..core.errors import ObjectDamaged
    from ..engine.verify import first_sound

    found, told = first_sound(wire(), chosen["source"], chosen["backup_id"], chosen["target"])
    if found.verdict != "PASS":
        wrong = "; ".join(f"{check.name}: {check.measured}" for check in found.checks if check.verdict != "PASS")
        hint = "name another restore point, or repair the copy"
        raise ObjectDamaged("restore", chosen["backup_id"], f"{found.verdict}: {wrong}", hint)
    return {**chosen, "target": found.target, "warnings": [*chosen["warnings"], *told]}


@task
@guarded
def load_and_prove(chosen: Json) -> Json:
    """Download, decrypt, load, and compare every table with the profile; only then the new place gets its name."""
    from ..core.model import Fidelity
    from ..engine.places import require_allowed
    from ..engine.restore import restore

    params, wiring = get_current_context()["params"], wire()
    require_allowed(wiring, chosen["source"], chosen["to"])  # again: a link may have been put there since
    done = restore(
        wiring,
        chosen["source"],
        chosen["backup_id"],
        chosen["to"],
        target=chosen["target"],
        fidelity=Fidelity(params["fidelity"]),
        accept_masked=params["accept_masked"],
        aside=set_aside(),
    )
    told = [*chosen["warnings"], *done.warnings]
    for warning in told:
        log.warning("%s", warning)
    return {"name": f"{done.source} {done.backup_id}", **done.to_json(), "warnings": told}


@task
@guarded
def run_suites(done: Json) -> Json:
    """The expectation suites of the source over what was restored; where it has none, the restore's own verdict."""
    from ..core.model import Verdict
    from ..engine.drill import check_restored

    place = (done["source"], done["backup_id"], done["to"])
    checks = check_restored(wire(), *place, done["erased"], target=done["target"])
    verdict = Verdict.of([Verdict(done["verdict"]), *(check.verdict for check in checks)])
    wrong = [f"{check.group}/{check.name}: {check.measured}" for check in checks if check.verdict != "PASS"]
    return {
        "name": done["name"],
        "verdict": verdict.value,
        "why": "; ".join(wrong if wrong or verdict == Verdict.PASS else done["warnings"]),
        "restored_to": done["to"],
        "suite_checks": len(checks),
        "erased": done["erased"],
        "warnings": done["warnings"],
    }
