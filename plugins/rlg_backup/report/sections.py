"""The part of the page about one source, and the small pieces that every part uses."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ..core.model import Check, Fidelity, Verdict
from .markup import Child, Markup, element
from .records import DrilledSource
from .words import CLASSES, KINDS, LABELS, duration, moment, size

_SHAPES = {
    Verdict.PASS: "M7 12.5l3.4 3.4L17 8.6",
    Verdict.FAIL: "M8 8l8 8M16 8l-8 8",
    Verdict.COULD_NOT_VERIFY: "M9.2 9.6a2.8 2.8 0 1 1 4.4 2.3c-1 .7-1.6 1.2-1.6 2.3M12 17v.01",
}
_ORDER = (Verdict.FAIL, Verdict.COULD_NOT_VERIFY, Verdict.PASS)


def icon(verdict: Verdict) -> Markup:
    """A tick, a cross or a question mark in a circle; the text beside it says the same."""
    pen: dict[str, str | int] = {"fill": "none", "stroke": "currentColor", "stroke_width": 2, "stroke_linecap": "round"}
    shapes = (element("circle", cx=12, cy=12, r=10, **pen), element("path", d=_SHAPES[verdict], **pen))
    return element("svg", shapes, viewBox="0 0 24 24", aria_hidden="true")


def badge(verdict: Verdict, text: str | None = None) -> Markup:
    """A verdict in small."""
    return element("span", icon(verdict), text or LABELS[verdict], cls=f"badge {CLASSES[verdict]}")


def source_section(source: DrilledSource) -> Markup:
    """Everything about one source."""
    return element(
        "section",
        element("div", element("h2", f"Source {source.source}"), badge(source.verdict), cls="heading"),
        _facts(source),
        _regions(source),
        _checks(source),
        _timings(source.timings),
        listed("Warnings", source.warnings),
        listed("Not in the backup, by name", (f"{each.name}: {each.reason}" for each in source.excluded)),
    )


def _facts(source: DrilledSource) -> Markup:
    if not source.backup_id:
        return element("p", "No backup of this source was restored.")
    masked = f"masked for ever: {', '.join(source.masked_columns)}" if source.masked_columns else "masked"
    contents = [size(number) if noun == "bytes" else f"{number:,} {noun}" for noun, number in source.restored.items()]
    facts: list[tuple[str, Child]] = [
        ("Backup", [element("code", source.backup_id), f" ({KINDS[source.kind]})"]),
        ("Data as of", moment(source.taken_at)),
        ("Read from target", source.target),
        ("Chain", [element("code", " › ".join(source.chain))] if len(source.chain) > 1 else "none needed"),
        ("Restored", ", ".join(contents) or "nothing"),
        ("Fidelity", "recoverable" if source.fidelity is Fidelity.RECOVERABLE else masked),
        ("Manifest SHA-256", element("code", source.manifest_sha256)),
        ("Signed by key", element("code", source.signer)),
    ]
    return element("dl", [(element("dt", name), element("dd", value)) for name, value in facts], cls="facts")


def _regions(source: DrilledSource) -> Markup | None:
    restored = source.regions_restored
    codes = sorted(
        {*source.regions, *(restored or {})}, key=lambda code: (code == "", -source.regions.get(code, 0), code)
    )
    if not codes:
        return None
    most = max((*source.regions.values(), *(restored or {}).values(), 1))
    columns = ["Region", "At the snapshot", *(["Restored"] if restored is not None else [])]
    rows = []
    for code in codes:
        before = source.regions.get(code, 0)
        after = None if restored is None else restored.get(code, 0)
        differs = after is not None and after != before
        cells: list[Child] = [
            element("th", code or "without a region", scope="row"),
            element("td", f"{before:,}", cls="number"),
            None if after is None else element("td", f"{after:,}{' (differs)' if differs else ''}", cls="number"),
            element("td", _bars(most, before, after), cls="share"),
        ]
        rows.append(element("tr", cells, cls="fail" if differs else None))
    head = [element("th", name, scope="col", cls="number" if name != "Region" else None) for name in columns]
    head.append(element("td"))
    return element(
        "div",
        element("h3", "Rows by region"),
        element("table", element("thead", element("tr", head)), element("tbody", rows)),
        _legend() if restored is not None else None,
    )


def _bars(most: int, before: int, after: int | None) -> Markup:
    """Bars to scale; a region with a row has at least a sliver. The numbers stand beside them as text."""

    def width(number: int) -> str:
        return f"{max(100 * number / most, 0.6 if number else 0):.2f}%"

    if after is None:
        shapes: Child = element("rect", x=0, y="25%", width=width(before), height="50%", rx=2, cls="bar")
    else:
        shapes = [
            element("rect", x=0, y="10%", width=width(before), height="36%", rx=2, cls="bar-soft"),
            element("rect", x=0, y="54%", width=width(after), height="36%", rx=2, cls="bar"),
        ]
    return element("svg", shapes, aria_hidden="true")


def _legend() -> Markup:
    names = (("bar-soft", "at the snapshot"), ("bar", "restored"))
    return element(
        "p",
        [
            element(
                "span", element("svg", element("rect", width="100%", height="100%", cls=cls), aria_hidden="true"), name
            )
            for cls, name in names
        ],
        cls="legend",
    )


def _checks(source: DrilledSource) -> Markup:
    if not source.checks:
        return element("p", "Nothing was checked.")
    groups: dict[str, list[Check]] = {}
    for check in source.checks:
        groups.setdefault(check.group, []).append(check)
    head = [element("th", text, scope="col") for text in ("Verdict", "Check", "Measured", "Expected")]
    head.append(element("th", "Time", scope="col", cls="number"))
    bodies = [_group(name, checks) for name, checks in groups.items()]
    table = element("table", element("thead", element("tr", head)), bodies, cls="checks")
    return element("div", element("h3", "Checks"), element("div", table, cls="wide"))


def _group(name: str, checks: list[Check]) -> Markup:
    """One suite's checks: those that did not pass come first, otherwise in their order."""
    counts = {verdict: sum(check.verdict is verdict for check in checks) for verdict in _ORDER}
    words = {Verdict.FAIL: "failed", Verdict.COULD_NOT_VERIFY: "not verified", Verdict.PASS: "passed"}
    said = ", ".join(f"{counts[verdict]:,} {words[verdict]}" for verdict in _ORDER if counts[verdict])
    heading = element("th", element("strong", name), f" · {said}", scope="rowgroup", colspan=5)
    rows = [_row(check) for check in sorted(checks, key=lambda check: _ORDER.index(check.verdict))]
    return element("tbody", element("tr", heading, cls="group"), rows)


def _row(check: Check) -> Markup:
    return element(
        "tr",
        element("td", badge(check.verdict)),
        element("th", check.name, scope="row"),
        element("td", check.measured),
        element("td", check.expected),
        element("td", duration(check.seconds), cls="number"),
        cls=None if check.verdict is Verdict.PASS else CLASSES[check.verdict],
    )


def _timings(timings: Mapping[str, float]) -> Markup | None:
    if not timings:
        return None
    longest = max(*timings.values(), 0.001)
    rows = [
        element(
            "tr",
            element("th", phase, scope="row"),
            element("td", duration(seconds), cls="number"),
            element("td", _bars(1000, round(1000 * seconds / longest), None), cls="share"),
        )
        for phase, seconds in timings.items()
    ]
    total = element(
        "tr", element("th", "together", scope="row"), element("td", duration(sum(timings.values())), cls="number")
    )
    head = element(
        "tr", element("th", "Phase", scope="col"), element("th", "Time", scope="col", cls="number"), element("td")
    )
    table = element("table", element("thead", head), element("tbody", rows, total))
    return element("div", element("h3", "How long each phase took"), table)


def listed(heading: str, lines: Iterable[str]) -> Markup | None:
    """A heading and its lines; nothing when there is no line."""
    items = [element("li", line) for line in lines]
    return element("div", element("h3", heading), element("ul", items)) if items else None
