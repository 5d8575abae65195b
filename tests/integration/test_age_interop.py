"""Both directions with other implementations of age: what we write they open, and what they write we open.

Needs the ``age`` program (X25519; the tests skip without it), ``pyrage``, and node with the packages of
tests/support/age_js, which a fixture installs from the registry that npm is set up with.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import shutil
import subprocess
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.support import node as node_packages

from rlg_backup.core.errors import BackupError, FormatUnsupported, HeaderDamaged, PayloadDamaged, WrongIdentity
from rlg_backup.format.age import (
    AgeReader,
    Identity,
    SeekableAgeReader,
    encrypt,
    generate_identity,
    parse_identity,
    parse_recipient,
)

pytestmark = pytest.mark.interop

ROOT = Path(__file__).parents[2]
SIZES = [0, 1, 65535, 65536, 65537, 200_001]
PATTERN = bytes(index * 11 % 253 for index in range(max(SIZES)))
sizes = pytest.mark.parametrize("size", SIZES)
age_program = pytest.mark.skipif(
    shutil.which("age") is None, reason="REQUIRED-IN-CI: the age program is missing (apt-get install age)"
)


def sealed(size: int, *identities: Identity) -> bytes:
    sink = io.BytesIO()
    with encrypt(sink, [identity.recipient for identity in identities]) as writer:
        writer.write(PATTERN[:size])
    return sink.getvalue()


def opened(data: bytes, identity: Identity) -> bytes:
    """By stream and by ranges, which must agree."""
    streamed = AgeReader(io.BytesIO(data), [identity]).read()
    reader = SeekableAgeReader(lambda offset, length: data[offset : offset + length], len(data), [identity])
    assert reader.read_at(0, reader.size) == streamed
    return streamed


def run(command: list[str], data: bytes = b"", folder: Path | None = None) -> bytes:
    done = subprocess.run(command, input=data, capture_output=True, cwd=folder, timeout=120)
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    return done.stdout


Node = Callable[..., bytes]


@pytest.fixture(scope="session")
def node() -> Node:
    """Runs tests/support/age_js/age.mjs, with its packages as the lock file names them."""
    folder = node_packages.install("age_js")
    command = [node_packages.program(), "age.mjs"]
    return lambda *arguments, data=b"": run([*command, *arguments], data, folder)


def key_file(folder: Path, identity: Identity) -> Path:
    path = folder / "identity.txt"
    path.touch(mode=0o600)
    path.write_text(f"{identity.text}\n")
    return path


@age_program
@sizes
def test_the_age_program_opens_what_we_write(size: int, tmp_path: Path) -> None:
    first, second = (generate_identity(post_quantum=False) for _ in range(2))
    data = sealed(size, first, second)
    for identity in (first, second):
        assert run(["age", "-d", "-i", str(key_file(tmp_path, identity))], data) == PATTERN[:size]


@age_program
@sizes
def test_we_open_what_the_age_program_writes(size: int) -> None:
    first, second = (generate_identity(post_quantum=False) for _ in range(2))
    data = run(["age", "-r", first.recipient.text, "-r", second.recipient.text], PATTERN[:size])
    assert opened(data, first) == opened(data, second) == PATTERN[:size]


@age_program
def test_a_pair_of_age_keygen_is_a_pair_to_us() -> None:
    lines = run(["age-keygen"]).decode().splitlines()
    identity = parse_identity(lines[-1])
    assert f"# public key: {identity.recipient.text}" in lines
    assert identity.text == lines[-1]


@age_program
def test_the_age_program_refuses_a_file_of_ours_that_was_not_closed(tmp_path: Path) -> None:
    identity, sink = generate_identity(post_quantum=False), io.BytesIO()
    writer = encrypt(sink, [identity.recipient])
    writer.write(PATTERN)
    writer.abandon()
    done = subprocess.run(
        ["age", "-d", "-i", str(key_file(tmp_path, identity))], input=sink.getvalue(), capture_output=True, timeout=60
    )
    assert done.returncode != 0


@sizes
def test_pyrage_and_we_open_each_other_s_files(size: int) -> None:
    import pyrage  # type: ignore[import-untyped]

    identity = generate_identity(post_quantum=False)
    theirs = pyrage.x25519.Identity.from_str(identity.text)
    assert str(theirs.to_public()) == identity.recipient.text
    assert pyrage.decrypt(sealed(size, identity), [theirs]) == PATTERN[:size]
    assert opened(pyrage.encrypt(PATTERN[:size], [theirs.to_public()]), identity) == PATTERN[:size]


@pytest.mark.parametrize("kind", ["x25519", "hybrid"])
def test_the_npm_package_opens_what_we_write_and_knows_our_keys(kind: str, node: Node) -> None:
    identity = generate_identity(post_quantum=kind == "hybrid")
    other = generate_identity(post_quantum=kind == "hybrid")
    for size in (0, 65536, 65537):
        data = sealed(size, other, identity)
        assert node("decrypt", identity.text, data=data) == PATTERN[:size]


@pytest.mark.parametrize("kind", ["x25519", "hybrid"])
def test_we_open_what_the_npm_package_writes_and_know_its_keys(kind: str, node: Node) -> None:
    identity, recipient = node("generate", kind).decode().split()
    assert parse_identity(identity).recipient == parse_recipient(recipient)
    other = generate_identity(post_quantum=kind == "hybrid")
    for size in (0, 65536, 65537):
        data = node("encrypt", other.recipient.text, recipient, data=PATTERN[:size])
        assert opened(data, parse_identity(identity)) == opened(data, other) == PATTERN[:size]


EXPECTED: dict[str, tuple[type[BackupError], ...]] = {
    "no match": (WrongIdentity,),
    "HMAC failure": (HeaderDamaged,),
    "header failure": (HeaderDamaged, FormatUnsupported),
    "payload failure": (PayloadDamaged,),
}
# The reference hands out a chunk that opens only as what it is not at that place; we do not.
GIVES_LESS = {
    "stream_no_final_full",
    "stream_no_final_two_chunks_full",
    "stream_trailing_garbage_long",
    "stream_trailing_garbage_short",
    "stream_two_final_chunks",
    "stream_two_final_chunks_full",
    "stream_two_final_chunks_second",
}
# The specification counts the nonce to the payload; the vectors call its absence a failure of the header.
NONCE_CUT = {"stream_no_nonce", "stream_short_nonce"}


def test_the_age_test_vectors_end_as_they_say(node: Node) -> None:
    """Every vector of C2SP's CCTV but those of passphrases and armour, which archives never have."""
    checked = 0
    for name, text in json.loads(node("vectors")).items():
        head, _, data = base64.b64decode(text).partition(b"\n\n")
        facts = [line.partition(": ")[::2] for line in head.decode().splitlines()]
        meta = dict(facts)
        if "passphrase" in meta or "armored" in meta:
            continue
        if meta.get("compressed") == "zlib":
            data = zlib.decompress(data)
        identities = [parse_identity(value) for key, value in facts if key == "identity"]
        assert _verdict(name, data, identities, meta) == "as expected", name
        checked += 1
    assert checked == 85


def _verdict(name: str, data: bytes, identities: list[Identity], meta: dict[str, str]) -> str:
    found, fault = io.BytesIO(), None
    try:
        reader = AgeReader(io.BytesIO(data), identities)
        while part := reader.read1():
            found.write(part)
    except BackupError as caught:
        fault = caught
    allowed = (PayloadDamaged,) if name in NONCE_CUT else EXPECTED.get(meta["expect"], ())
    if meta["expect"] == "success":
        if fault is not None:
            return f"streaming raised {fault}"
    elif type(fault) not in allowed:
        return f"streaming ended with {fault!r}"
    same = hashlib.sha256(found.getvalue()).hexdigest() == meta.get("payload")
    if "payload" in meta and same == (name in GIVES_LESS):
        return f"streaming gave {len(found.getvalue())} bytes"
    return _verdict_of_ranges(data, identities, found.getvalue(), fault)


def _verdict_of_ranges(data: bytes, identities: list[Identity], plain: bytes, streamed: BackupError | None) -> str:
    try:
        reader = SeekableAgeReader(lambda offset, length: data[offset : offset + length], len(data), identities)
        found = reader.read_at(0, reader.size)
    except BackupError as fault:
        return "as expected" if type(fault) is type(streamed) else f"seeking raised {fault}"
    return "as expected" if streamed is None and found == plain else "seeking gave other bytes"


def test_the_lock_file_names_no_registry() -> None:
    text = (ROOT / "tests" / "support" / "age_js" / "package-lock.json").read_text()
    assert '"resolved"' not in text
