"""The erasure ledger on its targets: what was flipped, removed, exchanged, moved or forged is noticed, and read from a
copy that is sound."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.support.faulty_storage import FaultyStorage
from tests.support.memory_storage import MemoryStorage
from tests.unit.catalog.world import KEY, START, STRANGER, TRUSTED

from rlg_backup.catalog import Ledger, LedgerCopy, SeenHead, merged
from rlg_backup.core.errors import BackupError, DamageError, FormatUnsupported, LedgerForged, LedgerShort, SignerUnknown
from rlg_backup.format.erasure import ErasureEntry, Written, path_of
from rlg_backup.format.keys import SigningKey

HINT = "\nhint: compare the targets; docs/runbooks.md says what to do about a ledger that was tampered with"


def chain(length: int, *, letter: str = "a", key: SigningKey = KEY) -> list[Written]:
    found: list[Written] = []
    for number in range(1, length + 1):
        found.append(entry(number, found[-1] if found else None, letter=letter, key=key))
    return found


def entry(number: int, before: Written | None, *, letter: str = "a", key: SigningKey = KEY) -> Written:
    return ErasureEntry(
        sequence=number,
        previous_sha256=before.sha256 if before else None,
        requested_at=START,
        kind="account",
        key="0" * 16,
        subject=letter * 64,
        reason="gdpr-17",
    ).sign(key)


def shelf(name: str, entries: list[Written]) -> MemoryStorage:
    store = MemoryStorage(name)
    for one in entries:
        store.plant(one.entry.path, one.data)
    return store


def read(*stores: MemoryStorage | FaultyStorage, whole: bool = True) -> Ledger:
    by_name = {store.name: store for store in stores}
    return merged(by_name, lambda name: LedgerCopy(by_name[name], TRUSTED), whole=whole)


def test_every_byte_that_is_flipped_is_noticed_and_the_other_target_tells_what_it_said() -> None:
    entries = chain(3)
    for at in range(len(entries[1].data)):
        bad, good = shelf("nas", entries), shelf("cloud", entries)
        data = bytearray(entries[1].data)
        data[at] ^= 1
        bad.plant(path_of(2), bytes(data))
        ledger = read(bad, good)
        assert (list(ledger.entries), set(ledger.passed_over)) == (entries, {"nas"})
        with pytest.raises((DamageError, LedgerForged)):
            read(bad)


def replaced(*numbers: int) -> Callable[[MemoryStorage, list[Written]], None]:
    def change(store: MemoryStorage, entries: list[Written]) -> None:
        for number, other in zip(numbers, reversed(numbers), strict=True):
            store.plant(path_of(number), entries[other - 1].data)

    return change


def removed(number: int) -> Callable[[MemoryStorage, list[Written]], None]:
    return lambda store, entries: store.delete(path_of(number))


def put(number: int, one: Callable[[list[Written]], Written]) -> Callable[[MemoryStorage, list[Written]], None]:
    return lambda store, entries: store.plant(path_of(number), one(entries).data)


TAMPERED: dict[str, tuple[Callable[[MemoryStorage, list[Written]], None], type[BackupError], str]] = {
    "removed": (
        removed(2),
        LedgerShort,
        f"unable to list 'erasures/00000002.json': it is missing on target 'nas'{HINT}",
    ),
    "reordered": (
        replaced(2, 3),
        LedgerForged,
        "unable to verify 'erasures/00000002.json': it is the entry 'erasures/00000003.json'",
    ),
    "exchanged for another that was signed": (
        put(2, lambda entries: entry(2, entries[0], letter="b")),
        LedgerForged,
        "unable to verify 'erasures/00000002.json': 'erasures/00000003.json' was written after another entry than "
        f"this one{HINT}",
    ),
    "signed by a stranger": (
        put(3, lambda entries: entry(3, entries[1], key=STRANGER)),
        SignerUnknown,
        f"unable to verify 'erasures/00000003.json': it is signed by {STRANGER.key_id}, which is not trusted\n"
        "hint: add the signer's public key to the trusted signers if it is yours",
    ),
    "joined by another object": (
        lambda store, entries: store.plant("erasures/notes.txt", b"?"),
        LedgerForged,
        "unable to list 'erasures/notes.txt': its name on target 'nas' is not that of an entry\n"
        "hint: find out who wrote it, then remove it",
    ),
}


@pytest.mark.parametrize("tampered", TAMPERED)
def test_a_ledger_that_was_tampered_with_is_believed_on_no_target_and_read_from_another(tampered: str) -> None:
    change, error, text = TAMPERED[tampered]
    entries = chain(3)
    bad, good = shelf("nas", entries), shelf("cloud", entries)
    change(bad, entries)
    with pytest.raises(BackupError) as caught:
        read(bad)
    assert (type(caught.value), str(caught.value)) == (error, text)
    ledger = read(bad, good)
    assert (list(ledger.entries), {name: str(e) for name, e in ledger.passed_over.items()}) == (entries, {"nas": text})


@pytest.mark.parametrize("whole", [True, False])
def test_two_sound_ledgers_that_part_are_refused(whole: bool) -> None:
    left = chain(2)
    right = [left[0], entry(2, left[0], letter="b")]
    text = f"unable to verify 'erasures': targets 'cloud' and 'nas' hold different entries of one number{HINT}"
    with pytest.raises(LedgerForged) as caught:
        read(shelf("nas", left), shelf("cloud", right), whole=whole)
    assert str(caught.value) == text


def test_a_ledger_that_ends_before_what_is_known_of_it_is_refused() -> None:
    entries = chain(3)
    short, known = read(shelf("nas", entries[:2]), shelf("cloud", entries[:1])), read(shelf("nas", entries)).head
    assert list(short.entries) == entries[:2]
    cause = "it has 2 entries on every target that can be read, but a backup knows 3: a request to erase is hidden"
    with pytest.raises(LedgerShort) as caught:
        short.require(known, "a backup")
    assert (str(caught.value), caught.value.exit_code) == (f"unable to verify 'erasures': {cause}{HINT}", 3)


def test_a_ledger_written_anew_is_not_the_one_that_is_known() -> None:
    known = SeenHead(2, chain(2)[1].sha256)
    text = f"unable to verify 'erasures/00000002.json': it is not the entry that this machine knows{HINT}"
    with pytest.raises(LedgerForged) as caught:
        read(shelf("nas", chain(3, letter="b"))).require(known, "this machine")
    assert str(caught.value) == text


def test_an_entry_that_somebody_signed_is_never_replaced_and_what_nobody_did_is() -> None:
    first, later = entry(1, None), entry(1, None, letter="b")
    for there, left in ((first.data, first), (b"rot", later)):
        store = shelf("nas", [])
        store.plant(path_of(1), there)
        assert LedgerCopy(store, TRUSTED).put(later) == left
        assert store.bytes_of(path_of(1)) == left.data


def test_what_another_host_may_believe_is_never_replaced() -> None:
    strange, elsewhere = entry(1, None, key=STRANGER), chain(2)[1]
    newer = entry(1, None).data.replace(b'"version":1', b'"version":2')
    there: tuple[tuple[bytes, type[BackupError]], ...] = (
        (strange.data, SignerUnknown),
        (elsewhere.data, LedgerForged),
        (newer, FormatUnsupported),
    )
    for data, error in there:
        store = shelf("nas", [])
        store.plant(path_of(1), data)
        with pytest.raises(BackupError) as caught:
            LedgerCopy(store, TRUSTED).put(entry(1, None, letter="b"))
        assert (type(caught.value), store.bytes_of(path_of(1))) == (error, data)


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("what", ["rot", "stranger", "hole"])
def test_a_copy_that_is_not_believed_but_reaches_further_than_the_sound_ones_stops_them(what: str, whole: bool) -> None:
    entries = chain(2)
    bad = shelf("nas", entries)
    if what == "hole":
        bad.delete(path_of(1))
    else:
        bad.plant(path_of(2), b"rot" if what == "rot" else entry(2, entries[0], key=STRANGER).data)
    with pytest.raises(LedgerShort) as caught:
        read(bad, shelf("cloud", entries[:1]), shelf("new", []), whole=whole)
    cause = "it has 1 entries on every target that can be read, but target 'nas' names 2 ("
    assert str(caught.value).startswith(f"unable to verify 'erasures': {cause}")
    assert str(caught.value).endswith(f"): a request to erase is hidden{HINT}")


OTHER = SigningKey.generate()


def mixed(*keys: SigningKey) -> list[Written]:
    """A chain whose entries are signed by these keys."""
    found: list[Written] = []
    for number, key in enumerate(keys, 1):
        found.append(entry(number, found[-1] if found else None, key=key))
    return found


def test_an_entry_is_believed_for_the_sake_of_a_believed_one_behind_it_and_not_of_one_ahead() -> None:
    """So a signer can be withdrawn whose entries stay."""
    entries = mixed(STRANGER, STRANGER, KEY)
    assert list(read(shelf("nas", entries)).entries) == entries
    assert LedgerCopy(shelf("nas", entries), TRUSTED).read(2) == entries[1:]
    with pytest.raises(SignerUnknown):
        read(shelf("nas", mixed(KEY, STRANGER)))
    forged = [*mixed(KEY, STRANGER), entry(3, mixed(KEY, KEY)[1])]
    with pytest.raises(SignerUnknown):
        read(shelf("nas", forged))


def without(number: int, *stores: MemoryStorage) -> Ledger:
    by_name = {store.name: store for store in stores}
    return merged(by_name, lambda name: LedgerCopy(by_name[name], TRUSTED, {number}), {number})


def test_what_is_set_aside_may_be_anything_and_vouches_for_nothing_that_it_does_not_follow() -> None:
    entries = chain(3)
    whole = shelf("nas", entries)
    assert list(without(2, whole).entries) == [entries[0], entries[2]]
    whole.plant(path_of(2), b"rot")
    ledger = without(2, whole, shelf("cloud", entries))
    assert (list(ledger.entries), ledger.lengths) == ([entries[0], entries[2]], {"nas": 3, "cloud": 3})
    whole.delete(path_of(2))
    assert list(without(2, whole).entries) == [entries[0], entries[2]]
    rotten = shelf("nas", mixed(STRANGER, KEY, KEY))
    rotten.plant(path_of(2), b"rot")
    with pytest.raises(SignerUnknown):
        without(2, rotten)
    with pytest.raises(SignerUnknown):
        without(2, shelf("nas", mixed(STRANGER, STRANGER)))


def test_two_copies_may_part_in_what_is_set_aside() -> None:
    left, right = chain(1), [entry(1, None, letter="b")]
    assert without(1, shelf("nas", left), shelf("cloud", right)).entries == ()


def test_one_copy_is_read_whole_and_of_the_others_their_end() -> None:
    entries = chain(5)
    stores = [FaultyStorage(shelf(name, left)) for name, left in (("nas", entries[:4]), ("a", entries), ("b", entries))]
    ledger = read(*stores, whole=False)
    assert (list(ledger.entries), ledger.lengths) == (entries, {"nas": 4, "a": 5, "b": 5})
    assert [len([call for call in store.calls if call[0] == "get_bytes"]) for store in stores] == [1, 6, 1]


def test_where_the_longest_copy_is_damaged_ahead_of_its_end_the_next_is_read() -> None:
    entries = chain(5)
    bad, good, short = shelf("nas", entries), shelf("cloud", entries), shelf("old", entries[:2])
    bad.plant(path_of(3), b"rot")
    ledger = read(bad, short, good, whole=False)
    assert (list(ledger.entries), ledger.lengths) == (entries, {"old": 2, "cloud": 5})
    assert list(ledger.passed_over) == ["nas"]
    with pytest.raises(LedgerShort):
        read(bad, short, whole=False)


def test_an_end_that_is_not_the_others_is_damage_or_a_ledger_that_parts() -> None:
    """The end alone tells that they differ; which it is, the copy as a whole."""
    entries = chain(4)
    bad = shelf("nas", [*entries[:2], entry(3, entries[1], letter="b")])
    bad.plant(path_of(1), b"rot")
    assert set(read(bad, shelf("cloud", entries), whole=False).passed_over) == {"nas"}
    bad.plant(path_of(1), entries[0].data)
    with pytest.raises(LedgerForged):
        read(bad, shelf("cloud", entries), whole=False)
