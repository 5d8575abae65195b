"""RLG Data: scraping, compliance monitoring, AI analysis."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence

from .chance import document, number, pick, some_time
from .media import png
from .platform import Platform, Rows, Value

THUMBNAILS = 48  # different ones


def service_rows(platform: Platform) -> Iterator[Rows]:
    """The tables in the order their references need."""
    yield from _scraping(platform)
    yield from _compliance(platform)
    yield from _analysis(platform)


def _scraping(platform: Platform) -> Iterator[Rows]:
    sources, jobs = platform.count(0.25), platform.count(1)
    countries = sorted(platform.geography.towns_of)

    def source_rows() -> Iterator[Sequence[Value]]:
        rng = platform.rng("scrape_sources")
        for key in range(1, sources + 1):
            country = pick(rng, countries) if rng.random() < 0.9 else None
            url = f"https://{pick(rng, platform.words('sites'))}/{(country or 'world').lower()}/{key}"
            fields = {field: f".{field}" for field in rng.sample(platform.words("scrape_fields"), 3)}
            yield key, number(rng, platform.size), country, url, document(fields), pick(rng, (15, 60, 360, 1440))

    def job_rows() -> Iterator[Sequence[Value]]:
        rng = platform.rng("scrape_jobs")
        for key in range(1, jobs + 1):
            status = pick(rng, ("done", "done", "done", "failed", "queued"))
            pages = number(rng, 40) if status == "done" else 0
            yield key, number(rng, sources), status, pages, rng.random() * 90 if pages else None, some_time(rng)

    def result_rows() -> Iterator[Sequence[Value]]:
        rng, people = platform.rng("scrape_results"), platform.people
        thumbnails = [png(rng, 10) for _ in range(THUMBNAILS)]
        for key in range(1, platform.count(2) + 1):
            quote = people.fill(rng, pick(rng, platform.words("quotes")), pick(rng, countries), "")
            content = document({"text": quote, "words": number(rng, 900), "paid": rng.random() < 0.1})
            title, site = pick(rng, platform.words("headlines")), pick(rng, platform.words("sites"))
            thumbnail = pick(rng, thumbnails) if rng.random() < 0.4 else None
            digest = f"{rng.getrandbits(256):064x}"
            yield key, number(rng, jobs), f"https://{site}/a/{key}", title, content, thumbnail, digest, some_time(rng)

    columns: tuple[str, ...] = ("id", "account_id", "country_code", "url", "selectors", "every_minutes")
    yield Rows("scrape_sources", columns, source_rows())
    yield Rows("scrape_jobs", ("id", "source_id", "status", "pages", "seconds", "started_at"), job_rows())
    columns = ("id", "job_id", "url", "title", "content", "thumbnail", "sha256", "scraped_at")
    yield Rows("scrape_results", columns, result_rows())


def _compliance(platform: Platform) -> Iterator[Rows]:
    countries = sorted(platform.geography.towns_of)
    rules = [
        (f"R-{1 + place:03d}", f"{law}: {subject}", law, severity, country)
        for place, (law, subject, severity, country) in enumerate(_rules(platform, countries))
    ]
    checks = platform.count(1)

    def check_rows() -> Iterator[Sequence[Value]]:
        rng = platform.rng("compliance_checks")
        for key in range(1, checks + 1):
            outcome = pick(rng, ("met", "met", "met", "breached", "unclear"))
            yield key, pick(rng, rules)[0], number(rng, platform.size), outcome, rng.random(), some_time(rng)

    def finding_rows() -> Iterator[Sequence[Value]]:
        rng, people = platform.rng("compliance_findings"), platform.people
        for key in range(1, platform.count(0.25) + 1):
            excerpt = people.fill(rng, pick(rng, platform.words("findings")), pick(rng, countries), "")
            yield key, number(rng, checks), excerpt, some_time(rng) if rng.random() < 0.6 else None

    yield Rows("compliance_rules", ("code", "title", "law", "severity", "country_code"), rules)
    columns = ("id", "rule_code", "account_id", "outcome", "score", "checked_at")
    yield Rows("compliance_checks", columns, check_rows())
    yield Rows("compliance_findings", ("id", "check_id", "excerpt", "resolved_at"), finding_rows())


def _rules(platform: Platform, countries: Sequence[str]) -> Iterator[tuple[str, str, int, str | None]]:
    rng = platform.rng("compliance_rules")
    for law in platform.words("laws"):
        for subject in platform.words("rule_subjects"):
            yield law, subject, number(rng, 5), pick(rng, countries) if rng.random() < 0.5 else None


def _analysis(platform: Platform) -> Iterator[Rows]:
    models = platform.reference.wording["ai_models"]
    analyses, results = platform.count(1), platform.count(2)

    def analysis_rows() -> Iterator[Sequence[Value]]:
        rng, topics = platform.rng("ai_analyses"), platform.words("topics")
        for key in range(1, analyses + 1):
            scores = document({topic: round(rng.random(), 4) for topic in topics[:4]})
            result = number(rng, results) if rng.random() < 0.8 else None
            sentiment = rng.random() * 2 - 1 if rng.random() < 0.9 else None
            model, summary = pick(rng, models)["name"], pick(rng, platform.words("summaries"))
            yield key, number(rng, platform.size), result, model, sentiment, scores, summary, some_time(rng)

    def embedding_rows() -> Iterator[Sequence[Value]]:
        rng = platform.rng("ai_embeddings")
        for key in range(1, analyses + 1, 2):
            yield key, struct.pack("<32f", *(rng.random() - 0.5 for _ in range(32)))

    yield Rows(
        "ai_models",
        ("name", "task", "dimensions", "parameters"),
        [(m["name"], m["task"], m["dimensions"], document(m["parameters"])) for m in models],
    )
    columns = ("id", "account_id", "result_id", "model", "sentiment", "scores", "summary", "analysed_at")
    yield Rows("ai_analyses", columns, analysis_rows())
    yield Rows("ai_embeddings", ("analysis_id", "vector"), embedding_rows())
