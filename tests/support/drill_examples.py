"""Drill reports as a drill would make them: one where all is right, one where it is not."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from rlg_backup.core.model import Check, Excluded, Fidelity, Kind, Verdict
from rlg_backup.report import DrilledSource, DrillReport

PASS, FAIL, UNVERIFIED = Verdict.PASS, Verdict.FAIL, Verdict.COULD_NOT_VERIFY
STARTED = datetime(2026, 12, 1, 4, 0, tzinfo=UTC)
REGIONS = {
    "africa": 210, "asia": 512, "europe": 1480, "north_america": 655, "oceania": 74, "sadc": 340, "special": 96,
    "south_america": 122, "": 18,
}  # fmt: skip


def _check(group: str, name: str, measured: str, expected: str, seconds: float = 0.01) -> Check:
    return Check(group, name, PASS, measured, expected, seconds)


DATA = DrilledSource(
    source="rlg_data",
    target="s3_frankfurt",
    backup_id="20261129T020000Z-7f3a9c2e",
    kind=Kind.FULL,
    taken_at=datetime(2026, 11, 29, 2, 0, 4, tzinfo=UTC),
    manifest_sha256="9c1b6f0f2f8f4d7ab1f5f8f4e6a6f7a5f2f1c0d3e4b5a69788796a5b4c3d2e1f",
    signer="3fa1c09b7d22e410",
    fidelity=Fidelity.RECOVERABLE,
    checks=(
        _check("restore", "manifest signed by a trusted key", "3fa1c09b7d22e410", "a trusted key", 0.002),
        _check("restore", "archive as large and with the digest of the manifest", "48.2 MB", "48.2 MB", 1.31),
        _check("parity", "accounts: digest of the rows", "2,507 rows, equal", "2,507 rows", 0.41),
        _check("parity", "payments: digest of the rows", "18,204 rows, equal", "18,204 rows", 1.84),
        _check("geography", "every geo_towns.city_id is a known geo_cities.id", "0 unexpected rows, 3,811 looked at",
               "no unexpected row", 0.016),
        _check("geography", "SADC has 16 member states", "0 unexpected rows, 16 looked at", "no unexpected row", 0.004),
        _check("prices", "no Special Region price is different", "0 unexpected rows, 6 looked at", "no unexpected row"),
        _check("prices", "every Special Region price is locked", "0 unexpected rows, 6 looked at", "no unexpected row"),
        _check("rows", "accounts: rows by region equal those of the profile", "0 unexpected regions, 9 looked at",
               "no region with another number of rows", 0.013),
    ),
    restored={"tables": 31, "rows": 64_212, "bytes": 48_231_411},
    timings={"fetch": 2.1, "verify": 1.4, "decrypt and load": 9.75, "parity": 3.02, "suites": 14.2, "wipe": 0.08},
    regions=REGIONS,
    regions_restored=REGIONS,
    excluded=(Excluded("sqlite_stat1", "statistics of the planner, made again by ANALYZE"),),
)  # fmt: skip
FILES = DrilledSource(
    source="rlg_files",
    target="s3_frankfurt",
    backup_id="20261130T023000Z-0b44d1aa",
    kind=Kind.INCREMENTAL,
    taken_at=datetime(2026, 11, 30, 2, 30, 1, tzinfo=UTC),
    manifest_sha256="0aa4c0b5d1e2f30415263748596a7b8c9daebfc0d1e2f3a4b5c6d7e8f9012345",
    signer="3fa1c09b7d22e410",
    fidelity=Fidelity.RECOVERABLE,
    chain=("20261129T023000Z-51c0aa17", "20261130T023000Z-0b44d1aa"),
    checks=(_check("parity", "digest of the tree", "1,204 entries, equal", "1,204 entries", 2.2),),
    restored={"entries": 1204, "bytes": 211_004_102},
    timings={"fetch": 4.4, "verify": 1.1, "decrypt and load": 6.0, "parity": 2.2},
    warnings=("one file changed at every attempt to read it and is marked as unstable",),
)
PASSED = DrillReport(
    title="Monthly drill, December 2026",
    verdict=PASS,
    started=STARTED,
    finished=STARTED + timedelta(seconds=72.4),
    sources=(DATA, FILES),
    engine="0.1.0",
    identities="escrow",
)


def _failing(check: Check) -> Check:
    if check.name == "no Special Region price is different":
        return replace(check, verdict=FAIL, measured="1 unexpected row, 6 looked at")
    if check.name.startswith("accounts: rows by region"):
        return replace(check, verdict=FAIL, measured="2 unexpected regions, 9 looked at")
    if check.name == "SADC has 16 member states":
        return replace(check, verdict=UNVERIFIED, measured="the table 'geo_countries' is missing")
    return check


FAILED = replace(
    PASSED,
    verdict=FAIL,
    warnings=("The catalog of target 'local_disk' could not be reached: this drill read from 's3_frankfurt' alone.",),
    sources=(
        replace(
            DATA,
            checks=tuple(map(_failing, DATA.checks)),
            regions_restored={**REGIONS, "special": 95, "asia": 513},
            fidelity=Fidelity.MASKED,
            masked_columns=("accounts.signup_ip",),
        ),
        FILES,
    ),
)
UNSURE = replace(PASSED, sources=(DATA, replace(FILES, checks=())))
