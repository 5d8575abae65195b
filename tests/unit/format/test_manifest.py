"""The manifest: signed, at its own place, and in agreement with itself."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
from tests.unit.format.documents import BACKUP, MANIFEST, A
from tests.unit.format.signers import OURS, THEIRS

from rlg_backup.core.errors import CatalogForged, DocumentDamaged, SignatureInvalid, SignerUnknown
from rlg_backup.format.manifest import Manifest
from rlg_backup.format.signing import sign

PLACE = {"source": "rlg_data", "backup_id": BACKUP}
PATH = f"rlg_data/{BACKUP}/manifest.json"


def test_a_signed_manifest_is_read_back_from_its_place() -> None:
    manifest = Manifest.from_dict(MANIFEST, "x")
    data = manifest.sign(OURS)
    assert Manifest.load(data, [OURS.public], **PLACE) == manifest
    assert data == manifest.sign(OURS) == sign("manifest", MANIFEST, OURS)


@pytest.mark.parametrize("place", [{"source": "rlg_fans"}, {"backup_id": "20261123T020000Z-00000000"}])
def test_a_manifest_moved_to_another_place_is_refused(place: dict[str, str]) -> None:
    asked = {**PLACE, **place}
    with pytest.raises(CatalogForged) as caught:
        Manifest.load(sign("manifest", MANIFEST, OURS), [OURS.public], **asked)
    path = f"{asked['source']}/{asked['backup_id']}/manifest.json"
    assert str(caught.value) == f"unable to verify '{path}': it is the manifest of 'rlg_data/{BACKUP}'"


def test_another_signer_and_another_type_are_refused_by_its_path() -> None:
    with pytest.raises(SignerUnknown) as unknown:
        Manifest.load(sign("manifest", MANIFEST, THEIRS), [OURS.public], **PLACE)
    assert unknown.value.subject == PATH
    with pytest.raises(SignatureInvalid) as invalid:
        Manifest.load(sign("commit", MANIFEST, OURS), [OURS.public], **PLACE)
    assert str(invalid.value) == f"unable to verify '{PATH}': it was not signed as a manifest"


def change(**fields: object) -> Callable[[dict[str, Any]], object]:
    return lambda value: value.update(fields)


def archive(**fields: object) -> Callable[[dict[str, Any]], object]:
    return lambda value: value["archives"][0].update(fields)


UNSORTED = "it is not sorted, or names something twice"
TOO_LARGE = "field 'archives.0': its header or its directory is larger than the archive"
HEX = "String should match pattern '^[0-9a-f]{64}$'"


@pytest.mark.parametrize(
    ("damage", "cause"),
    [
        (change(kind="full"), "a full backup has no parent, any other kind has one"),
        (change(parent=None), "a full backup has no parent, any other kind has one"),
        (change(parent={"backup_id": BACKUP, "manifest_sha256": A}), "it is its own parent"),
        (change(fidelity="recoverable"), "its fidelity and its masked columns contradict each other"),
        (change(masked_columns=[]), "its fidelity and its masked columns contradict each other"),
        (change(masked_columns=["b.b", "a.a"]), f"field 'masked_columns': {UNSORTED}"),
        (change(recipients=["b", "b"]), f"field 'recipients': {UNSORTED}"),
        (change(source="Rlg"), "field 'source': it is not a name of lower-case letters, digits and '_'"),
        (change(source="rlg\n"), "field 'source': it is not a name of lower-case letters, digits and '_'"),
        (change(backup_id=BACKUP + "\n"), "field 'backup_id': it is not a backup id"),
        (change(configuration_sha256=A.upper()), f"field 'configuration_sha256': {HEX}"),
        (change(configuration_sha256=A + "\n"), f"field 'configuration_sha256': {HEX}"),
        (change(archives=[]), "field 'archives': it is empty, not sorted by zone, or has a zone twice"),
        (
            change(archives=MANIFEST["archives"][::-1]),
            "field 'archives': it is empty, not sorted by zone, or has a zone twice",
        ),
        (archive(header_size=9000), TOO_LARGE),
        (archive(directory={"offset": 8000, "length": 1001, "sha256": A}), TOO_LARGE),
        (archive(size=-1), "field 'archives.0.size': Input should be greater than or equal to 0"),
        (archive(size=2**53), "field 'archives.0.size': Input should be less than 9007199254740992"),
    ],
)
def test_a_manifest_that_contradicts_itself_is_refused(damage: Callable[[dict[str, Any]], object], cause: str) -> None:
    value = copy.deepcopy(MANIFEST)
    damage(value)
    with pytest.raises(DocumentDamaged) as caught:
        Manifest.from_dict(value, "x.json")
    assert str(caught.value) == f"unable to read 'x.json': {cause}"


def test_a_manifest_of_before_there_was_change_state_has_none() -> None:
    older = {name: value for name, value in MANIFEST.items() if name != "state"}
    assert Manifest.load(sign("manifest", older, OURS), [OURS.public], **PLACE).state is None


def test_no_recipient_is_no_manifest() -> None:
    with pytest.raises(DocumentDamaged):
        Manifest.from_dict({**MANIFEST, "recipients": []}, "x.json")


def test_names_may_be_hidden_and_nothing_may_be_tokenized() -> None:
    contents = {**MANIFEST["contents"], "names": None}
    manifest = Manifest.from_dict({**MANIFEST, "contents": contents, "tokenization_key": None}, "x")
    assert (manifest.contents.names, manifest.tokenization_key) == (None, None)
