"""An entry of the erasure ledger, byte for byte: what is written today is read, and found, in years."""

from __future__ import annotations

import hashlib
import hmac
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from rlg_backup.core.errors import DocumentDamaged, InvalidSetting, SignatureInvalid
from rlg_backup.format.erasure import ErasureEntry, Subject, Written, path_of, subject_of
from rlg_backup.format.keys import ErasureKey, SigningKey
from rlg_backup.format.signing import sign

SIGNING = SigningKey(bytes(range(32)))
KEY = ErasureKey(bytes(range(32, 64)))
FIELDS: dict[str, Any] = {
    "sequence": 2,
    "previous_sha256": "a" * 64,
    "requested_at": datetime(2026, 11, 28, 9, 30, 15, 999_999, UTC),
    "kind": "account",
    "key": KEY.key_id,
    "subject": subject_of(KEY, "account", "4711").sha256,
    "reason": "gdpr-17",
}


def test_a_subject_is_the_hash_that_anybody_with_the_key_can_make() -> None:
    expected = hmac.new(bytes(range(32, 64)), "account\0Zo\u00eb".encode(), hashlib.sha256).hexdigest()
    assert subject_of(KEY, "account", " Zoe\u0308 ") == Subject(KEY.key_id, expected)
    assert Subject.parse(f"hashed:{KEY.key_id}:{expected}") == Subject(KEY.key_id, expected)
    assert Subject.parse("4711") is None


def test_an_entry_has_one_spelling() -> None:
    written = ErasureEntry(**FIELDS).sign(SIGNING)
    assert json.loads(written.data)["signed"] == {
        **FIELDS,
        "type": "erasure",
        "version": 1,
        "requested_at": "2026-11-28T09:30:15Z",
    }
    assert written.sha256 == "24d529c773fd1ccf88959e9638c59eda9f238aee82bc52256c496d4cc84dc406"
    assert Written.load(written.data, [SIGNING.signer], path="erasures/00000002.json") == written


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("sequence", 0),
        ("sequence", 1),
        ("previous_sha256", None),
        ("kind", "Account"),
        ("key", "x"),
        ("subject", "4711"),
        ("reason", "Miriam Peretz"),
        ("name", "Miriam"),
    ],
)
def test_what_is_no_entry_is_refused(field: str, value: object) -> None:
    body = ErasureEntry(**FIELDS).to_dict() | {field: value}
    with pytest.raises(DocumentDamaged):
        Written.load(sign("erasure", body, SIGNING), [SIGNING.signer], path=path_of(2))


def test_what_was_signed_as_something_else_is_no_entry() -> None:
    data = sign("commit", ErasureEntry(**FIELDS).to_dict(), SIGNING)
    with pytest.raises(SignatureInvalid) as caught:
        Written.load(data, [SIGNING.signer], path=path_of(2))
    assert str(caught.value) == "unable to verify 'erasures/00000002.json': it was not signed as a erasure"


@pytest.mark.parametrize("text", ["", " \n", "x" * 1025])
def test_a_key_that_no_row_can_have_is_refused_and_not_shown(text: str) -> None:
    with pytest.raises(InvalidSetting) as caught:
        subject_of(KEY, "account", text)
    assert str(caught.value) == "unable to erase 'subject': its key is not 1 to 1024 characters"
