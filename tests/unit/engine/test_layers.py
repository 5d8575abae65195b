"""A table over a chain of archives: which of them it is read from, and which do not fit together."""

from __future__ import annotations

import copy
import io
from collections.abc import Callable
from typing import Any

import pytest
from tests.unit.format.documents import MANIFEST, PROFILE, A, B, C
from tests.unit.format.zips import WHEN

from rlg_backup.core.errors import MemberDamaged
from rlg_backup.engine.archives import Archive
from rlg_backup.engine.layers import layered
from rlg_backup.format.container import ZipReader, ZipWriter
from rlg_backup.format.manifest import ArchiveEntry
from rlg_backup.format.profile import Profile

Document = dict[str, Any]


def archive() -> Archive:
    """One without members: where tables are read from is told by their profiles."""
    sink = io.BytesIO()
    ZipWriter(sink, WHEN).close()
    data, entry = sink.getvalue(), ArchiveEntry.from_dict(MANIFEST["archives"][0], "manifest")
    return Archive([(ZipReader.locate(lambda offset, length: data[offset : offset + length], len(data)), entry)])


def incremental() -> Document:
    """A profile with one table of which it says that one of its three rows changed."""
    made = copy.deepcopy(PROFILE)
    made["tables"][0]["change"] |= {"rows": 1, "removed_rows": 1}
    return made


def full() -> Document:
    """The same table, whole."""
    whole = incremental()
    whole["tables"][0] |= {"change": None, "members": ["data/main.accounts/part-00000.parquet"]}
    return whole


def chain(*documents: Document) -> list[tuple[Archive, Profile]]:
    return [(archive(), Profile.from_dict(document, "profile.json")) for document in documents]


def places(*documents: Document) -> list[list[int]]:
    """Of each table the places in the chain that it is read from, in their order."""
    made = chain(*documents)
    archives = [one for one, _ in made]
    found = layered(made)
    for table in found:
        assert table.table is table.layers[-1].table
        assert table.parts == [(layer, name) for layer in table.layers for name in layer.table.members]
    return [[archives.index(layer.archive) for layer in table.layers] for table in found]


def test_a_table_is_read_from_the_last_archive_that_has_it_whole_and_each_after_it_oldest_first() -> None:
    assert places(full()) == [[0]]
    assert places(full(), incremental(), incremental()) == [[0, 1, 2]]
    assert places(full(), full(), incremental()) == [[1, 2]]
    assert places(full(), incremental(), full()) == [[2]]


def test_what_was_before_a_table_was_saved_whole_does_not_matter() -> None:
    """It may be another table by then, or none."""
    other = full()
    other["tables"][0]["fingerprint"] = C
    none = {**full(), "tables": []}
    assert places(other, none, full(), incremental()) == [[2, 3]]


def test_a_table_that_is_gone_at_the_point_is_not_read() -> None:
    assert places(full(), {**incremental(), "tables": []}) == []


def changed(change: Callable[[Document], object], document: Callable[[], Document] = full) -> Document:
    made = document()
    change(made)
    return made


TORN: dict[str, Callable[[], list[Document]]] = {
    "has nothing before it": lambda: [incremental()],
    "is not in the one before": lambda: [{**full(), "tables": []}, incremental()],
    "is not in one between": lambda: [full(), {**incremental(), "tables": []}, incremental()],
    "is of another schema in the one before": lambda: [
        changed(lambda one: one["tables"][0].update(schema="other")),
        incremental(),
    ],
    "has another definition in the one before": lambda: [
        changed(lambda one: one["tables"][0].update(fingerprint=C)),
        incremental(),
    ],
    "has another definition in one between": lambda: [
        full(),
        changed(lambda one: one["tables"][0].update(fingerprint=C), incremental),
        incremental(),
    ],
    "has another column in the one before": lambda: [
        changed(lambda one: one["tables"][0]["columns"][1].update(name="mail")),
        incremental(),
    ],
    "has a column that is masked for ever in the one before": lambda: [
        changed(lambda one: one["tables"][0]["columns"][1].update(policy="hash")),
        incremental(),
    ],
    "has rows numbered by another key in the one before": lambda: [
        changed(lambda one: one.update(digest_key=B)),
        incremental(),
    ],
    "has rows numbered in another way in the one before": lambda: [
        changed(lambda one: one.update(row_digest="sha256")),
        incremental(),
    ],
    "has more rows than those before and those that came": lambda: [
        full(),
        changed(lambda one: one["tables"][0]["change"].update(rows=0), incremental),
    ],
    "has fewer rows than those before and those that came, less those that went": lambda: [
        full(),
        changed(lambda one: one["tables"][0]["change"].update(removed_rows=0), incremental),
        incremental(),
    ],
    "has changes and no whole in the one before": lambda: [incremental(), incremental()],
}


@pytest.mark.parametrize("what", TORN)
def test_a_changed_table_is_refused_that(what: str) -> None:
    assert PROFILE["digest_key"] == A != B
    with pytest.raises(MemberDamaged) as caught:
        layered(chain(*TORN[what]()))
    cause = "it says what changed of a table that the backup before it does not hold as it was"
    assert str(caught.value) == f"unable to read 'main.accounts': {cause}"
