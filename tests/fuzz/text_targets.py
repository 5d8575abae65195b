"""Parsers of tokens, names and the configuration."""

from __future__ import annotations

import re
import struct
from pathlib import Path

import pyarrow as pa
from tests.fuzz.target import SEED, file_of, target

from rlg_backup.anonymize.policies import Policies
from rlg_backup.anonymize.tokens import TokenKey
from rlg_backup.catalog.points import parse_key
from rlg_backup.config.load import load
from rlg_backup.core.errors import BackupError
from rlg_backup.storage.keys import check_key, check_prefix
from rlg_backup.validation.references import load_references
from rlg_backup.validation.suites import Reference, Suite, load_suites

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
