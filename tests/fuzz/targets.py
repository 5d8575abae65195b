"""Every parser that reads what a stranger may have written: a function from bytes each, and valid bytes to start from.

A function returns when the parser took the bytes or refused them with an error of ours; anything else it raises is a
finding. What a parser hands out in pieces is read to its end.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
import sqlite3
import struct
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from tests.unit.format import documents

from rlg_backup.anonymize.policies import Policies
from rlg_backup.anonymize.tokens import TokenKey
from rlg_backup.catalog.lease_file import LeaseFile, Pending
from rlg_backup.catalog.points import parse_key
from rlg_backup.catalog.seen import SeenHead, SeenHeads
from rlg_backup.config.connections import connection_in
from rlg_backup.config.load import load
from rlg_backup.core.errors import BackupError
from rlg_backup.engine.known_files import KnownFiles
from rlg_backup.format.age import AgeReader, SeekableAgeReader, encrypt, parse_identity, parse_recipient
from rlg_backup.format.age.bech32 import encode
from rlg_backup.format.age.seek import SeekablePayloadReader
from rlg_backup.format.age.stream import PayloadReader, PayloadWriter
from rlg_backup.format.canonical import parse, serialize
from rlg_backup.format.change_state import ChangeState
from rlg_backup.format.commit import CommitRecord
from rlg_backup.format.container import ZipReader, ZipWriter
from rlg_backup.format.digest import EntryDigest, Xxh3RowDigest
from rlg_backup.format.forms import to_python
from rlg_backup.format.keys import Signer, SigningKey, StagingKey, TokenizationKey
from rlg_backup.format.manifest import Manifest
from rlg_backup.format.packing import pack
from rlg_backup.format.profile import Profile
from rlg_backup.format.rows import PartWriter, read_part
from rlg_backup.format.signing import sign, verify
from rlg_backup.format.tree_index import IndexRow, IndexWriter, read_index, read_paths
from rlg_backup.format.tree_state import UNSURE, FileRow, read_files, write_files
from rlg_backup.format.zipfields import END_SIZE, end_records
from rlg_backup.sources import sqlite_schema
from rlg_backup.sources.files_destination import FileDestination
from rlg_backup.sources.port import Entry, Table, TableSource
from rlg_backup.sources.postgres import schema_document
from rlg_backup.sources.sqlite import SqliteSource
from rlg_backup.sources.sqlite_destination import SqliteDestination
from rlg_backup.storage.keys import check_key, check_prefix
from rlg_backup.validation.references import load_references
from rlg_backup.validation.suites import Reference, Suite, load_suites

SEED = bytes(range(32))  # of every key here: what is made from it is the same in every run
IDENTITIES = [
    parse_identity(encode("age-secret-key-", SEED).upper()),
    parse_identity(encode("age-secret-key-pq-", SEED).upper()),
]
SIGNING = SigningKey(SEED)
WHOLE = 64 << 20  # bytes: no input here says more than this


@dataclass(frozen=True)
class Target:
    """``run`` takes any bytes; ``seeds`` gives valid ones; ``json`` says that they are a JSON document."""

    run: Callable[[bytes], object]
    seeds: Callable[[], list[bytes]]
    json: bool = False


TARGETS: dict[str, Target] = {}


def target(name: str, seeds: Callable[[], list[bytes]], *, json: bool = False) -> Callable[[Any], Any]:
    def note(run: Callable[[bytes], object]) -> Callable[[bytes], object]:
        TARGETS[name] = Target(run, seeds, json)
        return run

    return note


def check(name: str, data: bytes) -> object:
    """What the parser made of ``data``, or None where it refused it as it must. What else is raised is a finding."""
    try:
        return TARGETS[name].run(data)
    except BackupError:
        return None


def ranges(data: bytes) -> Callable[[int, int], bytes]:
    return lambda offset, length: data[offset : offset + length]


# --- age --------------------------------------------------------------------------------------------


def age_files() -> list[bytes]:
    made = []
    for identity in IDENTITIES:
        sink = io.BytesIO()
        with encrypt(sink, [identity.recipient]) as writer:
            writer.write(b"plain text " * 8)
        made.append(sink.getvalue())
    return made


@target("age", age_files)
def age(data: bytes) -> bytes:
    """Streamed and by ranges, which must agree on what is an age file, and on its content."""
    outcomes: list[bytes | type[BackupError]] = []
    for read in (_streamed, _ranged):
        try:
            outcomes.append(read(data))
        except BackupError as error:
            outcomes.append(type(error))
    assert outcomes[0] == outcomes[1], f"streamed {outcomes[0]!r}, by ranges {outcomes[1]!r}"
    if isinstance(outcomes[0], type):
        raise outcomes[0]("decrypt", "archive", "refused")
    return outcomes[0]


def _streamed(data: bytes) -> bytes:
    return AgeReader(io.BytesIO(data), IDENTITIES, name="archive").read()


def _ranged(data: bytes) -> bytes:
    reader = SeekableAgeReader(ranges(data), len(data), IDENTITIES, name="archive")
    return reader.read_at(0, reader.size)


def payloads() -> list[bytes]:
    sinks = [io.BytesIO(), io.BytesIO(), io.BytesIO()]
    for sink, size in zip(sinks, (0, 300, 65_537), strict=True):
        with PayloadWriter(sink, SEED) as writer:
            writer.write(bytes(size))
    return [sink.getvalue() for sink in sinks]


@target("age_payload", payloads)
def payload(data: bytes) -> bytes:
    found = PayloadReader(io.BytesIO(data), SEED).read()
    reader = SeekablePayloadReader(ranges(data), len(data), SEED)
    assert reader.read_at(0, reader.size) == found
    return found


def key_texts() -> list[bytes]:
    texts = [SIGNING.text, TokenizationKey(SEED).text, StagingKey(SEED).text, SIGNING.signer.text]
    return [text.encode() for text in [*texts, *(i.text for i in IDENTITIES), *(i.recipient.text for i in IDENTITIES)]]


@target("key_text", key_texts)
def key_text(data: bytes) -> list[object]:
    """As every kind of key; what refuses it must not show it: it may be a secret with a slip in it."""
    text = data.decode("utf-8", "replace")
    found: list[object] = []
    for read in (
        parse_recipient, parse_identity, Signer.parse, SigningKey.parse, TokenizationKey.parse, StagingKey.parse
    ):  # fmt: skip
        try:
            found.append(read(text))
        except BackupError as error:
            shown = text.strip()[-12:]
            assert len(shown) < 12 or shown not in str(error), "the error shows the key"
    if not found:
        raise BackupError("read", "key", "refused")
    return found


# --- the container ----------------------------------------------------------------------------------


def archive(contents: dict[str, bytes]) -> bytes:
    from tests.unit.format.zips import WHEN

    sink = io.BytesIO()
    writer = ZipWriter(sink, WHEN)
    for name, content in contents.items():
        packed = io.BytesIO()
        facts = pack(io.BytesIO(content), packed)
        writer.add(name, io.BytesIO(packed.getvalue()), **asdict(facts))
    writer.close()
    return sink.getvalue()


def archives() -> list[bytes]:
    return [
        archive({}),
        archive({"README.txt": b"a" * 500, "data/main.t/part-00000.parquet": b"PAR1", "profile.json": b"{}"}),
    ]


@target("zip", archives)
def zip_archive(data: bytes) -> int:
    """The directory as it is found from the end, then every member to its end."""
    members = ZipReader.locate(ranges(data), len(data))
    size = 0
    for name, member in members.members.items():
        read = 0
        with members.open(name) as stream:
            while piece := stream.read(1 << 20):
                read += len(piece)
                assert read <= member.size, "a member gave more than its directory says"
        size += read
    return size


BODY = archive({"README.txt": b"a" * 500, "profile.json": b"{}"})
ENTRIES_AT = BODY.index(b"PK\x01\x02")


@target("zip_entries", lambda: [BODY[ENTRIES_AT:-END_SIZE]])
def zip_entries(data: bytes) -> object:
    """Entries of a directory behind which the end records are right: what is wrong in them is met by their parser."""
    count = data.count(b"PK\x01\x02")
    return zip_archive(BODY[:ENTRIES_AT] + data + end_records(count, len(data), ENTRIES_AT))


# --- Parquet ----------------------------------------------------------------------------------------


def parts() -> list[bytes]:
    mixed = pa.RecordBatch.from_pydict({"a": [1, 2, None], "b": ["x", "y\0", "ü"], "c": [b"", b"\xff", None]})
    other = pa.RecordBatch.from_pydict({"a": ["text"], "b": pa.nulls(1), "c": [0.5]})
    return [_written(), _written(mixed), _written(mixed, other)]


def _written(*batches: pa.RecordBatch) -> bytes:
    sinks: list[_Kept] = []

    def open_part(number: int) -> Any:
        sinks.append(_Kept())
        return sinks[-1]

    writer = PartWriter(open_part, columns=["a", "b", "c"])
    for batch in batches:
        writer.write(batch)
    writer.close()
    return sinks[-1].kept


class _Kept(io.BytesIO):
    """Its content outlives it."""

    kept = b""

    def close(self) -> None:
        if not self.closed:
            self.kept = self.getvalue()
        super().close()


@target("part", parts)
def part(data: bytes) -> int:
    digest = Xxh3RowDigest(SEED)
    for batch in read_part(io.BytesIO(data), "part-00000.parquet"):
        digest.update(batch)
        for array in batch.columns:
            if pa.types.is_struct(array.type):
                to_python(array)
    return digest.rows


ROWS = [
    IndexRow(b"", "folder", 0o755, 1, 0, b"", (), ((b"user.a", b"\0"),), None, None, False),
    IndexRow(b"a", "file", 0o644, -1, 3, b"", ((0, 1),), (), SEED, "files/ab/" + "a" * 24, False),
    IndexRow(b"aa", "file", 0o644, -1, 3, b"", (), (), SEED, "files/x", False, documents.BACKUP),
    IndexRow(b"b", "hardlink", 0, 0, 0, b"a", (), (), None, None, False),
    IndexRow(b"c", "symlink", 0o777, 1, 0, b"/etc/\xff", (), (), None, None, False),
    IndexRow(b"d", "folder", 0o1777, 1, 0, b"", (), (), None, None, False),
]


def indexes() -> list[bytes]:
    found = []
    for rows in ([], ROWS):
        sink = io.BytesIO()
        writer = IndexWriter(sink)
        for row in rows:
            writer.add(row)
        writer.close()
        found.append(sink.getvalue())
    return found


@target("tree_index", indexes)
def tree_index(data: bytes) -> int:
    """Its rows counted and made into a tree, as a restore does; and its paths alone."""
    digest = EntryDigest(SEED)
    with tempfile.TemporaryDirectory() as folder, FileDestination(Path(folder) / "tree") as destination:
        for row in read_index(io.BytesIO(data), "part-00000.parquet"):
            digest.update(row, row.sha256)
            entry = Entry(row.path, row.kind, row.mode, row.mtime_ns, row.size, row.target, row.holes, row.xattrs)
            destination.make(entry, io.BytesIO(bytes(min(row.size, 100))) if row.member is not None else None)
    for paths in read_paths(io.BytesIO(data), "part-00000.parquet"):
        assert all(isinstance(path, bytes) for path in paths)
    return digest.entries


def tree_states() -> list[bytes]:
    sink = io.BytesIO()
    write_files(sink, [FileRow(SEED[:16], SEED, 2**40, 1, SEED[:12]), FileRow(UNSURE, SEED, 0, 0, SEED[:12])])
    return [sink.getvalue()]


@target("tree_state", tree_states)
def tree_state(data: bytes) -> int:
    """Its files made known, as a backup does."""
    columns = read_files(io.BytesIO(data), "part-00000.parquet")
    known = KnownFiles(iter([columns]), len(columns["size"]), (documents.BACKUP, documents.BACKUP))
    known.holds(SEED, 2**40)
    return known.has_size(0) + known.has_size(2**40) + 1


def index_table(rows: list[dict[str, Any]], schema: pa.Schema | None = None) -> bytes:
    """An index as the rows say, valid or not."""
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), sink)
    return sink.getvalue()


# --- JSON documents ---------------------------------------------------------------------------------


def canonical_documents() -> list[bytes]:
    return [serialize(value, "seed") for value in ({}, {"a": [1, -0.5, "ü\0", None, True, {"b": {}}]})]


@target("canonical", canonical_documents, json=True)
def canonical(data: bytes) -> object:
    value = parse(data, "document")
    assert serialize(value, "document") == data
    return value


@target("manifest", lambda: [serialize(documents.MANIFEST, "seed")], json=True)
def manifest(data: bytes) -> object:
    found = Manifest.from_dict(parse(data, "manifest"), "manifest")
    assert Manifest.from_dict(found.to_dict(), "manifest") == found
    return found


@target("commit", lambda: [serialize(documents.COMMIT, "seed")], json=True)
def commit(data: bytes) -> object:
    found = CommitRecord.from_dict(parse(data, "record"), "record")
    assert CommitRecord.from_dict(found.to_dict(), "record") == found
    return found


def profiles() -> list[bytes]:
    return [serialize({"type": "profile", "version": 1, **documents.PROFILE}, "seed")]


@target("profile", profiles, json=True)
def profile(data: bytes) -> object:
    found = Profile.load(data, sha256=hashlib.sha256(data).hexdigest())
    given = parse(data, "profile")  # of before, what is named since may be missing
    tables = [{"within": [], "change": None, **table} for table in given["tables"]]
    tree = given["tree"] and {"change": None, **given["tree"]}
    assert found.to_bytes() == serialize({"row_digest": "sha256", **given, "tables": tables, "tree": tree}, "profile")
    return found


def change_states() -> list[bytes]:
    return [serialize({"type": "change-state", "version": 1, **documents.STATE}, "seed")]


@target("change_state", change_states, json=True)
def change_state(data: bytes) -> object:
    found = ChangeState.load(data, source="rlg_data", backup_id=documents.BACKUP)
    assert ChangeState.load(found.to_bytes(), source="rlg_data", backup_id=documents.BACKUP) == found
    return found


@target("signed", lambda: [sign("commit", documents.COMMIT, SIGNING)], json=True)
def signed(data: bytes) -> object:
    """Bytes with the signature that only the seed can have; whatever is accepted is the seed's body."""
    found = verify("commit", data, [SIGNING.signer])
    assert found == documents.COMMIT, "a document nobody signed was accepted"
    return found


def leases() -> list[bytes]:
    pending = Pending("catalog/app/00000001-20261123T020000Z-7f3a9c2e-full.json", b"{}")
    held = {"token": 3, "nonce": "0" * 16, "holder": "host/1", "seconds": 60, "pending": pending}
    from datetime import UTC, datetime

    return [
        LeaseFile(1, "0" * 16, None, 60, None).to_bytes("seed"),
        LeaseFile(**held, expires_at=datetime(2026, 11, 23, tzinfo=UTC)).to_bytes("seed"),  # type: ignore[arg-type]
    ]


@target("lease", leases, json=True)
def lease(data: bytes) -> object:
    found = LeaseFile.parse(data, "lease.json")
    assert found.to_bytes("lease.json") == data
    return found


@contextmanager
def file_of(data: bytes, name: str) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(data)
        yield path


def seen_heads() -> list[bytes]:
    with file_of(b"", "seen.json") as path:
        path.unlink()
        seen = SeenHeads(path)
        for name in ("local", "s3"):
            seen.remember(name, "app", SeenHead(7, "a" * 64))
        return [path.read_bytes()]


@target("seen", seen_heads, json=True)
def seen(data: bytes) -> object:
    with file_of(data, "seen.json") as path:
        heads = SeenHeads(path)
        heads.remember("other", "app", SeenHead(1, "b" * 64))
        return heads.get("local", "app")


# --- tokens and names -------------------------------------------------------------------------------

_TOKENS = TokenKey(SEED)
_TOKEN_FIELD = pa.field("secret", pa.binary(), metadata={b"rlg.form": b"token"})


def plaintexts() -> list[bytes]:
    return [b"i" + struct.pack(">q", 7), b"r" + struct.pack(">d", 0.5), b"ttext", b"b\xff\0", b"t\xff"]


def _tokens(values: list[bytes]) -> list[bytes]:
    return list(_TOKENS.tokens(pa.array(values, pa.binary())).to_pylist())


def _reversed(token: bytes) -> object:
    batch = pa.RecordBatch.from_arrays([pa.array([token], pa.binary())], schema=pa.schema([_TOKEN_FIELD]))
    found = Policies("people", {}, SEED, {}).reverse(batch)
    found.validate(full=True)
    return found.column(0)


@target("token", lambda: _tokens(plaintexts()))
def token(data: bytes) -> object:
    return _reversed(data)


@target("token_plaintext", plaintexts)
def token_plaintext(data: bytes) -> object:
    """A token whose plaintext is anything: who has the key of a worker can make one."""
    return _reversed(_tokens([data])[0])


def object_names() -> list[bytes]:
    record = b"catalog/app/00000001-20261123T020000Z-7f3a9c2e-full.json"
    return [record, b"app/20261123T020000Z-7f3a9c2e/default.zip.age", b"catalog/app/lease.json"]


@target("name", object_names)
def name(data: bytes) -> list[object]:
    text = data.decode("utf-8", "surrogateescape")
    found: list[object] = []
    for read in (
        lambda: check_key("read", text), lambda: check_prefix(text), lambda: parse_key("local", "app", text)
    ):  # fmt: skip
        try:
            found.append(read())
        except BackupError as error:
            assert all(character.isprintable() or character == "\n" for character in str(error))
    assert not found or (".." not in text.split("/") and "\0" not in text and not text.startswith("/"))
    return found


# --- configuration ----------------------------------------------------------------------------------

CONFIGURATION = """\
version: 1
timezone: ${ZONE:-Africa/Johannesburg}
staging: {folder: staging, key: "file:keys/$$/staging.key", mode: local}
state: ${HOME_OF_STATE}
encryption: {recipients: ["age1abc"], identities: ["${NONE:-}"]}
signing: {key: "env:KEY", trusted: []}
targets:
  local: {type: local, path: backups}
  s3: {type: s3, bucket: b, endpoint_url: "http://127.0.0.1:1", emulator: true}
sources:
  app:
    type: sqlite
    path: app.db
    targets: [local]
    policies: {people.email: tokenize}
    geography: {levels: {region: {table: r, key: k}}, tables: {t: {region: c}}}
  tree: {type: files, targets: [local, s3]}
schedule: {full: "0 2 * * 0"}
lease_minutes: 60
"""


@target("configuration", lambda: [CONFIGURATION.encode()])
def configuration(data: bytes) -> object:
    with file_of(data, "backup.yaml") as path:
        return load(path, {"HOME_OF_STATE": "state"})


@target("dotenv", lambda: [b"HOME_OF_STATE=state\n# a comment\nexport ZONE='UTC'\n"])
def dotenv(data: bytes) -> object:
    with file_of(data, ".env") as path:
        (path.parent / "backup.yaml").write_text(CONFIGURATION)
        return load(path.parent / "backup.yaml", {})


ROOT = Path(__file__).parents[2]


def suites() -> list[bytes]:
    shipped = (ROOT / "include" / "expectations" / "platform" / "prices.yaml").read_bytes()
    plain = b'{"name": "suite", "description": "d", "tables": {"t": [{"type": "expect_x", "kwargs": {"column": "c"}}]}}'
    return [re.sub(rb"(?m)^name: .*$", b"name: suite", shipped), plain]


@target("suite", suites)
def suite(data: bytes) -> object:
    with file_of(data, "suite.yaml") as path:
        return load_suites(path.parent)


REFERENCE = Reference("prices.yaml", "prices", {"code": "text", "cents": "integer"}, ("code",), ("each", "cents"))


@target("references", lambda: [b"code: ZA\nprices:\n  - {each: [1, 2]}\n  - {each: [3]}\n"])
def references(data: bytes) -> object:
    with file_of(data, "prices.yaml") as path:
        return load_references([Suite("suite", "", (), {"rlg_prices": REFERENCE})], path.parent)


# --- the schema of a SQLite database ----------------------------------------------------------------


def schemas() -> list[bytes]:
    with file_of(b"", "app.db") as path:
        connection = sqlite3.connect(path, isolation_level=None)
        for statement in (
            "CREATE TABLE p (id INTEGER PRIMARY KEY, v TEXT)",
            "CREATE TABLE k (a TEXT COLLATE NOCASE, b, PRIMARY KEY (b DESC, a)) WITHOUT ROWID",
            "CREATE TABLE g (a, s AS (a + 1) STORED, r REFERENCES p)",
            "CREATE UNIQUE INDEX u ON p (v) WHERE id > 0",
            "CREATE INDEX x ON k (length(a))",
            "CREATE VIEW w AS SELECT * FROM p",
            "CREATE TRIGGER t AFTER INSERT ON p BEGIN DELETE FROM p; END",
        ):
            connection.execute(statement)
        connection.close()
        with SqliteSource(path).snapshot() as snapshot:
            return [snapshot.schema_files()["sqlite.json"]]


BATCHES = {
    "p": pa.RecordBatch.from_pydict({"id": [2, 1], "v": ["x", None]}),
    "k": pa.RecordBatch.from_pydict({"a": ["a", "B"], "b": [1, 2]}),
    "g": pa.RecordBatch.from_pydict({"a": [1], "r": pa.nulls(1)}),
}


@target("sqlite_schema", schemas, json=True)
def schema(data: bytes) -> object:
    """Parsed, and the database it tells made, filled and read, as a restore does. Nothing may be left beside it."""
    files = {"sqlite.json": data}
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "restored.db"
        try:
            with SqliteDestination(place) as destination:
                destination.prepare(files)
                for table in sqlite_schema.load(files).layouts:
                    if table in BATCHES:
                        destination.load(Table("main", table, (), ""), [BATCHES[table]])
                destination.finish(_read)
        finally:
            assert sorted(path.name for path in Path(folder).iterdir()) in ([], ["restored.db"])
    return True


def _read(built: TableSource) -> None:
    with built.snapshot() as snapshot:
        for table in snapshot.tables:
            for batch in snapshot.read(table):
                batch.validate(full=True)


def postgres_documents() -> list[bytes]:
    grants = (schema_document.Grant("", "CONNECT"), schema_document.Grant("reader", "CONNECT", True))
    whole = schema_document.SchemaDocument(
        server_version=180_004,
        dumped_by=180_004,
        locale=schema_document.Locale("UTF8", "b", "C", "C", "C.UTF-8"),
        database=schema_document.Database(
            "owner", "a comment", 7, grants, (schema_document.Setting(None, "a.b", "c"),)
        ),
        extensions=(schema_document.Extension("plpgsql", "pg_catalog", "1.0"),),
        roles=("owner", "reader"),
        sequences=(schema_document.SequenceState("public", "s", -(2**63), True),),
        large_objects=(schema_document.LargeObject(2**32 - 1, "owner", None, None),),
    )
    return [schema_document.dump(whole)]


@target("postgres_schema", postgres_documents, json=True)
def postgres_schema(data: bytes) -> object:
    """What is taken is what would be written of it."""
    found = schema_document.load({schema_document.MEMBER: data, schema_document.DEFINITIONS: b""})
    assert (
        schema_document.load({schema_document.MEMBER: schema_document.dump(found), schema_document.DEFINITIONS: b""})
        == found
    )
    return found


def connections() -> list[bytes]:
    uris = ["postgres://u:p%40ss@h:5432/db?sslmode=require", "postgres://%2Ftmp%2Fsocket/db", "sqlite:///x"]
    return [uri.encode() for uri in uris] + [b'{"conn_type": "postgres", "host": "h", "port": "5432", "extra": "{}"}']


@target("connection", connections)
def connection(data: bytes) -> object:
    """A variable holds text; whatever it is, nothing but our error comes out."""
    return connection_in({"AIRFLOW_CONN_X": data.decode("utf-8", "surrogateescape")}, "x") or "none"


def shown(data: bytes) -> str:
    """An input in a failure's text."""
    return base64.b64encode(data).decode() if len(data) < 4096 else f"{len(data)} bytes"


def as_json(data: bytes) -> Any:
    return json.loads(data)
