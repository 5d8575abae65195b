"""RLG Data: reporting, Super Tool integration, the event log."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from random import Random

from .chance import document, number, pick, some_time
from .platform import Platform, Rows, Value

REPORT_SHARE, RUN_SHARE = 0.2, 0.5  # reports and their runs for each account


def operation_rows(platform: Platform) -> Iterator[Rows]:
    """The tables in the order their references need."""
    yield from _reporting(platform)
    yield from _super_tool(platform)
    yield Rows("event_log", ("at", "service", "event", "account_id", "ip", "detail"), _events(platform))


def mixed(rng: Random) -> Value:
    """A value of any storage class, or none: what a column without a type may hold."""
    turn = int(rng.random() * 6)
    if turn == 0:
        return rng.getrandbits(63) - 2**62
    if turn == 1:
        return rng.random() * 1e6
    if turn == 2:
        return document({"retry": number(rng, 5), "cause": pick(rng, ("timeout", "limit", "none"))})
    if turn == 3:
        return rng.randbytes(number(rng, 24))
    return "ok" if turn == 4 else None


def report_path(report: int, run: int) -> str:
    """Where a run's PDF lies below the tree; months are spread by the report's number."""
    return f"reports/2026/{1 + report % 8:02d}/report-{report:05d}-{run:06d}.pdf"


def report_runs(platform: Platform) -> Iterator[tuple[int, int, bool]]:
    """Each run's id, its report and whether it succeeded: also the list of the PDFs of the tree."""
    rng, reports = platform.rng("report_runs"), platform.count(REPORT_SHARE)
    for key in range(1, platform.count(RUN_SHARE) + 1):
        yield key, number(rng, reports), rng.random() < 0.95


def _reporting(platform: Platform) -> Iterator[Rows]:
    reports = platform.count(REPORT_SHARE)

    def reports_rows() -> Iterator[Sequence[Value]]:
        rng, topics = platform.rng("reports"), platform.words("topics")
        for key in range(1, reports + 1):
            topic = pick(rng, topics)
            definition = document({"group_by": pick(rng, ("country", "city", "week")), "measure": topic})
            yield key, number(rng, platform.size), f"{topic.capitalize()} report", definition, some_time(rng)

    def run_rows() -> Iterator[Sequence[Value]]:
        rng = platform.rng("report_runs/times")
        for key, report, good in report_runs(platform):
            yield key, report, report_path(report, key) if good else None, 1 if good else None, some_time(rng)

    def recipient_rows() -> Iterator[Sequence[Value]]:
        rng = platform.rng("report_recipients")
        for report in range(1, reports + 1):
            for position in range(1, number(rng, 4) + 1):
                yield report, position, platform.people.email(rng, "", number(rng, platform.size))

    yield Rows("reports", ("id", "account_id", "title", "definition", "created_at"), reports_rows())
    yield Rows("report_runs", ("id", "report_id", "path", "pages", "finished_at"), run_rows())
    yield Rows("report_recipients", ("report_id", "position", "email"), recipient_rows())


def _super_tool(platform: Platform) -> Iterator[Rows]:
    linked = range(1, platform.size + 1, 4)

    def link_rows() -> Iterator[Sequence[Value]]:
        rng = platform.rng("super_tool_links")
        for key, account in enumerate(linked, 1):
            scopes = document(sorted(rng.sample(platform.words("scopes"), 2)))
            yield key, account, f"st_{rng.getrandbits(96):024x}", scopes, some_time(rng)

    def call_rows() -> Iterator[Sequence[Value]]:
        rng = platform.rng("super_tool_calls")
        for key in range(1, platform.count(2) + 1):
            status = pick(rng, (200, 200, 200, 200, 202, 429, 500))
            operation = pick(rng, platform.words("operations"))
            yield key, number(rng, len(linked)), operation, status, rng.expovariate(0.02), some_time(rng)

    yield Rows("super_tool_links", ("id", "account_id", "external_id", "scopes", "linked_at"), link_rows())
    columns: tuple[str, ...] = ("id", "link_id", "operation", "status", "milliseconds", "called_at")
    yield Rows("super_tool_calls", columns, call_rows())


def _events(platform: Platform) -> Iterator[Sequence[Value]]:
    rng, kinds = platform.rng("event_log"), platform.reference.wording["events"]
    for _ in range(platform.count(3)):
        kind, account = pick(rng, kinds), number(rng, platform.size) if rng.random() < 0.9 else None
        ip = platform.people.ip(rng) if account and rng.random() < 0.7 else None
        row = (some_time(rng), kind["service"], kind["event"], account, ip, mixed(rng))
        yield row
        if rng.random() < 0.02:
            yield row  # a log may say the same thing twice
