"""The report as one HTML page: no script, no address outside itself, made to be printed on A4."""

from __future__ import annotations

from importlib.resources import files
from string import Template

from ..core.model import Verdict
from .markup import Markup, element, joined
from .records import DrillReport
from .sections import badge, icon, listed, source_section
from .words import ADVICE, CLASSES, HEADLINES, LABELS, amount, duration, moment, summary


def render_html(report: DrillReport) -> str:
    """The page as text: verdict, summary, next steps, what could not be verified, then each source.

    Every text of the records is escaped. The verdict is ``DrillReport.judged``.
    """
    body = [
        element("header", element("p", "RLG Backup · drill report"), element("h1", report.title)),
        _verdict(report),
        _summary(report),
        _next_steps(report),
        _found(report, Verdict.FAIL, "What failed"),
        _found(report, Verdict.COULD_NOT_VERIFY, "What could not be verified"),
        *(source_section(source) for source in report.sources),
        _footer(report),
    ]
    shell = Template((files(__package__) / "page.html").read_text("utf-8"))
    title = joined(f"{LABELS[report.judged]} · {report.title}")
    return shell.substitute(title=title, body=Markup("\n".join(part for part in body if part)))


def _verdict(report: DrillReport) -> Markup:
    verdict = report.judged
    text = element("div", element("strong", LABELS[verdict]), element("span", HEADLINES[verdict]))
    return element("section", icon(verdict), text, cls=f"verdict {CLASSES[verdict]}", aria_label="Verdict")


def _summary(report: DrillReport) -> Markup:
    counts = {verdict: sum(1 for _ in report.found(verdict)) for verdict in Verdict}
    figures = [
        ("Sources", f"{len(report.sources):,}"),
        ("Passed", f"{counts[Verdict.PASS]:,}"),
        ("Failed", f"{counts[Verdict.FAIL]:,}"),
        ("Not verified", f"{counts[Verdict.COULD_NOT_VERIFY]:,}"),
        ("Took", duration(report.seconds)),
    ]
    boxes = [element("div", element("dt", name), element("dd", value)) for name, value in figures]
    return element(
        "section",
        element("h2", "Summary"),
        element("p", summary(report)),
        element("p", f"The archives were opened with the {report.identities} keys.") if report.identities else None,
        element("dl", boxes, cls="figures"),
        listed("Warnings", report.warnings),
    )


def _next_steps(report: DrillReport) -> Markup | None:
    steps = report.next_steps or ADVICE[report.judged]
    if not steps:
        return None
    return element("section", element("h2", "What to do next"), element("ol", [element("li", step) for step in steps]))


def _found(report: DrillReport, verdict: Verdict, heading: str) -> Markup | None:
    found = [(source.source, check.group, check.name, check.measured) for source, check in report.found(verdict)]
    if verdict is Verdict.COULD_NOT_VERIFY:
        empty = (source.source for source in report.sources if not source.checks)
        found += [(name, "", "every check", "nothing was checked") for name in empty]
    if not found:
        return None
    rows = []
    for source, group, name, measured in found:
        cells = (element("td", source), element("td", group), element("th", name, scope="row"), element("td", measured))
        rows.append(element("tr", cells, cls=CLASSES[verdict]))
    last = "Why" if verdict is Verdict.COULD_NOT_VERIFY else "Measured"
    head = [element("th", name, scope="col") for name in ("Source", "Suite", "Check", last)]
    table = element("table", element("thead", element("tr", head)), element("tbody", rows))
    title = element("div", element("h2", heading), badge(verdict, amount(len(rows), "check")), cls="heading")
    return element("section", title, element("div", table, cls="wide"))


def _footer(report: DrillReport) -> Markup:
    lines = [f"Started {moment(report.started)}, finished {moment(report.finished)}."]
    lines += [f"Written by RLG Backup {report.engine}."] if report.engine else []
    lines.append("This page holds names, counts and digests, and no value of any row.")
    return element("footer", element("p", " ".join(lines)))
