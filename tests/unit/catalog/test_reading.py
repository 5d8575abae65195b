"""What an owner of the target may do to a catalog, and that each of it is noticed."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from tests.unit.catalog.world import (
    KEY,
    ROOT,
    SOURCE,
    STRANGER,
    Info,
    MemoryStorage,
    Watched,
    add,
    backup_id,
    catalog,
    digest,
    fill,
)

from rlg_backup.catalog import Catalog, SeenHead
from rlg_backup.core.errors import (
    BackupError,
    BackupNotFound,
    CatalogForged,
    CatalogGap,
    DamageError,
    DocumentDamaged,
    FormatUnsupported,
    ObjectDamaged,
    SignatureInvalid,
    SignerUnknown,
)
from rlg_backup.format.chained import Witness

MOVED = "hint: compare with the source's other targets before restoring from this one"
RENEWED = f"{MOVED}; a target that was emptied or put back on purpose needs a new name in the configuration"
SUBJECT = f"catalog/{SOURCE}"


@pytest.fixture
def store() -> MemoryStorage:
    return MemoryStorage()


@pytest.fixture
def here(store: MemoryStorage, tmp_path: Path) -> Catalog:
    return catalog(store, tmp_path)


def key(number: int, sequence: int | None = None) -> str:
    return f"{ROOT}{sequence or number:08d}-{backup_id(number)}-full.json"


def fails(use: Callable[[], object], error: type[BackupError], text: str) -> None:
    with pytest.raises(BackupError) as caught:
        use()
    assert (type(caught.value), str(caught.value)) == (error, text)


def test_latest_is_the_newest_point_and_is_remembered(store: MemoryStorage, here: Catalog) -> None:
    fill(store, 4)
    assert here.latest().backup_id == backup_id(4)
    assert here.seen.get("nas", SOURCE) == SeenHead(4, digest(store.data(key(4))))


def test_an_empty_catalog_has_no_latest_and_no_head(here: Catalog) -> None:
    assert here.head() is None
    assert here.verify_chain() is None
    text = f"unable to find 'latest': source '{SOURCE}' has no backup on target 'nas'"
    fails(here.latest, BackupNotFound, text)


def test_the_chain_is_read_down_to_the_newest_record_seen_and_no_further(tmp_path: Path, store: MemoryStorage) -> None:
    fill(store, 5)
    read: list[str] = []
    watched = catalog(Watched(store, before=lambda operation, name: read.append(name)), tmp_path)
    watched.verify_chain()
    assert read == [ROOT, *(key(number) for number in (5, 4, 3, 2, 1))]
    add(store, 6, digest(store.data(key(5))))
    read.clear()
    watched.verify_chain()
    assert read == [ROOT, key(6), key(5)]
    read.clear()
    watched.verify_chain(down_to=3)
    assert read == [ROOT, *(key(number) for number in (6, 5, 4, 3))]


def test_a_record_is_read_back_as_it_was_written(store: MemoryStorage, here: Catalog) -> None:
    fill(store, 2)
    record = here.record(here.points()[1])
    assert (record.backup_id, record.sequence, record.target) == (backup_id(2), 2, "nas")
    assert record.previous_sha256 == digest(store.data(key(1)))


# --- forged records -------------------------------------------------------------------------------


def test_a_record_moved_from_another_target_is_forged(store: MemoryStorage, here: Catalog) -> None:
    add(store, 1, None, target="s3")
    text = f"unable to verify '{key(1)}': it was made for target 's3', not for 'nas'"
    fails(here.head, CatalogForged, text)
    fails(here.latest, CatalogForged, text)
    fails(lambda: here.record(here.points()[0]), CatalogForged, text)


def test_a_record_moved_from_another_source_is_forged(store: MemoryStorage, here: Catalog) -> None:
    other = fill(store, 1, source="rlg_fans")[0]
    store.overwrite(key(1), store.data(other))
    fails(here.latest, CatalogForged, f"unable to verify '{key(1)}': it is the record '{other}'")


@pytest.mark.parametrize(
    "renamed",
    [key(9, 2), key(2).replace("-full", "-incremental")],
    ids=["another id", "another kind"],
)
def test_a_renamed_record_is_forged(store: MemoryStorage, here: Catalog, renamed: str) -> None:
    fill(store, 2)
    store.overwrite(renamed, store.remove(key(2)))
    fails(here.latest, CatalogForged, f"unable to verify '{renamed}': it is the record '{key(2)}'")


def test_a_record_at_another_sequence_is_forged(store: MemoryStorage, here: Catalog) -> None:
    fill(store, 2)
    store.overwrite(key(2, 3), store.remove(key(2)))
    add(store, 2, digest(store.data(key(1))), number=7)
    fails(here.latest, CatalogForged, f"unable to verify '{key(2, 3)}': it is the record '{key(2)}'")


def test_a_record_by_another_signer_is_not_believed(store: MemoryStorage, here: Catalog) -> None:
    fill(store, 1, key=STRANGER)
    text = (
        f"unable to verify '{key(1)}': it is signed by {STRANGER.key_id}, which is not trusted\n"
        "hint: add the signer's public key to the trusted signers if it is yours"
    )
    fails(here.latest, SignerUnknown, text)


def test_a_stranger_who_writes_our_key_id_is_found_by_the_signature(store: MemoryStorage, here: Catalog) -> None:
    fill(store, 1, key=STRANGER)
    store.overwrite(key(1), store.data(key(1)).replace(STRANGER.key_id.encode(), KEY.key_id.encode()))
    text = f"unable to verify '{key(1)}': its signature by {KEY.key_id} does not verify"
    fails(here.latest, SignatureInvalid, text)


def test_a_signed_document_of_another_type_is_no_record(store: MemoryStorage, here: Catalog) -> None:
    from rlg_backup.format.signing import sign

    store.overwrite(key(1), sign("manifest", {"source": SOURCE}, KEY))
    fails(here.latest, SignatureInvalid, f"unable to verify '{key(1)}': it was not signed as a commit")


def test_a_record_without_signatures_is_no_record(store: MemoryStorage, here: Catalog) -> None:
    fill(store, 1)
    document = json.loads(store.data(key(1)))
    store.overwrite(key(1), json.dumps({**document, "signatures": []}, separators=(",", ":"), sort_keys=True).encode())
    fails(here.latest, DocumentDamaged, f"unable to read '{key(1)}': it does not have 1 to 16 signatures")


def test_a_record_as_large_as_memory_is_not_read(store: MemoryStorage, here: Catalog) -> None:
    fill(store, 1)
    store.overwrite(key(1), store.data(key(1)) + b" " * (1 << 20))
    fails(here.latest, ObjectDamaged, f"unable to read '{key(1)}': it is larger than 1048576 bytes")


def test_every_flipped_byte_and_every_truncation_of_a_record_is_noticed(store: MemoryStorage, here: Catalog) -> None:
    fill(store, 2)
    good = store.data(key(2))
    point = here.points()[1]
    for position in range(len(good)):
        for flip in (0x01, 0x20, 0x80):
            store.overwrite(key(2), good[:position] + bytes([good[position] ^ flip]) + good[position + 1 :])
            with pytest.raises((DamageError, CatalogForged)):
                here.record(point)
        store.overwrite(key(2), good[:position])
        with pytest.raises(DocumentDamaged):
            here.record(point)
    for tail in (b"\n", b" ", b"\x00", b"{}"):
        store.overwrite(key(2), good + tail)
        with pytest.raises(DocumentDamaged):
            here.record(point)
    store.overwrite(key(2), good)
    assert here.record(point).sequence == 2


def test_a_signature_with_spare_base64_bits_is_a_second_spelling_and_refused(
    store: MemoryStorage, here: Catalog
) -> None:
    fill(store, 1)
    document = json.loads(store.data(key(1)))
    text = document["signatures"][0]["signature"]
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    other = text[:-3] + alphabet[alphabet.index(text[-3]) ^ 1] + "=="
    assert base64.b64decode(other) == base64.b64decode(text)
    store.overwrite(key(1), store.data(key(1)).replace(text.encode(), other.encode()))
    fails(here.latest, DocumentDamaged, f"unable to read '{key(1)}': a signature is not 64 bytes of base64")


def test_a_later_version_is_told_apart_from_damage(store: MemoryStorage, here: Catalog) -> None:
    fill(store, 1)
    store.overwrite(key(1), store.data(key(1)).replace(b'"version":1', b'"version":2'))
    text = (
        f"unable to read '{key(1)}': it has version 2, this release reads 1\n"
        "hint: use the release that wrote it, or a later one"
    )
    fails(here.latest, FormatUnsupported, text)


# --- records hidden, exchanged, brought back ------------------------------------------------------


def test_a_deleted_newest_record_is_noticed_by_who_has_seen_it(store: MemoryStorage, here: Catalog) -> None:
    fill(store, 3)
    here.latest()
    store.remove(key(3))
    text = (
        f"unable to read '{SUBJECT}': it ends at record 00000002 on target 'nas', but this machine saw record "
        f"00000003: a backup is hidden, or the target was rolled back\n{RENEWED}"
    )
    for use in (here.latest, here.head, here.verify_chain):
        fails(use, CatalogGap, text)


def test_an_emptied_target_is_noticed_by_who_has_seen_it(store: MemoryStorage, here: Catalog) -> None:
    fill(store, 2)
    here.latest()
    store.objects.clear()
    text = (
        f"unable to read '{SUBJECT}': it is empty on target 'nas', but this machine saw record 00000002: "
        f"a backup is hidden, or the target was rolled back\n{RENEWED}"
    )
    fails(here.latest, CatalogGap, text)


def test_a_deleted_record_in_the_middle_is_noticed_by_everybody(store: MemoryStorage, here: Catalog) -> None:
    fill(store, 3)
    store.remove(key(2))
    text = (
        f"unable to list '{SUBJECT}': record 00000002 is missing on target 'nas': a backup is hidden, "
        f"or was removed\n{MOVED}"
    )
    for use in (here.latest, here.head, here.points, here.verify_chain):
        fails(use, CatalogGap, text)
    assert here.find(backup_id(3)).sequence == 3


def test_a_target_rolled_back_and_continued_is_noticed_although_every_record_is_genuine(
    store: MemoryStorage, here: Catalog
) -> None:
    fill(store, 3)
    here.latest()
    store.remove(key(3))
    add(store, 3, digest(store.data(key(2))), number=30)
    forged = f"it is not the record that this machine saw before on target 'nas'\n{RENEWED}"
    fails(here.latest, CatalogForged, f"unable to verify '{key(30, 3)}': {forged}")
    add(store, 4, digest(store.data(key(30, 3))))
    fails(here.latest, CatalogForged, f"unable to verify '{key(30, 3)}': {forged}")


def test_an_old_record_brought_back_beside_its_successor_is_forged(store: MemoryStorage, here: Catalog) -> None:
    fill(store, 3)
    old = store.remove(key(3))
    add(store, 3, digest(store.data(key(2))), number=30)
    store.overwrite(key(3), old)
    fails(
        here.latest,
        CatalogForged,
        f"unable to list '{key(30, 3)}': '{key(3)}' has the same sequence on target 'nas'\n{MOVED}",
    )


def test_a_genuine_record_in_the_place_of_another_breaks_the_chain(store: MemoryStorage, here: Catalog) -> None:
    fill(store, 4)
    store.remove(key(2))
    add(store, 2, digest(store.data(key(1))), number=20)
    fails(
        here.latest,
        CatalogForged,
        f"unable to verify '{key(20, 2)}': '{key(3)}' was written after another record than this one\n{MOVED}",
    )


def test_a_record_that_vanishes_after_the_listing_is_a_gap(store: MemoryStorage, here: Catalog) -> None:
    fill(store, 2)
    point = here.points()[1]
    store.remove(key(2))
    fails(
        lambda: here.record(point),
        CatalogGap,
        f"unable to read '{key(2)}': it was listed on target 'nas' and is gone\nhint: list the catalog again",
    )


@pytest.mark.parametrize("changed", [1, 100, 199])
def test_a_long_chain_is_checked_whole_although_it_is_read_by_threads(
    store: MemoryStorage, here: Catalog, changed: int
) -> None:
    fill(store, 200)
    good = store.remove(key(changed))
    previous = None if changed == 1 else digest(store.data(key(changed - 1)))
    add(store, changed, previous, number=changed + 1000)
    text = (
        f"unable to verify '{key(changed + 1000, changed)}': '{key(changed + 1)}' was written after another record "
        f"than this one\n{MOVED}"
    )
    fails(here.latest, CatalogForged, text)
    store.remove(key(changed + 1000, changed))
    store.overwrite(key(changed), good)
    assert here.latest().sequence == 200


# --- other targets as witnesses -------------------------------------------------------------------


@pytest.fixture
def beyond(store: MemoryStorage, tmp_path: Path) -> Catalog:
    """Another target whose newest record witnessed record 3 of ``store``."""
    fill(store, 3)
    other = MemoryStorage("s3")
    witness = Witness(sequence=3, sha256=digest(store.data(key(3))))
    add(other, 1, None, witnesses={"nas": witness})
    return catalog(other, tmp_path)


def test_witnesses_that_agree_let_latest_pass(here: Catalog, beyond: Catalog) -> None:
    assert here.latest([beyond]).sequence == 3
    assert beyond.latest([here]).sequence == 1


def test_a_head_hidden_before_this_machine_saw_it_is_noticed_by_the_other_targets_witness(
    store: MemoryStorage, here: Catalog, beyond: Catalog
) -> None:
    store.remove(key(3))
    text = (
        f"unable to verify '{SUBJECT}': it ends at record 00000002 on target 'nas', but target 's3' saw record "
        f"00000003: a backup is hidden, or the target was rolled back\n{RENEWED}"
    )
    fails(lambda: here.latest([beyond]), CatalogGap, text)


def test_a_record_exchanged_before_this_machine_saw_it_is_noticed_by_the_other_targets_witness(
    store: MemoryStorage, here: Catalog, beyond: Catalog
) -> None:
    store.remove(key(3))
    add(store, 3, digest(store.data(key(2))), number=30)
    add(store, 4, digest(store.data(key(30, 3))))
    text = (
        f"unable to verify '{key(30, 3)}': it is not the record that target 's3' witnessed on target 'nas'\n{RENEWED}"
    )
    fails(lambda: here.latest([beyond]), CatalogForged, text)


def test_an_emptied_target_is_no_missing_backup_but_a_gap_when_another_target_witnessed_it(
    store: MemoryStorage, here: Catalog, beyond: Catalog
) -> None:
    store.objects.clear()
    text = (
        f"unable to verify '{SUBJECT}': it is empty on target 'nas', but target 's3' saw record 00000003: "
        f"a backup is hidden, or the target was rolled back\n{RENEWED}"
    )
    fails(lambda: here.latest([beyond]), CatalogGap, text)


def test_catalogs_with_nobody_trusted_believe_nothing(store: MemoryStorage, tmp_path: Path) -> None:
    fill(store, 1)
    blind = Catalog(store, SOURCE, trusted=[], seen=catalog(store, tmp_path).seen)
    with pytest.raises(SignerUnknown):
        blind.latest()


def test_as_many_records_as_were_seen_before_are_listed_a_page_at_a_time(tmp_path: Path) -> None:
    """Whatever came since, or has no name of a record, is in the first or the last stretch."""
    asked: list[list[str]] = []

    class Asked(MemoryStorage):
        def list(self, prefix: str, *, edges: Sequence[str] = ()) -> Iterator[Info]:
            asked.append([*edges])
            return super().list(prefix, edges=edges)

    store = Asked()
    fill(store, 3)
    reader = catalog(store, tmp_path)
    assert [entry.sequence for entry in reader.entries()] == [1, 2, 3]
    reader.seen.remember(reader.target, SOURCE, SeenHead(2500, "0" * 64))
    assert [entry.sequence for entry in reader.entries()] == [1, 2, 3]
    assert asked[-2:] == [[], [f"catalog/{SOURCE}/00000999", f"catalog/{SOURCE}/00001998"]]
