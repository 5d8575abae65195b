"""The commit record: signed, at its own place on its own target."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.format.documents import BACKUP, COMMIT, A
from tests.unit.format.signers import OURS, THEIRS

from rlg_backup.core.errors import CatalogForged, DocumentDamaged, SignerUnknown
from rlg_backup.format.commit import CommitRecord
from rlg_backup.format.signing import sign

PATH = f"catalog/rlg_data/00000012-{BACKUP}-full.json"


def load(value: dict[str, Any], *, path: str = PATH, target: str = "local") -> CommitRecord:
    return CommitRecord.load(sign("commit", value, OURS), [OURS.public], path=path, target=target)


def test_a_signed_record_is_read_back_from_its_place() -> None:
    record = CommitRecord.from_dict(COMMIT, "x")
    assert record.path == PATH
    assert load(COMMIT) == record
    assert record.sign(OURS) == sign("commit", COMMIT, OURS)


@pytest.mark.parametrize(
    "field",
    [{"source": "rlg_fans"}, {"sequence": 13}, {"backup_id": "20261123T020000Z-00000000"}, {"kind": "incremental"}],
)
def test_a_record_moved_to_another_place_is_refused(field: dict[str, object]) -> None:
    own = CommitRecord.from_dict({**COMMIT, **field}, "x").path
    with pytest.raises(CatalogForged) as caught:
        load({**COMMIT, **field})
    assert str(caught.value) == f"unable to verify '{PATH}': it is the record '{own}'"


def test_a_record_moved_to_another_target_is_refused() -> None:
    with pytest.raises(CatalogForged) as caught:
        load(COMMIT, target="s3")
    assert str(caught.value) == f"unable to verify '{PATH}': it was made for target 'local', not for 's3'"


def test_a_record_signed_by_a_stranger_is_refused() -> None:
    with pytest.raises(SignerUnknown):
        CommitRecord.load(sign("commit", COMMIT, THEIRS), [OURS.public], path=PATH, target="local")


@pytest.mark.parametrize(
    ("field", "cause"),
    [
        ({"sequence": 1}, "only the first record has none before it"),
        ({"previous_sha256": None}, "only the first record has none before it"),
        ({"sequence": 0}, "field 'sequence': Input should be greater than or equal to 1"),
        ({"sequence": 10**8}, "field 'sequence': Input should be less than or equal to 99999999"),
        ({"witnesses": {"local": {"sequence": 1, "sha256": A}}}, "its own target is among its witnesses"),
        (
            {"erasures": {"length": 0, "head": A}},
            "field 'erasures': a ledger has a head when, and only when, it has a length",
        ),
        (
            {"erasures": {"length": 1, "head": None}},
            "field 'erasures': a ledger has a head when, and only when, it has a length",
        ),
    ],
)
def test_a_record_that_contradicts_itself_is_refused(field: dict[str, object], cause: str) -> None:
    with pytest.raises(DocumentDamaged) as caught:
        load({**COMMIT, **field})
    assert str(caught.value) == f"unable to read '{PATH}': {cause}"


def test_the_first_record_has_none_before_it() -> None:
    first = {**COMMIT, "sequence": 1, "previous_sha256": None, "erasures": {"length": 0, "head": None}, "witnesses": {}}
    assert CommitRecord.from_dict(first, "x").path == f"catalog/rlg_data/00000001-{BACKUP}-full.json"
