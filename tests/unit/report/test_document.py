"""The drill report as JSON, and numbers in words."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest
from tests.support.drill_examples import DATA, FAILED, PASSED, STARTED, UNSURE

from rlg_backup.report import to_json
from rlg_backup.report.words import amount, duration, moment, size, summary


def test_the_document_holds_what_the_page_shows() -> None:
    document = json.loads(to_json(FAILED))
    assert {key: document[key] for key in ("type", "version", "verdict", "started", "finished", "identities")} == {
        "type": "drill-report",
        "version": 1,
        "verdict": "FAIL",
        "started": "2026-12-01T04:00:00Z",
        "finished": "2026-12-01T04:01:12Z",
        "identities": "escrow",
    }
    source = document["sources"][0]
    assert (source["backup_id"], source["kind"], source["verdict"]) == (DATA.backup_id, "full", "FAIL")
    assert source["fidelity"] == "masked"
    assert source["regions"]["special"] - source["regions_restored"]["special"] == 1
    assert source["checks"][6] == {
        "group": "prices",
        "name": "no Special Region price is different",
        "verdict": "FAIL",
        "measured": "1 unexpected row, 6 looked at",
        "expected": "no unexpected row",
        "seconds": 0.01,
    }
    assert source["excluded"] == [
        {"name": "sqlite_stat1", "reason": "statistics of the planner, made again by ANALYZE"},
    ]


def test_the_verdict_of_the_document_is_the_one_shown_and_not_the_one_declared() -> None:
    assert json.loads(to_json(UNSURE))["verdict"] == "COULD-NOT-VERIFY"


def test_the_same_records_give_the_same_text_whatever_the_order_of_their_mappings_and_the_time_zone() -> None:
    turned = dict(reversed(list(DATA.regions.items())))
    zone = timezone(timedelta(hours=2))
    same = replace(PASSED, started=STARTED.astimezone(zone), sources=(replace(DATA, regions=turned), PASSED.sources[1]))
    assert to_json(same) == to_json(PASSED)
    assert to_json(PASSED).endswith("}\n")


def test_what_is_not_known_of_a_backup_that_was_never_restored_is_null() -> None:
    (source,) = json.loads(to_json(replace(FAILED, sources=(replace(DATA, backup_id=""),))))["sources"]
    assert [source[key] for key in ("kind", "taken_at", "fidelity")] == [None, None, None]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 ms"), (0.0004, "0 ms"), (0.999, "999 ms"), (0.9996, "1.0 s"), (1, "1.0 s"), (59.96, "1 min 0 s"),
     (72.4, "1 min 12 s"), (3599.6, "1 h 0 min"), (7500, "2 h 5 min")],
)  # fmt: skip
def test_durations_in_words(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0 bytes"), (1, "1 byte"), (999, "999 bytes"), (1000, "1.0 kB"), (999_949, "999.9 kB"), (999_950, "1.0 MB"),
     (48_231_411, "48.2 MB"), (1_400_000_000, "1.4 GB"), (5 * 10**18, "5,000.0 PB")],
)  # fmt: skip
def test_sizes_in_words(number: int, text: str) -> None:
    assert size(number) == text


def test_amounts_and_moments_in_words() -> None:
    assert (amount(1, "check"), amount(1204, "check")) == ("1 check", "1,204 checks")
    assert moment(datetime(2026, 12, 1, 6, 5, tzinfo=timezone(timedelta(hours=2)))) == "1 December 2026, 04:05 UTC"


def test_the_summary_of_a_drill_of_nothing_says_so() -> None:
    assert summary(replace(PASSED, sources=())) == (
        "On 1 December 2026, 04:00 UTC no backup was drilled. Nothing was checked. It took 1 min 12 s."
    )
