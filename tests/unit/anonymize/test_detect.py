"""Classification of a column by its name and by a sample of its values."""

from __future__ import annotations

import json

import pyarrow as pa
import pytest

from rlg_backup.anonymize.column_names import words_of
from rlg_backup.anonymize.column_values import at_least
from rlg_backup.anonymize.detect import Classification, classify
from rlg_backup.anonymize.resolution import names_a_column, pattern_for

EMPTY = None


def texts(pattern: str, count: int = 100) -> pa.Array:
    return pa.array([pattern.format(n, n % 10) for n in range(count)])


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("emailAddress", ["email", "address"]),
        ("HTTPUserEmail2", ["http", "user", "email2"]),
        ("date_of_birth", ["date", "of", "birth"]),
        ("Prénom", ["prenom"]),
        ("Straße", ["strasse"]),
        ("תאריך_לידה", ["תאריך", "לידה"]),
    ],
)
def test_names_are_split_at_case_and_underscores(name: str, words: list[str]) -> None:
    assert words_of(name) == words


@pytest.mark.parametrize(
    ("column", "kind"),
    [
        ("email", "email"),
        ("backupEmail", "email"),
        ("correo_electronico", "email"),
        ("מייל_דואל", "email"),
        ("telefon", "phone"),
        ("phone_number", "phone"),
        ("電話番号", "phone"),
        ("first_name", "name"),
        ("Apellido", "name"),
        ("שם_משפחה", "name"),
        ("payer_name", "name"),
        ("street_address", "address"),
        ("כתובת", "address"),
        ("dob", "birth"),
        ("geburtsdatum", "birth"),
        ("tax_id", "identity"),
        ("passportNumber", "identity"),
        ("תעודת_זהות", "identity"),
        ("iban", "account"),
        ("client_ip", "ip"),
        ("email2", "email"),
        ("phone_number2", "phone"),
        ("address1", "address"),
        ("next_of_kin", "name"),
        ("lname", "name"),
        ("insurance_no", "identity"),
        ("tax_no", "identity"),
        ("card_no", "account"),
        ("nationality", "sensitive"),
        ("health_status", "sensitive"),
        ("ip_address", "ip"),
    ],
)
def test_a_name_alone_says_that_a_column_is_personal(column: str, kind: str) -> None:
    found = classify("things", column, EMPTY)
    assert (found.personal, found.kind) == (True, kind)
    assert 0.5 <= found.confidence < 1


@pytest.mark.parametrize(
    ("table", "column"),
    [
        ("plans", "name"),
        ("geo_cities", "name"),
        ("products", "product_name"),
        ("mails", "email_template"),
        ("mails", "email_sent_at"),
        ("users", "has_phone"),
        ("users", "phone_verified"),
        ("orders", "address_id"),
        ("orders", "item"),
        ("logins", "oauth2"),
        ("people", "email2_verified"),
        ("people", "emergency_contact_id"),
    ],
)
def test_a_name_that_speaks_of_something_else_is_not_personal(table: str, column: str) -> None:
    assert not classify(table, column, EMPTY).personal


def test_name_is_somebodys_in_a_table_of_persons_or_with_names_in_it() -> None:
    assert classify("customers", "name", EMPTY).kind == "name"
    people = pa.array(["Thabo Nkosi", "Maria Lopez", "שרה כהן", "Иван Петров"] * 5)
    assert classify("things", "name", people).kind == "name"
    assert not classify("things", "title", people).personal  # lists count together with the column's name only
    assert not classify("things", "name", texts("Basic plan {}")).personal


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (texts("user{}@example.org"), "email"),
        (texts("call +27 82 555 {:04} now"), "phone"),
        (pa.array(["01 42 68 53 00", "06 12 34 56 78"] * 9), "phone"),
        (texts("10.20.{}.1"), "ip"),
        (pa.array(["GB82 WEST 1234 5698 7654 32", "NL91ABNA0417164300"]), "iban"),
        (pa.array(["4111 1111 1111 1111", "5500005555555559"]), "card"),
    ],
)
def test_values_say_that_a_column_is_personal_whatever_its_name(values: pa.Array, kind: str) -> None:
    found = classify("things", "stuff", values)
    assert (found.personal, found.kind, found.found, found.looked) == (True, kind, len(values), len(values))


@pytest.mark.parametrize("as_number", [False, True])
def test_national_numbers_are_told_by_their_check_digits_in_nearly_all_values(as_number: bool) -> None:
    numbers = [f"{n:08}{_check_digit(f'{n:08}')}" for n in range(31_234_567, 31_234_587)]  # Israel's
    column = pa.array([int(number) for number in numbers] if as_number else numbers)
    assert classify("things", "ref", column).kind == "identity"
    serials = [number[:-1] + str(n % 10) for n, number in enumerate(numbers)]  # one in ten passes
    assert not classify("things", "ref", pa.array(serials)).personal


def _check_digit(digits: str) -> int:
    doubled = [int(digit) * (1 + place % 2) for place, digit in enumerate(digits)]
    return -sum(number // 10 + number % 10 for number in doubled) % 10


def test_json_says_it_by_the_names_of_its_keys() -> None:
    documents = pa.array([json.dumps({"form": [{"firstName": "Zz", "dob": f"{1950 + n}-01-02"}]}) for n in range(40)])
    assert classify("things", "payload", documents).kind in ("birth", "name")
    switches = pa.array([json.dumps({"email": True, "phone": "weekly", "theme": "dark"})] * 40)
    assert not classify("things", "payload", switches).personal


def test_a_phone_in_a_json_blob_is_found() -> None:
    documents = [json.dumps({"n": n}) for n in range(900)] + [json.dumps({"c": {"t": "+27 82 555 0101"}})] * 100
    assert classify("things", "payload", pa.array(documents)).kind == "phone"


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("mobile", pa.array([0, 1] * 50)),
        ("email", texts("weekly digest {}")),
        ("ip", texts("patent {}")),
        ("email", pa.array([True, False] * 50)),
    ],
)
def test_a_name_that_the_values_contradict_says_nothing(column: str, values: pa.Array) -> None:
    assert not classify("things", column, values).personal


@pytest.mark.parametrize(
    "values",
    [
        texts("2024-05-{1}1 10:11:12"),
        texts("550e8400-e29b-41d4-a716-44665544{:04}"),
        texts("/files/report-{}.pdf"),
        texts("order 20240{1}12345{1}"),
        pa.array(range(100_000_000, 100_001_000)),
        pa.array(range(1_700_000_000, 1_700_001_000)),
        pa.array([1.5, 2.5]),
        pa.nulls(4),
        pa.array(["12 345,00", "1 250,50"] * 30),
    ],
)
def test_dates_ids_paths_and_amounts_are_nobodys(values: pa.Array) -> None:
    assert not classify("things", "stuff", values).personal


def test_geography_and_money_are_told_by_name() -> None:
    assert classify("things", "country_code", EMPTY).of_class == "geography"
    assert classify("things", "amount_cents", EMPTY).of_class == "money"
    assert classify("things", "stuff", EMPTY) == Classification("plain", "", 1.0, 0, 0)


def test_confidence_grows_with_the_sample_and_is_a_chance() -> None:
    assert at_least(0, 1000, 0.02) == 0
    assert at_least(1, 1, 0.02) == pytest.approx(1 - 0.02**2)  # both of two draws below the share, less one
    assert 0.4 < at_least(20, 1000, 0.02) < 0.6
    assert at_least(60, 1000, 0.02) > 0.999
    assert at_least(1000, 1000, 0.02) == 1


def test_a_pattern_that_names_no_column_is_told_from_one_that_does() -> None:
    assert [names_a_column(p) for p in ("a.*", "*.*", "a.b*", "*.b")] == [False, False, True, True]
    assert pattern_for(["*.*", "a.*", "a.b"], "a", "b") == "a.b"
    assert pattern_for(["x.*"], "a", "b") is None
