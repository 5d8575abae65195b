"""What every typed document does: no unknown field, no missing one, nothing coerced, no value in an error."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from tests.unit.format.documents import COMMIT, MANIFEST, PROFILE, STATE

from rlg_backup.core.errors import DocumentDamaged
from rlg_backup.core.model import LEVELS
from rlg_backup.format.change_state import ChangeState
from rlg_backup.format.commit import CommitRecord
from rlg_backup.format.document import Record
from rlg_backup.format.manifest import Manifest, Snapshot
from rlg_backup.format.profile import Profile

DOCUMENTS: list[tuple[type[Record], dict[str, Any]]] = [
    (Manifest, MANIFEST),
    (CommitRecord, COMMIT),
    (Profile, PROFILE),
    (ChangeState, STATE),
]
# What the first releases did not write.
OPTIONAL = {
    *("row_digest", "within", "state", "change", "rules", "zones", "first", "last", "gone", "detected"),
    "zones_sha256",
}
OPEN = {"position", "witnesses", "options", "geography", "totals", "zones", "detected", *LEVELS}  # keys are data


def objects(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The path of every object with fixed fields inside a document."""
    if isinstance(value, dict):
        if not path or path[-1] not in OPEN:
            yield path
        if not path or path[-1] != "options":
            for key, inner in value.items():
                yield from objects(inner, (*path, key))
    elif isinstance(value, list):
        for place, inner in enumerate(value):
            yield from objects(inner, (*path, place))


def at(value: Any, path: tuple[str | int, ...]) -> Any:
    for step in path:
        value = value[step]
    return value


def refusal(cls: type[Record], value: Any) -> str:
    with pytest.raises(DocumentDamaged) as caught:
        cls.from_dict(value, "x.json")
    return str(caught.value)


@pytest.mark.parametrize(("cls", "value"), DOCUMENTS)
def test_a_document_comes_back_as_it_was(cls: type[Record], value: dict[str, Any]) -> None:
    read = cls.from_dict(value, "x.json")
    assert read.to_dict() == value == json.loads(json.dumps(read.to_dict()))
    assert cls.from_dict(read.to_dict(), "x.json") == read


@pytest.mark.parametrize(("cls", "value"), DOCUMENTS)
def test_an_unknown_field_is_refused_at_every_place(cls: type[Record], value: dict[str, Any]) -> None:
    paths = list(objects(value))
    assert len(paths) >= 3
    for path in paths:
        changed = copy.deepcopy(value)
        at(changed, path)["surprise"] = 1
        place = ".".join(map(str, (*path, "surprise")))
        assert refusal(cls, changed) == f"unable to read 'x.json': it has the unknown field '{place}'"


@pytest.mark.parametrize(("cls", "value"), DOCUMENTS)
def test_a_missing_field_is_refused_at_every_place(cls: type[Record], value: dict[str, Any]) -> None:
    for path in objects(value):
        for name in set(at(value, path)) - OPTIONAL:
            changed = copy.deepcopy(value)
            del at(changed, path)[name]
            place = ".".join(map(str, (*path, name)))
            assert refusal(cls, changed) == f"unable to read 'x.json': it lacks the field '{place}'"


@pytest.mark.parametrize(("cls", "value"), DOCUMENTS)
def test_nothing_is_taken_for_something_of_another_type(cls: type[Record], value: dict[str, Any]) -> None:
    """A number is no text, a text no number, true no 1: or two readers could read one document differently."""
    for path in objects(value):
        for name, field in at(value, path).items():
            for other in ("7", 7, 7.0, True, ["7"], {"7": 7}):
                if type(other) is type(field) or name == "options":
                    continue
                changed = copy.deepcopy(value)
                at(changed, path)[name] = other
                with pytest.raises(DocumentDamaged):
                    cls.from_dict(changed, "x.json")


@pytest.mark.parametrize("value", [None, [], "x", 1])
@pytest.mark.parametrize("cls", [cls for cls, _ in DOCUMENTS])
def test_what_is_no_object_is_refused(cls: type[Record], value: object) -> None:
    with pytest.raises(DocumentDamaged):
        cls.from_dict(value, "x.json")


def test_making_one_from_wrong_values_is_the_same_error() -> None:
    with pytest.raises(DocumentDamaged) as caught:
        Snapshot(system="a", marker="b", taken_at=datetime(2026, 1, 1))
    cause = "field 'taken_at': it is not a time as YYYY-MM-DDTHH:MM:SSZ"
    assert str(caught.value) == f"unable to write 'snapshot': {cause}"


def test_an_error_holds_the_field_and_never_the_value() -> None:
    changes: list[Callable[[dict[str, Any]], object]] = [
        lambda value: value["contents"].update(rows="SECRET"),
        lambda value: value.update(kind="SECRET"),
        lambda value: value.update(backup_id="SECRET"),
        lambda value: value.update(source="SECRET"),
        lambda value: value.update(created_at="SECRET"),
        lambda value: value.update(configuration_sha256="SECRET"),
        lambda value: value.update(masked_columns=["SECRET", "SECRET"]),
    ]
    for change in changes:
        changed = copy.deepcopy(MANIFEST)
        change(changed)
        text = refusal(Manifest, changed)
        assert "SECRET" not in text
        assert text.startswith("unable to read 'x.json': field '")


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-23T02:00:00",
        "2026-11-23T02:00:00+00:00",
        "2026-11-23 02:00:00Z",
        "2026-11-23T02:00:00.0Z",
        "2026-11-23T02:00:00z",
        "2026-13-23T02:00:00Z",
        "2026-11-23T02:00:61Z",
        "2026-11-23T02:00:00Z\n",
        "\uff12026-11-23T02:00:00Z",
    ],
)
def test_a_time_has_one_spelling(text: str) -> None:
    with pytest.raises(DocumentDamaged):
        Snapshot.from_dict({"system": "a", "marker": "b", "taken_at": text}, "x")


def test_a_time_is_written_in_utc_and_whole_seconds() -> None:
    east = datetime(2026, 1, 1, 1, 0, 0, 999_999, tzinfo=timezone(timedelta(hours=2)))
    snapshot = Snapshot(system="a", marker="b", taken_at=east)
    assert snapshot.to_dict()["taken_at"] == "2025-12-31T23:00:00Z"
    assert snapshot.taken_at == datetime(2025, 12, 31, 23, tzinfo=UTC)
    assert Snapshot(system="", marker="", taken_at=datetime(1, 1, 1, tzinfo=UTC)).to_dict()["taken_at"][:4] == "0001"


def test_a_backup_id_has_plain_digits() -> None:
    changed = {**MANIFEST, "backup_id": "\uff120261123T020000Z-7f3a9c2e"}
    assert refusal(Manifest, changed) == "unable to read 'x.json': field 'backup_id': it is not a backup id"
