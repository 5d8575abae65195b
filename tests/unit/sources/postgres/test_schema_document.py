"""postgres.json comes back as it was written, and nothing else is taken for one."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from rlg_backup.core.errors import MemberDamaged
from rlg_backup.sources.postgres.schema_document import (
    DEFINITIONS,
    MEMBER,
    Database,
    Extension,
    Grant,
    LargeObject,
    Locale,
    SchemaDocument,
    SequenceState,
    Setting,
    dump,
    load,
)

DOCUMENT = SchemaDocument(
    server_version=180_004,
    dumped_by=180_004,
    locale=Locale("UTF8", "i", "C", "C", "de-AT", "&a < b"),
    database=Database(
        "owner", "a comment", 7, (Grant("", "CONNECT"), Grant("x", "CREATE", True)), (Setting("x", "my.setting", ""),)
    ),
    extensions=(Extension("plpgsql", "pg_catalog", "1.0"),),
    roles=("owner", 'the "x"'),
    tablespaces=("fast",),
    sequences=(SequenceState("public", "s", 2**63 - 1, True), SequenceState("public", "S", -(2**63), False)),
    large_objects=(LargeObject(2**32 - 1, "owner", None, ()), LargeObject(7, "x", "ünï", None)),
)
WRONG = "unable to read 'schema/postgres.json': it does not describe a PostgreSQL database"


def read(data: bytes) -> SchemaDocument:
    return load({MEMBER: data, DEFINITIONS: b""})


def test_a_document_comes_back_as_it_was_written() -> None:
    assert read(dump(DOCUMENT)) == DOCUMENT


def test_a_document_has_one_spelling() -> None:
    assert (
        dump(DOCUMENT)
        == json.dumps(json.loads(dump(DOCUMENT)), sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    )


@pytest.mark.parametrize("member", [MEMBER, DEFINITIONS])
def test_a_backup_that_lacks_a_member_is_damaged(member: str) -> None:
    files = {MEMBER: dump(DOCUMENT), DEFINITIONS: b""}
    del files[member]
    with pytest.raises(MemberDamaged) as caught:
        load(files)
    assert str(caught.value) == f"unable to read 'schema/{member}': the backup does not hold it"


def changed(path: str, value: object) -> bytes:
    document = json.loads(dump(DOCUMENT))
    *steps, last = path.split(".")
    at: Any = document
    for step in steps:
        at = at[int(step) if isinstance(at, list) else step]
    at[last] = value
    return json.dumps(document).encode()


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("version", 2),
        ("unknown", 1),
        ("server_version", "180004"),
        ("server_version", True),
        ("server_version", 18),
        ("dumped_by", 10_000_000),
        ("locale.provider", "x"),
        ("locale.collate", None),
        ("locale.locale", 5),
        ("roles", "owner"),
        ("roles", [["owner"]]),
        ("roles", ["nul\0"]),
        ("roles", ["\ud800"]),
        ("database.owner", None),
        ("database.connection_limit", -2),
        ("database.connection_limit", 1.0),
        ("database.grants.0.privilege", "ALL; DROP DATABASE x"),
        ("database.grants.0.grantable", 1),
        ("database.settings.0.name", "a b"),
        ("sequences.0.last_value", 5),
        ("sequences.0.last_value", "9223372036854775808"),
        ("sequences.0.last_value", "1_0"),
        ("sequences.0.last_value", "٣"),
        ("sequences.0.is_called", None),
        ("sequences.1.name", "s"),
        ("large_objects.0.oid", 2**32),
        ("large_objects.0.oid", 7),
        ("large_objects", {}),
    ],
)
def test_a_field_that_is_not_as_it_must_be_is_refused(path: str, value: object) -> None:
    with pytest.raises(MemberDamaged) as caught:
        read(changed(path, value))
    assert str(caught.value) == WRONG


@pytest.mark.parametrize(
    "data",
    [b"", b"[]", b"null", b"{}", b"\xff", b"[" * 100_000, dump(DOCUMENT)[:-1], b'{"version":NaN}'],
    ids=lambda data: repr(data[:8]),
)
def test_what_is_no_document_is_refused(data: bytes) -> None:
    with pytest.raises(MemberDamaged) as caught:
        read(data)
    assert str(caught.value) == WRONG


def test_every_field_must_be_there() -> None:
    paths: list[tuple[Callable[[Any], Any], str]] = [
        (lambda document: document, name) for name in json.loads(dump(DOCUMENT))
    ]
    paths += [(lambda document: document["locale"], "rules"), (lambda document: document["sequences"][0], "schema")]
    for find, name in paths:
        document = json.loads(dump(DOCUMENT))
        del find(document)[name]
        with pytest.raises(MemberDamaged):
            read(json.dumps(document).encode())


def test_what_names_roles_that_are_not_there_can_be_left_out() -> None:
    assert DOCUMENT.database.without({"x"}) == Database("owner", "a comment", 7, (Grant("", "CONNECT"),), ())
