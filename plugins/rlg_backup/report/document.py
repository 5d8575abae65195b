"""A report as JSON, for machines and for signing: the same records give the same text."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from ..core.model import Check
from .records import DrilledSource, DrillReport


def to_json(report: DrillReport) -> str:
    """The report as JSON text with sorted keys, ending in a newline; times are RFC 3339 in UTC, seconds to 1 ms."""
    return json.dumps(as_dict(report), indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"


def as_dict(report: DrillReport) -> dict[str, object]:
    """The report as JSON types; ``verdict`` is the one that is shown (``DrillReport.judged``)."""
    return {
        "type": "drill-report",
        "version": 1,
        "title": report.title,
        "verdict": report.judged.value,
        "started": _time(report.started),
        "finished": _time(report.finished),
        "engine": report.engine,
        "identities": report.identities,
        "warnings": list(report.warnings),
        "next_steps": list(report.next_steps),
        "sources": [_source(source) for source in report.sources],
    }


def _source(source: DrilledSource) -> dict[str, object]:
    restored, known = source.regions_restored, bool(source.backup_id)
    return {
        "source": source.source,
        "verdict": source.verdict.value,
        "target": source.target,
        "backup_id": source.backup_id,
        "kind": source.kind.value if known else None,
        "chain": list(source.chain),
        "taken_at": _time(source.taken_at) if known else None,
        "manifest_sha256": source.manifest_sha256,
        "signer": source.signer,
        "fidelity": source.fidelity.value if known else None,
        "masked_columns": list(source.masked_columns),
        "restored": dict(source.restored),
        "timings": {phase: round(seconds, 3) for phase, seconds in source.timings.items()},
        "regions": dict(source.regions),
        "regions_restored": None if restored is None else dict(restored),
        "checks": [_check(check) for check in source.checks],
        "warnings": list(source.warnings),
        "excluded": [{"name": each.name, "reason": each.reason} for each in source.excluded],
    }


def _check(check: Check) -> dict[str, object]:
    return {
        "group": check.group,
        "name": check.name,
        "verdict": check.verdict.value,
        "measured": check.measured,
        "expected": check.expected,
        "seconds": round(check.seconds, 3),
    }


def _time(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
