"""Whether a restore gives what it is asked for: true values, or a copy that is masked on purpose."""

from __future__ import annotations

from ..config.settings import FilesSettings
from ..core.errors import MaskedRefused
from ..core.model import Fidelity
from .restore_points import Chosen
from .wiring import Wiring

SHOWN = 3


def require_fidelity(
    wiring: Wiring, chosen: Chosen, place: str, fidelity: Fidelity, *, accept_masked: bool = False
) -> None:
    """Raises MaskedRefused for a backup with columns that are masked for ever, unless that is accepted or a masked copy
    is asked for; and for a masked copy of a file tree."""
    if fidelity is Fidelity.MASKED:
        if isinstance(wiring.source_settings(chosen.source), FilesSettings):
            raise MaskedRefused("make a masked copy of", chosen.source, "what is in files no policy masks")
        return
    columns = chosen.manifest.masked_columns
    if columns and not accept_masked:
        more = f" and {len(columns) - SHOWN} more" if len(columns) > SHOWN else ""
        cause = (
            f"the backup is masked for ever in {', '.join(columns[:SHOWN])}{more}: it cannot stand in for the source"
        )
        raise MaskedRefused(
            "restore to", place, cause, "where that is known and fine, say --accept-masked (accept_masked)"
        )
