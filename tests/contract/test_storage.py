"""What every target promises: storage/port.py, tried on each driver."""

from __future__ import annotations

import hashlib
import tracemalloc
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    pass

from rlg_backup.core.errors import InvalidSetting, ObjectDamaged, ObjectExists, ObjectMissing
from rlg_backup.core.model import Tier
from rlg_backup.storage.port import ObjectInfo, Storage

MIB = 1 << 20
LATER = datetime.now(UTC) + timedelta(days=1)
RULE = "keys are segments of A-Z a-z 0-9 . _ - joined by '/', none empty or beginning with a dot"


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def pattern(size: int) -> bytes:
    """Bytes no part of which repeats at the distance of a part."""
    return b"".join(hashlib.sha256(i.to_bytes(8, "big")).digest() * 1024 for i in range(-(-size // 32768)))[:size]


def read_whole(storage: Storage, key: str) -> bytes:
    with storage.open(key) as stream:
        return b"".join(iter(lambda: stream.read(300_000), b""))


def keys(storage: Storage, prefix: str = "") -> list[str]:
    return [info.key for info in storage.list(prefix)]


# --- what was stored comes back -------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 65_537, 5 * MIB, 5 * MIB + 1, 30 * MIB])
def test_a_stored_file_comes_back_exactly_by_every_way_of_reading(storage, file, size):
    data, seen = pattern(size), []
    info = storage.put_file("s/one/a.zip.age", file(data), sha256=sha256(data), progress=seen.append)
    assert (info.key, info.size) == ("s/one/a.zip.age", size)
    assert sum(seen) == size
    assert all(count >= 0 for count in seen)
    assert read_whole(storage, info.key) == data
    assert storage.read_range(info.key, 0, size) == data
    assert storage.get_bytes(info.key, limit=size)[0] == data
    assert same(storage.stat(info.key), info)
    assert [same(listed, info) for listed in storage.list("s/")] == [True]


def same(one: ObjectInfo, other: ObjectInfo) -> bool:
    """Equal but for the time, which a target may round or take from its own clock."""
    near = abs((one.modified - other.modified).total_seconds()) < 120 and one.modified.utcoffset() is not None
    return near and (one.key, one.size, one.tag) == (other.key, other.size, other.tag)


def test_small_bytes_come_back_with_their_tag(storage):
    info = storage.put_bytes("catalog/s/lease.json", b"{}")
    data, read = storage.get_bytes("catalog/s/lease.json", limit=2)
    assert data == b"{}"
    assert same(read, info)


@pytest.mark.parametrize(("offset", "length"), [(0, 1), (0, 0), (7, 0), (3, 4), (6, 1), (5 * MIB - 3, 7)])
def test_a_range_is_exactly_the_bytes_asked_for(storage, file, offset, length):
    data = pattern(6 * MIB if offset > 100 else 7)
    storage.put_file("a", file(data), sha256=sha256(data))
    assert storage.read_range("a", offset, length) == data[offset : offset + length]


@pytest.mark.parametrize(("offset", "length"), [(0, 8), (6, 2), (7, 1), (8, 0), (1000, 1000)])
def test_a_range_past_the_end_is_damage_and_never_a_shorter_answer(storage, offset, length):
    storage.put_bytes("a", b"1234567")
    with pytest.raises(ObjectDamaged) as caught:
        storage.read_range("a", offset, length)
    assert str(caught.value) == f"unable to read 'a': it ends before byte {offset + length}"


@pytest.mark.parametrize(("offset", "length"), [(-1, 1), (0, -1)])
def test_a_range_that_cannot_be_is_refused(storage, offset, length):
    with pytest.raises(InvalidSetting) as caught:
        storage.read_range("a", offset, length)
    assert str(caught.value) == f"unable to read 'a': {length} bytes from offset {offset} are not a range"


def test_an_object_above_the_limit_is_not_taken_into_memory(storage):
    storage.put_bytes("a", b"12345")
    with pytest.raises(ObjectDamaged) as caught:
        storage.get_bytes("a", limit=4)
    assert str(caught.value) == "unable to read 'a': it has 5 bytes, more than the 4 allowed"


def test_a_stream_ends_and_can_be_left_early(storage, file):
    data = pattern(6 * MIB)
    storage.put_file("a", file(data), sha256=sha256(data))
    with storage.open("a") as stream:
        assert stream.read(10) == data[:10]
    with storage.open("a") as stream:
        assert stream.read() == data
        assert stream.read(1) == b""
    assert stream.closed


# --- nothing becomes visible that was not promised ------------------------------------------------


@pytest.mark.parametrize("size", [0, 10, 11 * MIB])
def test_a_file_that_is_not_the_promised_one_leaves_nothing_visible(storage, file, size):
    with pytest.raises(ObjectDamaged) as caught:
        storage.put_file("a", file(pattern(size)), sha256=sha256(b"another"))
    cause = "the file to store does not have the promised SHA-256; nothing was stored"
    assert str(caught.value) == f"unable to store 'a': {cause}"
    assert keys(storage) == []
    with pytest.raises(ObjectMissing):
        storage.stat("a")


@pytest.mark.parametrize("there", [None, b"damaged"])
@pytest.mark.parametrize("size", [100, 6 * MIB])
def test_a_file_may_be_put_in_the_place_of_whatever_stands_there(storage, file, size, there):
    sound = pattern(size)
    if there is not None:
        storage.put_bytes("app/a", there)
    storage.put_file("app/a", file(sound), sha256=sha256(sound), replacing=True)
    assert read_whole(storage, "app/a") == sound
    assert keys(storage) == ["app/a"]


@pytest.mark.parametrize("size", [100, 11 * MIB])
def test_what_a_file_is_to_replace_stays_where_that_fails(storage, file, size):
    """Where no versions are kept nobody could bring it back: most of a damaged copy can be read."""
    sound = pattern(size)
    storage.put_bytes("a", b"damaged")
    with pytest.raises(ObjectDamaged):
        storage.put_file("a", file(sound), sha256=sha256(b"another"), replacing=True)
    assert read_whole(storage, "a") == b"damaged"
    assert keys(storage) == ["a"]


def test_what_a_file_is_to_replace_is_there_until_it_is(storage, file):
    sound, seen = pattern(11 * MIB), []
    storage.put_bytes("a", b"damaged")
    storage.put_file(
        "a", file(sound), sha256=sha256(sound), replacing=True, progress=lambda _: seen.append(storage.stat("a").size)
    )
    assert len(seen) > 1 and set(seen[:-1]) == {len(b"damaged")}
    assert storage.stat("a").size == len(sound)


def test_what_came_while_a_file_was_sent_to_replace_another_is_not_replaced(target, file):
    target.require("race to replace")
    storage, sound, other = target.open(), pattern(11 * MIB), b"of another writer"
    info = storage.put_bytes("a", b"damaged")

    def replace_once(_: int) -> None:
        nonlocal info
        if info.size == len(b"damaged"):
            info = storage.put_bytes("a", other, replacing=info.tag)

    with pytest.raises(ObjectExists) as caught:
        storage.put_file("a", file(sound), sha256=sha256(sound), replacing=True, progress=replace_once)
    assert str(caught.value).startswith("unable to store 'a': another writer replaced or removed it on target '")
    assert read_whole(storage, "a") == other


def test_a_file_that_cannot_be_read_leaves_nothing_visible(storage, tmp_path):
    with pytest.raises(ObjectDamaged) as caught:
        storage.put_file("a", tmp_path / "gone", sha256=sha256(b""))
    cause = "the file to store cannot be read (No such file or directory); nothing was stored"
    assert str(caught.value) == f"unable to store 'a': {cause}"
    assert keys(storage) == []


def test_an_interrupted_upload_leaves_nothing_visible_and_the_key_free(storage, file):
    data = pattern(11 * MIB)

    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        storage.put_file("a", file(data), sha256=sha256(data), progress=interrupt)
    assert keys(storage) == []
    storage.put_file("a", file(data), sha256=sha256(data))
    assert keys(storage) == ["a"]


# --- conditional writes ---------------------------------------------------------------------------


@pytest.mark.parametrize("size", [3, 6 * MIB])
def test_a_taken_key_is_never_overwritten(storage, file, size):
    storage.put_bytes("a", b"first")
    data = pattern(size)
    for write in (
        lambda: storage.put_file("a", file(data), sha256=sha256(data)),
        lambda: storage.put_bytes("a", b"second"),
    ):
        with pytest.raises(ObjectExists) as caught:
            write()
        assert str(caught.value) == "unable to store 'a': target 't' has it already"
    assert storage.get_bytes("a", limit=10)[0] == b"first"


def test_a_replacement_needs_the_present_tag_and_gives_a_new_one(storage):
    tags = [storage.put_bytes("a", b"0").tag]
    for i in range(1, 6):
        tags.append(storage.put_bytes("a", b"%d" % i, replacing=tags[-1]).tag)
    assert len(set(tags)) == 6
    for stale in tags[:-1]:
        with pytest.raises(ObjectExists) as caught:
            storage.put_bytes("a", b"late", replacing=stale)
        cause = "another writer replaced or removed it on target 't'"
        assert str(caught.value) == f"unable to store 'a': {cause}"
    data, info = storage.get_bytes("a", limit=10)
    assert (data, info.tag) == (b"5", tags[-1])


def test_an_object_that_is_gone_cannot_be_replaced(storage):
    tag = storage.put_bytes("a/b", b"0").tag
    storage.delete("a/b")
    with pytest.raises(ObjectExists) as caught:
        storage.put_bytes("a/b", b"1", replacing=tag)
    assert str(caught.value) == "unable to store 'a/b': another writer replaced or removed it on target 't'"
    assert keys(storage) == []


# --- listing and removing -------------------------------------------------------------------------


def test_two_thousand_keys_are_listed_in_order_across_pages_folders_and_edges(target):
    made = [f"catalog/s{i % 3}/{i:08}-x-full.json" for i in range(1990)]
    # '-' and '.' sort before '/', digits after: where a walk by folders would differ.
    made += ["catalog/s1-b", "catalog/s1.b", "catalog/s10", "catalog/s1_", "catalog", "catalogue/a", "Z", "a", "zz/y/x"]
    made.remove("catalog")  # a local target cannot have a key that is another's folder
    target.seed(made)
    storage = target.open()
    assert keys(storage) == sorted(made)
    assert keys(storage, "catalog/s1/") == sorted(k for k in made if k.startswith("catalog/s1/"))
    assert keys(storage, "catalog/s1") == sorted(k for k in made if k.startswith("catalog/s1"))
    assert keys(storage, "catalog/s1/0000000") == [
        "catalog/s1/00000001-x-full.json",
        *[f"catalog/s1/{i:08}-x-full.json" for i in (4, 7)],
    ]
    assert keys(storage, "catalog/s1/00000001-x-full.json") == ["catalog/s1/00000001-x-full.json"]
    assert keys(storage, "nothing") == []
    below = sorted(k for k in made if k.startswith("catalog/"))
    for edges in (  # after which more than a page comes, each a key, and with nothing between them
        ["catalog/s0/00000003"],
        [below[0], below[999], below[-1]],
        ["a", "catalog/s1/0000000", "catalog/s1/00000000", "z"],
    ):
        assert [info.key for info in storage.list("catalog/", edges=edges)] == below, edges


def test_an_empty_target_lists_nothing(storage):
    assert keys(storage) == []
    assert keys(storage, "a/b") == []


def test_deleting_is_idempotent_and_touches_no_other_key(storage):
    for key in ("a/b/c", "a/b/d", "a/bb"):
        storage.put_bytes(key, b"1")
    storage.delete("a/b/c")
    storage.delete("a/b/c")
    storage.delete("never/was")
    assert keys(storage) == ["a/b/d", "a/bb"]
    storage.delete("a/b/d")
    storage.put_bytes("a/b/c", b"2")
    assert storage.get_bytes("a/b/c", limit=1)[0] == b"2"


def test_what_is_not_there_is_said_to_be_missing(storage):
    for read in (
        lambda: storage.get_bytes("no/such", limit=1),
        lambda: storage.open("no/such"),
        lambda: storage.read_range("no/such", 0, 1),
        lambda: storage.read_range("no/such", 0, 0),
        lambda: storage.stat("no/such"),
    ):
        with pytest.raises(ObjectMissing) as caught:
            read()
        assert str(caught.value) == "unable to read 'no/such': it is not on target 't'"


# --- keys -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "key",
    ["", "/a", "a/", "a//b", ".", "..", "../a", "a/../b", "a/..", "./a", ".hidden", ".tmp-1", "a/.lock", "a b", "a\\b",
     "é", "a\0b", "a:b", "a%2e", "a*", "~", "x" * 256, "a/" * 512 + "a"],
)  # fmt: skip
def test_a_key_that_is_none_is_refused_by_every_operation(storage, key, tmp_path):
    for operation in (
        lambda: storage.put_bytes(key, b""),
        lambda: storage.put_file(key, tmp_path / "never opened", sha256=""),
        lambda: storage.get_bytes(key, limit=1),
        lambda: storage.open(key),
        lambda: storage.read_range(key, 0, 1),
        lambda: storage.stat(key),
        lambda: storage.lock(key, LATER),
        lambda: storage.delete(key),
        lambda: storage.erase(key),
        lambda: storage.move_to(key, Tier.HOT),
        lambda: storage.thaw(key, 1),
    ):
        with pytest.raises(InvalidSetting) as caught:
            operation()
        assert caught.value.cause == RULE
    assert keys(storage) == []


@pytest.mark.parametrize("prefix", ["/", "..", "../", "a/../", ".tmp", "é", "a//"])
def test_a_prefix_that_no_key_has_is_refused(storage, prefix):
    with pytest.raises(InvalidSetting) as caught:
        list(storage.list(prefix))
    assert caught.value.cause == RULE


def test_a_refused_key_is_shown_without_control_characters(storage):
    with pytest.raises(InvalidSetting) as caught:
        storage.stat("a\n\x1b[2J" + "é" * 200)
    assert str(caught.value) == "unable to read 'a\\n\\x1b[2J" + "\\xe9" * 26 + "\\xe...': " + RULE


# --- memory ---------------------------------------------------------------------------------------


def test_memory_does_not_grow_with_the_size_of_the_object(storage, tmp_path):
    size, block = 64 * MIB, pattern(MIB)
    path = tmp_path / "large"
    with path.open("wb") as out:
        for _ in range(64):
            out.write(block)
    digest = hashlib.sha256(block * 64).hexdigest()
    tracemalloc.start()
    try:
        storage.put_file("a", path, sha256=digest)
        with storage.open("a") as stream:
            read = hashlib.file_digest(stream, "sha256")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert read.hexdigest() == digest
    assert peak < 26 * MIB < size  # four parts of 5 MiB


@pytest.mark.parametrize("tag", ["", '"', "*", '""', "W/x", "0-0-0", "é"])
def test_a_tag_that_no_version_had_replaces_nothing(storage, tag):
    storage.put_bytes("a", b"1")
    with pytest.raises(ObjectExists) as caught:
        storage.put_bytes("a", b"2", replacing=tag)
    assert str(caught.value) == "unable to store 'a': another writer replaced or removed it on target 't'"
    assert storage.get_bytes("a", limit=1)[0] == b"1"


def test_the_beginning_of_a_key_is_not_an_object(storage):
    storage.put_bytes("a/b", b"1")
    for read in (lambda: storage.stat("a"), lambda: storage.open("a"), lambda: storage.stat("a/b/c")):
        with pytest.raises(ObjectMissing):
            read()
    storage.delete("a")
    storage.delete("a/b/c")
    assert keys(storage) == ["a/b"]
