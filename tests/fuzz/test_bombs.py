"""Small inputs that say they are huge, or become it: refused, and no memory is spent on them.

Each is read by a process of its own, whose largest memory is then known.
"""

from __future__ import annotations

import ast
import base64
import copy
import hashlib
import io
import json
import os
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.fuzz.database_targets import schemas
from tests.fuzz.parquet_targets import index_table, indexes
from tests.fuzz.target import SEED, as_json
from tests.fuzz.targets import TARGETS
from tests.unit.format import documents

from rlg_backup.core.errors import DirectoryDamaged, MemberDamaged
from rlg_backup.format.age.stream import PayloadWriter
from rlg_backup.format.archive import open_archive
from rlg_backup.format.manifest import ArchiveEntry
from rlg_backup.format.zipfields import DosTime, Member, central_entry, end_records, local_header

ROOT = Path(__file__).parents[2]
ROOM = 128  # MiB above what the process has taken before it reads
LARGE = 20_000_000  # rows


Reading = Callable[[str, bytes], tuple[int, str]]


@pytest.fixture(scope="module")
def read() -> Iterator[Reading]:
    """Reads an input in a process of its own: how many MiB that took, and what came of it."""
    environment = {"PYTHONPATH": f"{ROOT / 'plugins'}:{ROOT}", "PATH": os.environ["PATH"]}
    command = [sys.executable, "-m", "tests.fuzz.reader"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT, env=environment) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        requests, answers = process.stdin, process.stdout

        def ask(name: str, data: bytes) -> tuple[int, str]:
            requests.write(b"%s %d\n" % (name.encode(), len(data)) + data)
            requests.flush()
            taken, _, outcome = answers.readline().decode().partition(" ")
            return int(taken), str(ast.literal_eval(outcome))

        yield ask
        requests.close()


@pytest.fixture
def refused(read: Reading) -> Callable[[str, bytes, str], None]:
    def check(name: str, data: bytes, expected: str) -> None:
        taken, outcome = read(name, data)
        assert outcome == expected
        assert taken < ROOM, f"{taken} MiB"

    return check


Refused = Callable[[str, bytes, str], None]


# --- Parquet ----------------------------------------------------------------------------------------


def field(form: str, kind: pa.DataType) -> pa.Field:
    return pa.field("a", kind, metadata={b"rlg.form": form.encode()})


def part_of(array: pa.Array, described: pa.Field) -> bytes:
    """A part of one column, with the schema that ``described`` tells, whatever the array is."""
    sink = io.BytesIO()
    plain = pa.schema([pa.field("a", array.type)])
    with pq.ParquetWriter(sink, plain, compression="zstd", store_schema=False) as writer:
        writer.write_table(pa.table([array], names=["a"]), row_group_size=len(array))
        schema = base64.b64encode(pa.schema([described]).serialize().to_pybytes()).decode()
        writer.add_key_value_metadata({"ARROW:schema": schema})
    return sink.getvalue()


def test_a_row_group_of_more_rows_than_the_format_allows_is_refused(refused: Refused) -> None:
    data = part_of(pa.array(np.zeros(LARGE, dtype="int64")), field("int64", pa.int64()))
    assert len(data) < 300_000
    expected = "MemberDamaged: unable to read 'part-00000.parquet': a row group of it has more than 65536 rows"
    refused("part", data, expected)


@pytest.mark.parametrize("kind", [pa.string(), pa.binary()])
def test_one_value_that_stands_for_gigabytes_is_refused(kind: pa.DataType, refused: Refused) -> None:
    value = pa.array(["x" * 65_536]).cast(kind)
    array = pa.DictionaryArray.from_arrays(pa.array(np.zeros(60_000, dtype="int32")), value)
    data = part_of(array, field("utf8" if kind == pa.string() else "bytes", kind))
    assert len(data) < 1000
    expected = (
        "MemberDamaged: unable to read 'part-00000.parquet': a row group of it holds more than 536870912 bytes of text"
    )
    refused("part", data, expected)


@pytest.mark.parametrize(
    ("name", "what"), [("removed_numbers", "a part of row numbers"), ("tree_state", "a part of a tree's files")]
)
def test_a_part_that_says_one_row_and_holds_millions_is_refused(name: str, what: str, refused: Refused) -> None:
    """What it says of all rows stands beside what its row groups say, and only these are what a reader goes by."""
    (sound, *_) = TARGETS[name].seeds()
    schema = pq.read_schema(io.BytesIO(sound))
    zeros = pa.py_buffer(bytes(LARGE * 32))
    arrays = [pa.Array.from_buffers(field.type, LARGE, [None, zeros]) for field in schema]
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_arrays(arrays, schema=schema), sink, compression="zstd", row_group_size=LARGE)
    data, told = bytearray(sink.getvalue()), bytes([0x80, 0xB4, 0x89, 0x13])  # LARGE, as Thrift writes it
    at = data.index(told, len(data) - 8 - int.from_bytes(data[-8:-4], "little"))
    data[at : at + 4] = bytes([0x82, 0x80, 0x80, 0x00])
    assert pq.read_metadata(io.BytesIO(data)).num_rows == 1
    assert len(data) < 1_000_000
    refused(name, bytes(data), f"MemberDamaged: unable to read 'part-00000.parquet': it is not {what}")


def test_an_index_of_more_entries_than_the_format_allows_is_refused(refused: Refused) -> None:
    schema = pq.read_schema(io.BytesIO(indexes()[1])).remove_metadata()
    count = 1_000_001
    row = {"path": b"", "kind": "file", "mode": 0, "mtime_ns": 0, "size": 0, "target": b"", "unstable": False}
    columns = [
        pa.repeat(pa.scalar(row[f.name], f.type), count) if f.name in row else pa.nulls(count, f.type) for f in schema
    ]
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_arrays(columns, schema=schema), sink, compression="zstd")
    expected = "MemberDamaged: unable to read 'part-00000.parquet': it has more than 1000000 entries"
    refused("tree_index", sink.getvalue(), expected)


WRONG_INDEX: dict[str, dict[str, Any]] = {
    "a path of text": {"path": "x"},
    "no path": {"path": None},
    "a kind that is a number": {"kind": 5},
    "no mode": {"mode": None},
    "a size of text": {"size": "a"},
    "holes of no pairs": {"holes": 5},
    "an attribute of other parts": {"xattrs": [{"a": 1}]},
    "no sign of rest": {"unstable": None},
    "a digest of text": {"sha256": "s"},
}


def entry(**changed: Any) -> dict[str, Any]:
    row = {
        "path": b"", "kind": "folder", "mode": 0, "mtime_ns": 1, "size": 0, "target": b"", "holes": [], "xattrs": [],
        "sha256": None, "member": None, "unstable": False,
    }  # fmt: skip
    return row | changed


@pytest.mark.parametrize("what", WRONG_INDEX)
def test_an_index_of_other_types_is_none(what: str) -> None:
    with pytest.raises(MemberDamaged) as refusal:
        TARGETS["tree_index"].run(index_table([entry(**WRONG_INDEX[what])]))
    assert str(refusal.value) == "unable to read 'part-00000.parquet': its columns are not those of an index"


@pytest.mark.parametrize(
    ("changed", "cause"),
    [
        ({"size": -1}, "an entry has a size below zero"),
        ({"holes": [{"offset": None, "length": 1}]}, "it is not a Parquet file of entries (TypeError)"),
        ({"xattrs": [{"name": None, "value": b""}]}, "it is not a Parquet file of entries (TypeError)"),
        ({"holes": [None]}, "it is not a Parquet file of entries (TypeError)"),
        ({"holes": None}, "it is not a Parquet file of entries (TypeError)"),
    ],
)
def test_an_index_with_values_that_are_none_is_refused(changed: dict[str, Any], cause: str) -> None:
    schema = pq.read_schema(io.BytesIO(indexes()[1])).remove_metadata()
    with pytest.raises(MemberDamaged) as refusal:
        TARGETS["tree_index"].run(index_table([entry(**changed)], schema))
    assert str(refusal.value) == f"unable to read 'part-00000.parquet': {cause}"


# --- ZIP --------------------------------------------------------------------------------------------


def zip_of(member: Member, content: bytes, *, times: int = 1) -> bytes:
    when = DosTime(0, 33)
    entries = central_entry(member, when) * times
    body = local_header(member, when) + content
    return body + entries + end_records(times, len(entries), len(body))


def deflated(content: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return packer.compress(content) + packer.flush()


ZEROS = deflated(bytes(64 << 20))
BOMBS: dict[str, tuple[Callable[[], bytes], str]] = {
    "inflates to more than it says": (
        lambda: zip_of(Member("a", 10, len(ZEROS), 0, SEED, True, 0), ZEROS),
        "MemberDamaged: unable to read 'a': it is longer than its 10 bytes",
    ),
    "says more than deflate can make": (
        lambda: zip_of(Member("a", 2**40, 100, 0, SEED, True, 0), bytes(100)),
        "DirectoryDamaged: unable to read 'ZIP directory': member 'a' cannot have the size it tells",
    ),
    "has one member many times": (
        lambda: zip_of(Member("a", 100, 100, 0, SEED, False, 0), bytes(100), times=50_000),
        "DirectoryDamaged: unable to read 'ZIP directory': member 'a' does not begin where the one before it ends",
    ),
    "says a directory of 2 GiB": (
        lambda: end_records(1, 2**31, 0),
        "DirectoryDamaged: unable to read 'ZIP directory': it does not end with the archive",
    ),
    "says 2^63 members": (
        lambda: end_records(2**63, 0, 0),
        "DirectoryDamaged: unable to read 'ZIP directory': its members do not fill the archive",
    ),
}


@pytest.mark.parametrize("what", BOMBS)
def test_a_zip_that(what: str, refused: Refused) -> None:
    make, expected = BOMBS[what]
    refused("zip", make(), expected)


def test_a_directory_over_its_limit_is_not_read() -> None:
    def read_at(offset: int, length: int) -> bytes:
        raise AssertionError("it was read")

    entry = copy.deepcopy(documents.MANIFEST["archives"][0])
    entry["size"], entry["directory"]["length"] = 2**33, 2**31
    with pytest.raises(DirectoryDamaged) as refusal:
        open_archive(read_at, ArchiveEntry.from_dict(entry, "manifest"))
    assert str(refusal.value) == "unable to verify 'default.zip.age': its directory is longer than 1073741824 bytes"


# --- JSON, YAML, SQLite -----------------------------------------------------------------------------

DEEP = b"[" * 1_000_000
LAUGHS = b"version: 1\na: &a [x,x,x,x,x,x,x,x,x]\n" + b"".join(
    b"%c: &%c [%s]\n" % (c, c, b",".join([b"*%c" % (c - 1)] * 9)) for c in range(ord("b"), ord("i"))
)


@pytest.mark.parametrize(
    "name", ["canonical", "lease", "seen", "sqlite_schema", "configuration", "suite", "references"]
)
def test_a_million_brackets_are_refused(name: str, read: Reading) -> None:
    taken, outcome = read(name, DEEP)
    assert outcome.split(":")[0] in ("DocumentDamaged", "MemberDamaged", "InvalidSetting", "ValidationUnavailable")
    assert taken < ROOM


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("configuration", "aliases (*name) are not allowed (line 3, column 8)"),
        ("suite", "aliases (*name) are not allowed (line 3)"),
        ("references", "unable to load reference 'prices.yaml': it is not YAML"),
    ],
)
def test_aliases_that_multiply_are_refused(name: str, expected: str, read: Reading) -> None:
    taken, outcome = read(name, LAUGHS)
    assert outcome.endswith(expected), outcome
    assert taken < ROOM


HUGE_EXPRESSIONS = {
    "index": ("x", "CREATE INDEX x ON k (hex(zeroblob(400000000)))", "index 'k'"),
    "generated column": ("g", "CREATE TABLE g (a, s AS (hex(zeroblob(400000000))) STORED, r)", "finish"),
}


@pytest.mark.parametrize("what", HUGE_EXPRESSIONS)
def test_a_definition_that_computes_gigabytes_is_refused(what: str, read: Reading) -> None:
    name, sql, where = HUGE_EXPRESSIONS[what]
    document = as_json(schemas()[0])
    next(row for row in document["rows"] if row["name"] == name)["sql"] = sql
    taken, outcome = read("sqlite_schema", json.dumps(document).encode())
    assert outcome.startswith(f"MemberDamaged: unable to {where}")
    assert outcome.endswith(": a value that its definitions compute is far longer than its rows")
    assert taken < ROOM


def test_the_measure_sees_memory(read: Reading) -> None:
    """A payload of 160 MiB, read whole on purpose: if this were not seen, nothing above would mean anything."""
    sink = io.BytesIO()
    with PayloadWriter(sink, SEED) as writer:
        writer.write(bytes(160 << 20))
    taken, _ = read("age_payload", sink.getvalue())
    assert taken > ROOM


def test_a_header_that_never_ends_is_read_to_its_limit_only(refused: Refused) -> None:
    data = b"age-encryption.org/v1\n" + b"-> X25519 aaaa\n\n" * (64 << 16)
    expected = "HeaderDamaged: unable to decrypt 'archive': refused"
    refused("age", data, expected)


def test_an_archive_made_like_the_bombs_is_read_when_it_is_none(read: Reading) -> None:
    content = b"plain"
    member = Member("a", 5, 5, zlib.crc32(content), hashlib.sha256(content).digest(), False, 0)
    assert read("zip", zip_of(member, content))[1] == "5"
