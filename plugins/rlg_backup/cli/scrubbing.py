"""What verify --all does and says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..core.model import Verdict
from .output import Output

if TYPE_CHECKING:
    from ..engine.scrub import Scrubbed
    from ..engine.wiring import Wiring


def scrub_all(out: Output, wiring: Wiring, source: str | None, *, mend: bool) -> int:
    """Reads every copy of one source, or of all; the exit code."""
    from ..engine.scrub import scrub

    found: list[Scrubbed] = []
    for name in [source] if source else wiring.settings.sources:
        found += scrub(wiring, name, mend=mend)
    for one in found:
        out.verdict(one.verdict, f"{one.source}  {len(one.read)} of {one.copies} copies read on {one.target}")
        for backup_id, keys in one.mended.items():
            out.say(f"  {backup_id} was damaged and is mended: {', '.join(keys)}", "yellow")
        for backup_id, fault in one.faults.items():
            if backup_id not in one.mended:
                out.say(f"  {backup_id}: {fault}", "red")
        for backup_id, reason in one.unread.items():
            out.say(f"  {backup_id} could not be read: {reason}", "yellow")
        if one.error is not None:
            out.say(f"  {one.error}", "red")
    verdict = Verdict.of(one.verdict for one in found)
    out.data({"verdict": verdict.value, "targets": [one.to_json() for one in found]})
    return verdict.exit_code
