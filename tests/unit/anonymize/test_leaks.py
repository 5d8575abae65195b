"""The search of stored rows: planted leaks are found, clean data give none, results hold no value."""

from __future__ import annotations

import polars as pl
import pyarrow as pa
import pytest
from tests.unit.anonymize.columns import KEY, VARIANT, batch_of, variant_cell

from rlg_backup.anonymize.actions import Action, Hash, Redact, Tokenize
from rlg_backup.anonymize.leaks import Finding, Hit, Seen, kinds_by_shape, scan, scan_name, scan_names
from rlg_backup.anonymize.originals import Originals
from rlg_backup.anonymize.policies import Policies
from rlg_backup.anonymize.text import PIECE, pieces_of

ROWS = 200
EMAIL, PHONE, NAME = "jane.doe@example.org", "+27 82 555 0101", "Maria Lopez"
ACTIONS: dict[str, Action] = {"email": Tokenize(), "phone": Hash(), "name": Redact()}
DECLARED = {column: action.name for column, action in ACTIONS.items()}


def users() -> pa.RecordBatch:
    return batch_of(
        id=pa.array(range(ROWS)),
        email=pa.array([EMAIL, *(f"user{n}@example.org" for n in range(1, ROWS))]),
        phone=pa.array([PHONE, *(f"+27 82 444 {n:04}" for n in range(1, ROWS))]),
        name=pa.array([NAME, *(f"Person Number{n}" for n in range(1, ROWS))]),
        joined=pa.array([f"2024-05-{n % 28 + 1:02} 10:11:12" for n in range(ROWS)]),
    )


def collected() -> Originals:
    originals = Originals(KEY)
    originals.collect("users", users(), list(ACTIONS))
    return originals


def found_in(table: str = "messages", allowed: frozenset[str] = frozenset(), **columns: pa.Array) -> Finding:
    finding = Finding(allowed=allowed)
    for seen in scan(table, batch_of(**columns), collected(), {}):
        finding.add(seen)
    return finding


def verdict(finding: Finding) -> tuple[list[str], list[str], list[str]]:
    return tuple([str(hit) for hit in hits] for hits in (finding.hits, finding.undeclared, finding.warnings))  # type: ignore[return-value]


def chat(*planted: str) -> pa.Array:
    return pa.array([*planted, *(f"hello, order {n} arrived at 10:11 today" for n in range(ROWS - len(planted)))])


def test_rows_whose_policies_were_applied_show_nothing() -> None:
    stored = Policies("users", ACTIONS, KEY, {}).apply(users())
    finding = Finding()
    for seen in scan("users", stored, collected(), DECLARED):
        finding.add(seen)
    assert verdict(finding) == ([], [], [])
    assert finding.looked == 3 * ROWS  # tokens, hashes and times; the redacted column holds nothing


def test_rows_whose_policies_were_not_applied_show_every_column() -> None:
    finding = Finding()
    for seen in scan("users", users(), collected(), DECLARED):
        finding.add(seen)
    assert [hit.column for hit in finding.hits] == ["users.email", "users.name", "users.phone"]
    assert all(hit.rows == hit.looked == ROWS for hit in finding.hits)


def test_a_token_column_that_holds_anything_else_is_a_hit_that_nothing_allows() -> None:
    stored = Policies("users", {"email": Tokenize()}, KEY, {}).apply(batch_of(email=pa.array(["a", None])))
    forged = pa.RecordBatch.from_arrays([pa.array([EMAIL.encode(), None])], schema=stored.schema)
    finding = Finding(allowed=frozenset({"users.email"}))
    for seen in scan("users", forged, collected(), {"email": "tokenize"}):
        finding.add(seen)
    assert verdict(finding) == (["users.email: not-a-token in 1 of 1"], [], [])


@pytest.mark.parametrize(
    ("column", "origin"),
    [
        (chat(f"please write to {EMAIL}, thank you"), "users.email"),
        (chat(f"{NAME} asked for it"), "users.name"),
        (chat('{"contact": {"tel": "+27825550101"}}'), "users.phone"),
        (chat(EMAIL.upper()), "users.email"),
        (pa.array([b"\x89PNG\xff\xfe" + EMAIL.encode() + b"\x00", b"\xff"]), "users.email"),
        (pa.array([variant_cell(1, 7), variant_cell(3, EMAIL.encode())], VARIANT), "users.email"),
        (pa.array([variant_cell(0, None), variant_cell(4, NAME.encode())], VARIANT), "users.name"),
    ],
)
def test_one_original_value_in_another_column_is_a_hit(column: pa.Array, origin: str) -> None:
    (hit,) = found_in(body=column).hits
    assert (hit.column, hit.kind, hit.rows, hit.origin) == ("messages.body", "original", 1, origin)


def test_an_original_value_in_an_allowed_column_is_a_counted_warning() -> None:
    finding = found_in(body=chat(EMAIL, EMAIL, f"ask {NAME}"), allowed=frozenset({"messages.body"}))
    assert verdict(finding) == (
        [],
        [],
        [
            "messages.body: email in 2 of 200",
            "messages.body: original values of users.email in 2 of 200",
            "messages.body: original values of users.name in 1 of 200",
        ],
    )


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("email", [f"stranger{n}@elsewhere.example" for n in range(ROWS)]),
        ("phone", [f"+44 20 7946 {n:04}" for n in range(ROWS)]),
        ("ip", [f"198.51.100.{n}" for n in range(ROWS)]),
        ("ip", [f"2001:db8::{n + 1:x}" for n in range(ROWS)]),
        ("card", ["4111 1111 1111 1111", "5500 0000 0000 0004"] * (ROWS // 2)),
        ("email", [f'{{"to": "stranger{n}@elsewhere.example"}}' for n in range(ROWS)]),
    ],
)
def test_a_column_of_personal_data_without_a_policy_is_undeclared(kind: str, values: list[str]) -> None:
    assert verdict(found_in(log=pa.array(values))) == ([], [f"messages.log: {kind} in 200 of 200"], [])
    assert verdict(found_in(log=pa.array(values), allowed=frozenset({"messages.log"}))) == (
        [],
        [],
        [f"messages.log: {kind} in 200 of 200"],
    )


def test_a_strangers_address_now_and_then_is_a_warning_and_from_two_percent_on_undeclared() -> None:
    strangers = [f"stranger{n}@elsewhere.example" for n in range(4)]
    assert verdict(found_in(body=chat(*strangers[:3]))) == ([], [], ["messages.body: email in 3 of 200"])
    assert verdict(found_in(body=chat(*strangers))) == ([], ["messages.body: email in 4 of 200"], [])


def test_the_share_is_of_all_batches_together() -> None:
    finding = Finding()
    for planted in (["s@elsewhere.example"] * 4, [], []):
        for seen in scan("messages", batch_of(body=chat(*planted)), collected(), {}):
            finding.add(seen)
    assert verdict(finding) == ([], [], ["messages.body: email in 4 of 600"])


def test_long_numbers_of_which_one_in_ten_passes_luhn_are_no_cards() -> None:
    numbers = pa.array([str(4_000_000_000_000_000 + 7 * n) for n in range(ROWS)])
    assert verdict(found_in(reference=numbers)) == ([], [], [])


def test_clean_data_show_nothing() -> None:
    finding = found_in(
        body=chat(),
        at=pa.array([f"2024-05-06T10:{n % 60:02}:12.123456+02:00" for n in range(ROWS)]),
        uuid=pa.array([f"7f3a9c2e-1b2c-4d5e-8f90-{n:012}" for n in range(ROWS)]),
        amount=pa.array([f"{n}.99" for n in range(ROWS)]),
        where=pa.array([f"-33.92{n:04}, 18.42{n:04}" for n in range(ROWS)]),
        blob=pa.array([bytes([n % 256] * 40) for n in range(ROWS)]),
        count=pa.array(range(ROWS)),
        nothing=pa.nulls(ROWS),
        empty=pa.array([""] * ROWS),
    )
    assert verdict(finding) == ([], [], [])


def test_codes_of_places_that_stand_beside_a_table_are_nobody_s() -> None:
    field = pa.field("$region", pa.string(), metadata={b"rlg.role": b"region"})
    batch = pa.RecordBatch.from_arrays([pa.array([NAME])], schema=pa.schema([field]))
    assert scan("users", batch, collected(), {}) == []


@pytest.mark.parametrize(
    ("policy", "left", "hits"),
    [
        ("redact", [NAME] * ROWS, 0),
        ("redact", [NAME, *["gone"] * (ROWS - 1)], 1),
        ("generalize", [NAME] * ROWS, 0),
        ("mask", [NAME, *["*** Number"] * (ROWS - 1)], 1),
        ("mask", [NAME] * ROWS, ROWS),
    ],
)
def test_who_calls_himself_what_is_left_of_another_stops_no_run(policy: str, left: list[str], hits: int) -> None:
    finding = Finding(for_ever=frozenset({"users.alias"}))
    for seen in scan("users", batch_of(alias=pa.array(left)), collected(), {"alias": policy}):
        finding.add(seen)
    told = [f"users.alias: original values of users.name in {hits} of {ROWS}"] * (hits > 0)
    assert verdict(finding) == ((told, [], []) if hits == ROWS else ([], [], told))


def test_text_larger_than_a_piece_is_searched_to_its_end() -> None:
    large = "lorem ipsum " * 400_000
    assert [hit.rows for hit in found_in(body=pa.array([large + EMAIL, large, large + NAME, "x"])).hits] == [1, 1]


def test_a_batch_is_searched_in_pieces_of_bounded_size() -> None:
    counts = pl.DataFrame({"value": ["x" * 100_000] * 200, "rows": range(200)})
    pieces = list(pieces_of(counts))
    assert [row for piece in pieces for row in piece["rows"]] == list(range(200))
    assert max(piece["value"].str.len_bytes().sum() for piece in pieces) <= PIECE + 100_000


def test_file_names_are_searched() -> None:
    originals = collected()
    assert scan_name(b"media/cat.jpg", originals) == frozenset()
    assert scan_name(b"reports/2024-05-06/IMG_20240506_101112.png", originals) == frozenset()
    assert scan_name(b"cv/maria_lopez.pdf", originals) == {"original"}
    assert scan_name(b"export/jane.doe@example.org.csv", originals) == {"original", "email"}
    assert scan_name(b"\xff\xfe/stranger@elsewhere.example", originals) == {"email"}
    assert scan_names("files.path", [b"a", b"Maria-Lopez", b"b"], originals) == Seen(
        "files.path", 3, {("original", "users.name"): 1}
    )


def test_no_result_holds_a_value() -> None:
    finding = found_in(body=chat(EMAIL, NAME, PHONE, "stranger@elsewhere.example"))
    seen = scan("messages", batch_of(body=chat(EMAIL, NAME, PHONE)), collected(), {})
    shown = f"{finding!r} {finding.hits!r} {finding.undeclared!r} {finding.warnings!r} {seen!r} {collected()!r}"
    shown += " ".join(map(str, (*finding.hits, *finding.undeclared, *finding.warnings)))
    for part in ("example", "jane", "lopez", "Lopez", "555", "stranger", "elsewhere"):
        assert part not in shown
    assert finding.hits[0] == Hit("messages.body", "original", 1, ROWS, "users.email")


def test_nothing_looked_at_is_nothing_found() -> None:
    assert scan("messages", batch_of(body=pa.array([], pa.string())), Originals(KEY), {}) == [
        Seen("messages.body", 0, {})
    ]
    assert scan("messages", batch_of(n=pa.array([1])), Originals(KEY), {}) == []


def test_random_bytes_have_no_shape_yet_an_original_value_among_them_is_found() -> None:
    noise = bytes(range(128, 256)) * 20 + b" 192.168.17.23 4111 1111 1111 1111 nobody@example.org " + b"\xff\xfe"
    originals = Originals(b"k" * 32)
    personal = pa.record_batch([pa.array(["miriam.peretz@example.org"])], ["email"])
    originals.collect("people", personal, ["email"])
    blobs = pa.record_batch([pa.array([noise, noise + b" miriam.peretz@example.org "], pa.binary())], ["picture"])
    finding = Finding()
    for seen in scan("files", blobs, originals, {}):
        finding.add(seen)
    assert [str(hit) for hit in finding.hits] == ["files.picture: original values of people.email in 1 of 2"]
    assert finding.undeclared == []


def test_of_many_values_that_look_personal_an_even_part_is_looked_at_and_stands_for_all() -> None:
    phones = [f"+27 82 {n % 900 + 100} {n // 900:04}" for n in range(9000)]
    mixed = [text if n % 3 else f"order {n:09}" for n, text in enumerate(phones)]
    assert kinds_by_shape(pl.Series("value", phones)) == {"phone": 9000}
    assert abs(kinds_by_shape(pl.Series("value", mixed))["phone"] - 6000) < 600
