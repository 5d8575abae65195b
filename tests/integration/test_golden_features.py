"""The table of tests/vectors/archives/README.md: every feature of the format has a golden archive."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.support.golden import ARCHIVES, LARGEST, NAMES, ROOT, Golden, prepare

from rlg_backup.format.forms import TYPES


def forms_of(*forms: str) -> Callable[[Golden], bool]:
    return lambda golden: set(forms) <= golden.forms()


def kinds_of(*kinds: str) -> Callable[[Golden], bool]:
    return lambda golden: set(kinds) <= {row.kind for row in golden.index()}


def header_of(kind: bytes) -> Callable[[Golden], bool]:
    return lambda golden: all(
        data.startswith(b"age-encryption.org/v1\n-> " + kind + b" ")
        for data in (path.read_bytes() for path in golden.root.glob("**/*.age"))
    )


def _witnesses(golden: Golden) -> bool:
    records = [json.loads(path.read_text())["signed"] for path in golden.root.glob("targets/*/catalog/app/0*.json")]
    return len(records) == 6 and sum(bool(record["witnesses"]) for record in records) >= 5


def _linked(golden: Golden) -> bool:
    files = sorted(golden.root.glob("targets/local/catalog/app/0*.json"))
    previous = [json.loads(path.read_text())["signed"]["previous_sha256"] for path in files]
    return previous == [None, *(hashlib.sha256(path.read_bytes()).hexdigest() for path in files[:-1])]


def _methods(golden: Golden) -> bool:
    archive = golden.archive()
    return {archive.member(name).deflated for name in archive.names} == {False, True}


def _policies(*names: str) -> Callable[[Golden], bool]:
    return lambda golden: (
        set(names) <= {column.policy for table in golden.archive().profile().tables for column in table.columns}
    )


def _storages(golden: Golden) -> set[bool]:
    state, _ = golden.state()
    return {table.storage is not None for table in state.tables}


def _came_and_went(golden: Golden) -> bool:
    tables = [table for number in (1, -1) for table in golden.archive(number).profile().tables]
    return sum(bool(table.change and table.change.rows and table.change.removed) for table in tables) >= 2


# The rows of README.md's table: (section of docs/FORMAT.md, feature) > what shows that an archive has it.
PROOFS: dict[tuple[int, str], Callable[[Golden], bool]] = {
    (1, "names in clear"): lambda golden: bool(golden.manifest()["contents"]["names"]),
    (1, "masked"): lambda golden: golden.manifest()["fidelity"] == "masked",
    (1, "chain of records"): _linked,
    (1, "witnesses of another target"): _witnesses,
    (2, "X25519 recipients"): header_of(b"X25519"),
    (2, "post-quantum recipients"): header_of(b"mlkem768x25519"),
    (3, "stored and deflated members"): _methods,
    (3, "many members"): lambda golden: len(golden.archive().names) > 150,
    (3, "percent-encoded names"): lambda golden: any("%2F" in name for name in golden.archive().names),
    (3, "cut names"): lambda golden: any(re.search(r"x%[0-9a-f]{32}/", name) for name in golden.archive().names),
    (4, "forms of values"): forms_of("null", "int64", "float64", "utf8", "bytes", "variant"),
    (4, "booleans"): forms_of("bool"),
    (4, "UTF-16 and halves of characters"): lambda golden: (
        golden.backups[0]["database"]["pragmas"]["encoding"] == "UTF-16le"
    ),
    (4, "tokens"): forms_of("token"),
    (4, "several parts"): lambda golden: any(len(table.members) > 1 for table in golden.archive().profile().tables),
    (4, "row ids kept, and none"): lambda golden: (
        {table.options["row_identity"] for table in golden.archive().profile().tables} >= {"rowid", "key"}
    ),
    (4, "empty table"): lambda golden: any(table.rows == 0 for table in golden.archive().profile().tables),
    (4, "entries of every kind"): kinds_of("file", "folder", "symlink", "hardlink"),
    (4, "holes"): lambda golden: any(row.holes for row in golden.index()),
    (4, "extended attributes"): lambda golden: any(row.xattrs for row in golden.index()),
    (4, "unstable file"): lambda golden: any(row.unstable for row in golden.index()),
    (4, "empty tree"): lambda golden: len(golden.index()) == 1,
    (5, "digest of a table"): lambda golden: bool(golden.archive().profile().tables),
    (5, "digest of a table by xxh3"): lambda golden: golden.archive().profile().row_digest == "xxh3",
    (5, "digest of a tree"): lambda golden: golden.archive().profile().tree is not None,
    (6, "geography and totals"): lambda golden: any(
        table.geography and table.totals for table in golden.archive().profile().tables
    ),
    (6, "excluded and warnings"): lambda golden: bool(
        golden.archive().profile().excluded and golden.archive().profile().warnings
    ),
    (6, "empty database"): lambda golden: not (golden.archive().profile().tables or golden.archive().profile().tree),
    (6, "archives of zones"): lambda golden: len(golden.zones()) > 1,
    (7, "tokenize"): _policies("tokenize"),
    (7, "hash and redact"): _policies("hash", "redact"),
    (7, "tokens within texts"): forms_of("spans"),
    (7, "pseudonym, mask and generalize"): _policies("pseudonym", "mask", "generalize"),
    (9, "rows that came and rows that went"): _came_and_went,
    (9, "tables saved whole in a chain"): lambda golden: (
        {table.change is None for table in golden.archive(2).profile().tables} == {False, True}
    ),
    (9, "change state of rows by their numbers"): lambda golden: _storages(golden) == {False},
    (9, "change state of rows by their places"): lambda golden: True in _storages(golden),
    (9, "contents in backups before"): lambda golden: len({row.backup for row in golden.index()}) > 1,
}


def table_of_the_readme() -> dict[tuple[int, str], list[str]]:
    rows = re.findall(r"^\| (\d) \| ([^|]+) \| ([^|]+) \|$", (ARCHIVES / "README.md").read_text("utf-8"), re.MULTILINE)
    return {(int(section), feature.strip()): re.findall(r"`([a-z0-9_]+)`", names) for section, feature, names in rows}


def test_readme_names_every_feature_every_section_and_every_archive() -> None:
    table = table_of_the_readme()
    assert list(table) == list(PROOFS)
    assert sorted({name for names in table.values() for name in names}) == NAMES
    text = (ROOT / "docs" / "FORMAT.md").read_text("utf-8")
    sections = {int(number) for number in re.findall(r"^## (\d+)\. (?!Staging)", text, re.MULTILINE)}
    assert {section for section, _ in table} == sections


@pytest.mark.parametrize("feature", PROOFS, ids=lambda feature: feature[1])
def test_each_feature_is_truly_in_the_archives_that_the_readme_names_for_it(
    feature: tuple[int, str], tmp_path: Path
) -> None:
    for name in table_of_the_readme()[feature]:
        assert PROOFS[feature](prepare(name, tmp_path / name)), name


def test_every_form_of_the_format_is_in_an_archive(tmp_path: Path) -> None:
    found = {form for name in NAMES for form in prepare(name, tmp_path / name).forms()}
    assert found == set(TYPES)


def test_archives_stay_small_and_name_their_keys_as_test_keys() -> None:
    assert sum(path.stat().st_size for path in ARCHIVES.rglob("*") if path.is_file()) < LARGEST
    for path in ARCHIVES.rglob("*.key"):
        assert path.read_text().startswith("# A TEST KEY, public: it protects nothing.\n")
