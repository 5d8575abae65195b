"""Numbers, times and verdicts in words a person reads."""

from __future__ import annotations

from datetime import UTC, datetime

from ..core.model import Kind, Verdict
from .records import DrillReport

CLASSES = {Verdict.PASS: "pass", Verdict.FAIL: "fail", Verdict.COULD_NOT_VERIFY: "unverified"}
LABELS = {Verdict.PASS: "PASS", Verdict.FAIL: "FAIL", Verdict.COULD_NOT_VERIFY: "COULD NOT VERIFY"}
HEADLINES = {
    Verdict.PASS: "The backups came back, and everything that was checked is right.",
    Verdict.FAIL: "What came back is not right. Do not rely on these backups before the cause is known.",
    Verdict.COULD_NOT_VERIFY: "Nothing was found wrong, but not everything could be checked. This is not a pass.",
}
KINDS = {Kind.FULL: "full", Kind.INCREMENTAL: "incremental", Kind.DIFFERENTIAL: "differential"}
ADVICE = {
    Verdict.PASS: (),
    Verdict.FAIL: (
        "Keep the restore points named below: take them out of retention until this is settled.",
        "Run the failed checks against the live database. If they fail there too, the data were wrong at the "
        "snapshot, and the backup is a true copy of them.",
        "If they hold there, drill the same restore point from another target, then the one before it. The first "
        "that passes is the one to rely on.",
        "A failed check of a signature, a digest or the catalog means that a target holds other bytes than were "
        "written: treat it as an incident and compare the targets.",
    ),
    Verdict.COULD_NOT_VERIFY: (
        "Read the reasons below. A missing table or an empty one is either expected, and the suite is to be "
        "changed, or it is a loss.",
        "Drill again when the cause is gone. Until then the last drill that passed is what you can rely on.",
    ),
}


def amount(number: int, noun: str) -> str:
    """``1 check``, ``1,204 checks``."""
    return f"{number:,} {noun if number == 1 else noun + 's'}"


def moment(when: datetime) -> str:
    """``1 December 2026, 04:00 UTC``."""
    utc = when.astimezone(UTC)
    return f"{utc.day} {_MONTHS[utc.month - 1]} {utc.year}, {utc:%H:%M} UTC"


_MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip  # strftime would follow the locale


def duration(seconds: float) -> str:
    """``3 ms``, ``1.2 s``, ``4 min 12 s``, ``2 h 5 min``."""
    if round(seconds, 3) < 1:
        return f"{seconds * 1000:.0f} ms"
    if round(seconds, 1) < 60:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def size(number: int) -> str:
    """``512 bytes``, ``1.4 GB`` (decimal)."""
    if number < 1000:
        return amount(number, "byte")
    power = min((len(str(number)) - 1) // 3, len(_UNITS))
    scaled = number / 1000**power
    if round(scaled, 1) >= 1000 and power < len(_UNITS):
        scaled, power = scaled / 1000, power + 1
    return f"{scaled:,.1f} {_UNITS[power - 1]}"


_UNITS = ("kB", "MB", "GB", "TB", "PB")


def summary(report: DrillReport) -> str:
    """The drill in one paragraph."""
    counts = {verdict: sum(1 for _ in report.found(verdict)) for verdict in Verdict}
    total = sum(counts.values())
    names = [source.source for source in report.sources]
    listed = f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else "".join(names)
    opening = (
        f"On {moment(report.started)} the backup of {listed} was" if len(names) == 1
        else f"On {moment(report.started)} the backups of {listed} were" if names
        else f"On {moment(report.started)} no backup was"
    )  # fmt: skip
    if not names:
        return f"{opening} drilled. Nothing was checked. It took {duration(report.seconds)}."
    text = f"{opening} drilled: restored into a scratch place and compared with what was there at the snapshot. "
    if not total:
        return f"{text}Nothing was checked. It took {duration(report.seconds)}."
    text += f"Of {amount(total, 'check')} {counts[Verdict.PASS]:,} passed"
    text += f", {counts[Verdict.FAIL]:,} failed" if counts[Verdict.FAIL] else ""
    left = counts[Verdict.COULD_NOT_VERIFY]
    text += f", and {left:,} could not be carried out" if left else ""
    return f"{text}. It took {duration(report.seconds)}."
