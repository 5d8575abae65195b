"""The file tree of the platform: media, report PDFs, newsletter templates, configuration."""

from __future__ import annotations

import os
from calendar import timegm
from collections.abc import Iterator
from pathlib import Path
from string import Template

from .chance import HISTORY, TODAY, document, pick
from .data_operations import report_path, report_runs
from .fans_services import newsletter_subjects
from .media import pdf, png, write_wav
from .outcome import TREE, Progress
from .platform import Platform

SHOWREEL = 60  # seconds: 5.3 MB
ACCENTED = "media/Café Zürich – תל אביב.png"


def make_tree(root: Path, platform: Platform, progress: Progress | None) -> None:
    """Fills a new folder; contents, modes and times depend on nothing but the platform."""
    pictures = _media(root, platform)
    _reports(root, platform)
    _templates(root, platform, pictures)
    _configuration(root, platform)
    (root / "inbox").mkdir()
    _settle(root, platform)
    if progress:
        progress(TREE, measure(root)[0])


def measure(root: Path) -> tuple[int, int]:
    """Entries below the root, and bytes of the files."""
    entries = list(walk(root))
    return len(entries), sum(path.stat().st_size for path in entries if path.is_file() and not path.is_symlink())


def walk(root: Path) -> Iterator[Path]:
    """Every entry below the root in order of name, a folder before what it holds; links are not followed."""
    for entry in sorted(os.scandir(root), key=lambda e: os.fsencode(e.name)):
        path = root / entry.name
        yield path
        if entry.is_dir(follow_symlinks=False):
            yield from walk(path)


def named(root: Path, name: str) -> Path:
    """A path whose bytes are UTF-8 whatever the locale says."""
    return root / os.fsdecode(name.encode())


def put(path: Path, content: bytes | str) -> None:
    """Writes a file, making its folders."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)


def _media(root: Path, platform: Platform) -> list[str]:
    rng = platform.rng("files/media")
    countries, pictures = sorted(platform.geography.towns_of), []
    for key in range(1, max(12, platform.count(0.05)) + 1):
        pictures.append(f"{pick(rng, countries).lower()}/creator-{key:05d}.png")
        put(root / "media" / pictures[-1], png(rng, 24))
    put(named(root, ACCENTED), png(rng, 32))
    put(root / "media" / "showreel.wav", b"")
    write_wav(root / "media" / "showreel.wav", rng, SHOWREEL)
    put(root / "media" / "empty.bin", b"")
    return pictures


def _reports(root: Path, platform: Platform) -> None:
    rng, last = platform.rng("files/reports"), ""
    headlines = platform.words("headlines")
    for run, report, good in report_runs(platform):
        if good:
            last = report_path(report, run)
            figures = [f"{topic}: {rng.random() * 1000:.1f}" for topic in platform.words("topics")]
            put(root / last, pdf([f"Report {report} (run {run})", pick(rng, headlines), "", *figures]))
    if last:
        (root / "reports" / "latest.pdf").symlink_to(last.removeprefix("reports/"))


def _templates(root: Path, platform: Platform, pictures: list[str]) -> None:
    rng, template = platform.rng("files/templates"), Template(platform.reference.newsletter)
    for _, subject, path in newsletter_subjects(platform):
        filled = {
            "subject": subject,
            "language": pick(rng, ("en", "pt", "sw")),
            "headline": pick(rng, platform.words("headlines")),
            "picture": pick(rng, pictures),
        }
        put(root / path, template.substitute(filled))


def _configuration(root: Path, platform: Platform) -> None:
    table, folder = platform.reference.prices, root / "config"
    prices = [{"plan": p.plan, "tier": p.tier, "period": p.period, "cents": p.amount_cents} for p in table.prices]
    put(folder / "prices.json", document({"version": table.version, "currency": table.currency, "prices": prices}))
    regions = (f"  - {{code: {r.code}, name: {r.name}, tier: {r.tier}}}\n" for r in platform.reference.regions)
    put(folder / "regions.yaml", "regions:\n" + "".join(regions))
    agents = "".join(f"  - {document(agent)}\n" for agent in platform.words("user_agents"))
    put(folder / "scraper.yaml", f"robots: obey\nuser_agents:\n{agents}")
    put(folder / "refresh.sh", "#!/bin/sh\nexec rlg refresh --all\n")
    os.link(folder / "prices.json", folder / "prices.current.json")


def _settle(root: Path, platform: Platform) -> None:
    """Fixed modes (whatever the umask) and times, innermost first: setting a child's touches its folder."""
    rng, today = platform.rng("files/times"), timegm(TODAY.timetuple())
    times = [(path, today - int(rng.random() * HISTORY)) for path in walk(root)]
    for path, moment in reversed([(root, today), *times]):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.suffix == ".sh" else 0o644)
        os.utime(path, (moment, moment), follow_symlinks=False)
