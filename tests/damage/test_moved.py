"""Sound objects in the wrong place: every object of a target under the name of every other one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.damage.peeled import members_of, opened, packed, plaintext_of
from tests.damage.tiny import READS, Item, Tiny, archive_key
from tests.damage.trials import BROKEN
from tests.support.memory_storage import MemoryStorage

from rlg_backup.core.errors import (
    BackupError,
    CatalogForged,
    DirectoryDamaged,
    DocumentDamaged,
    HeaderDamaged,
    MemberDamaged,
    ObjectDamaged,
    PayloadDamaged,
    SignatureInvalid,
)
from rlg_backup.engine.archives import ARCHIVE
from rlg_backup.engine.restore_points import Chosen, choose
from rlg_backup.format.container import ZipReader

# By what should stand there, what is refused and how: a document is another's, an archive has another digest.
EXPECTED: dict[str, tuple[type[BackupError], ...]] = {
    "record": (CatalogForged, DocumentDamaged, SignatureInvalid),
    "manifest": (ObjectDamaged,),
    "archive": (ObjectDamaged, HeaderDamaged, PayloadDamaged, DirectoryDamaged),
}


@dataclass(frozen=True)
class Place:
    """An object of one backup on one target."""

    chosen: Chosen
    kind: str
    key: str


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> tuple[Tiny, list[Chosen]]:
    """Two backups of each of two sources on two targets, as each target shows them; a file changes in between."""
    tiny = Tiny.make(tmp_path_factory.mktemp("moved") / "world", "local", "second")
    ids = []
    for source in ("app", "app", "tree", "tree"):
        chosen = tiny.back_up(source)
        ids.append((source, chosen.point.backup_id))
        if source == "tree":
            (tiny.world.root / "tree" / "folder" / "stored.bin").write_bytes(bytes(range(255, -1, -1)))
    return tiny, [
        choose(tiny.wiring, source, backup_id, target=target)
        for target in ("local", "second")
        for source, backup_id in ids
    ]


def storage(tiny: Tiny, chosen: Chosen) -> MemoryStorage:
    found = tiny.wiring.given[chosen.target]
    assert isinstance(found, MemoryStorage)
    return found


def places(backups: list[Chosen]) -> Iterator[Place]:
    for chosen in backups:
        yield Place(chosen, "record", chosen.point.key)
        yield Place(chosen, "manifest", f"{chosen.folder}/manifest.json")
        yield Place(chosen, "archive", archive_key(chosen))


def read_all(tiny: Tiny, chosen: Chosen, read: str, place: Path) -> list[Item]:
    again = choose(tiny.wiring, chosen.source, chosen.point.backup_id, target=chosen.target)
    return list(READS[read](tiny, again, place))


@pytest.mark.parametrize("read", READS)
def test_every_object_in_the_place_of_every_other_is_refused(
    two: tuple[Tiny, list[Chosen]], tmp_path: Path, read: str
) -> None:
    """Of another backup, another source, another target, another kind: 24 objects, each in 23 places."""
    tiny, backups = two
    found: Counter[str] = Counter()
    unnoticed: list[tuple[str, str]] = []
    everywhere = list(places(backups))
    sound = {(place.chosen.target, place.key): storage(tiny, place.chosen).bytes_of(place.key) for place in everywhere}
    for place in everywhere:
        mine = sound[place.chosen.target, place.key]
        for other, data in sound.items():
            if data == mine:  # itself, or the same manifest or archive on the other target
                continue
            storage(tiny, place.chosen).plant(place.key, data)
            try:
                read_all(tiny, place.chosen, read, tmp_path / "archive")
            except BackupError as error:
                assert type(error) in EXPECTED[place.kind], (place.key, other, error)
                found[f"{place.kind}: {type(error).__name__}"] += 1
            else:
                unnoticed.append((place.key, "/".join(other)))
        storage(tiny, place.chosen).plant(place.key, mine)
    assert not unnoticed, f"{BROKEN}: {unnoticed}"
    assert sum(found.values()) == 24 * 23 - 16
    assert read_all(tiny, backups[0], read, tmp_path / "archive")


@pytest.mark.parametrize("read", READS)
def test_archive_and_manifest_of_another_backup_together_are_refused(
    two: tuple[Tiny, list[Chosen]], tmp_path: Path, read: str
) -> None:
    """They agree with each other; the commit record names another manifest."""
    tiny, (first, second, *_) = two
    mine = {name: tiny.storage.bytes_of(f"{first.folder}/{name}") for name in (ARCHIVE, "manifest.json")}
    for name in mine:
        tiny.storage.plant(f"{first.folder}/{name}", tiny.storage.bytes_of(f"{second.folder}/{name}"))
    with pytest.raises(ObjectDamaged) as caught:
        read_all(tiny, first, read, tmp_path / "archive")
    assert str(caught.value) == (
        f"unable to verify '{first.folder}/manifest.json': its SHA-256 is not the one that was committed"
    )
    for name, data in mine.items():
        tiny.storage.plant(f"{first.folder}/{name}", data)


def test_a_member_of_another_backup_in_an_archive_is_refused(two: tuple[Tiny, list[Chosen]]) -> None:
    """Under its own name and with its own digests, in a ZIP with nothing else wrong: each that is not the same."""
    tiny, (first, second, tree, *_) = two
    mine = members_of(plaintext_of(tiny, first))
    for other in (second, tree):
        theirs = members_of(plaintext_of(tiny, other))
        different = [name for name in theirs if theirs[name] != mine.get(name)]
        assert "profile.json" in different
        for name in different:
            with pytest.raises(DirectoryDamaged):
                opened(first, packed({**mine, name: theirs[name]}))


def test_a_member_of_another_backup_below_our_own_directory_is_refused(two: tuple[Tiny, list[Chosen]]) -> None:
    """A file of one size in both: one takes the place of the other, with its local header or without, and no offset
    changes."""
    tiny, (_, _, first, second, *_) = two
    ours, theirs = plaintext_of(tiny, first), plaintext_of(tiny, second)
    name, header, start, end = stored(ours)
    assert stored(theirs) == (name, header, start, end)
    assert ours[start:end] != theirs[start:end]
    for begin, cause in ((header, "its local header differs from the directory"), (start, "its CRC-32 is wrong")):
        archive = opened(first, ours[:begin] + theirs[begin:end] + ours[end:])
        with pytest.raises(MemberDamaged) as caught, archive.open(name) as stream:
            stream.read()
        assert str(caught.value) == f"unable to read '{name}': {cause}"


def stored(plaintext: bytes) -> tuple[str, int, int, int]:
    """The file that does not shrink: name, where its local header is, where its bytes begin and end."""
    archive = ZipReader.locate(lambda offset, length: plaintext[offset : offset + length], len(plaintext))
    [member] = [member for member in archive.members.values() if member.name.count("/") == 2 and member.size == 256]
    return member.name, member.offset, member.data_offset, member.end
