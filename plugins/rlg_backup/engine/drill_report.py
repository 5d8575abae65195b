"""The report of a drill: blocks of JSON to a page for people and a document for machines."""

from __future__ import annotations

import errno
import secrets
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from .. import __version__
from ..core.errors import ConfigurationError, InvalidSetting, StorageFull
from ..core.model import Check, Fidelity, Kind, Verdict
from ..report import DrilledSource, DrillReport, render_html, to_json
from .wiring import Wiring


@dataclass(frozen=True)
class Files:
    """Where a report was written."""

    html: Path
    json: Path


def write_report(wiring: Wiring, blocks: Sequence[Mapping[str, Any]], started: datetime) -> tuple[Verdict, Files]:
    """Write the report into ``drill.reports``, named by its time; never over another. Returns its verdict."""
    if wiring.settings.drill is None:
        raise InvalidSetting("write", "drill report", "the configuration has no 'drill'")
    finished = wiring.clock()
    sources = tuple(drilled(block, started) for block in blocks)
    report = DrillReport(
        title="Restore drill",
        verdict=Verdict.of(source.verdict for source in sources),
        started=started.astimezone(UTC),
        finished=finished.astimezone(UTC),
        sources=sources,
        engine=__version__,
        identities="configured",
    )
    folder = wiring.settings.drill.reports
    # As a backup's id: two hosts may share the folder.
    name = f"drill-{finished.astimezone(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(4)}"
    files = Files(folder / f"{name}.html", folder / f"{name}.json")
    _write(folder, {files.html: render_html(report), files.json: to_json(report)})
    return report.judged, files


def _write(folder: Path, texts: Mapping[Path, str]) -> None:
    """All of them or none."""
    written: list[Path] = []
    try:
        folder.mkdir(mode=0o750, parents=True, exist_ok=True)
        for file, text in texts.items():
            with file.open("x", encoding="utf-8") as sink:
                written.append(file)
                sink.write(text)
    except OSError as error:
        for file in written:
            with suppress(OSError):  # the first error is the one to tell
                file.unlink()
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise StorageFull("write", str(folder), "no space is left for the report") from None
        cause = (error.strerror or "the report cannot be written").lower()
        raise ConfigurationError("write", str(folder), cause) from None


def drilled(block: Mapping[str, Any], started: datetime) -> DrilledSource:
    """A block as a record of the report. A source whose restore never ended has empty facts."""
    return DrilledSource(
        source=block["source"],
        target=block.get("target", ""),
        backup_id=block.get("backup_id", ""),
        kind=Kind(block.get("kind", "full")),
        taken_at=datetime.fromisoformat(block["taken_at"]) if "taken_at" in block else started,
        manifest_sha256=block.get("manifest_sha256", ""),
        signer=block.get("signer", ""),
        fidelity=Fidelity(block.get("fidelity", "recoverable")),
        checks=tuple(Check(**{**check, "verdict": Verdict(check["verdict"])}) for check in block["checks"]),
        chain=tuple(block.get("chain", ())),
        masked_columns=tuple(block.get("masked_columns", ())),
        restored={name: count for name, count in block.get("restored", {}).items() if count},
        timings=block["seconds"],
        regions=block["regions"],
        warnings=tuple(block["warnings"]),
    )
