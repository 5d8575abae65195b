"""The bytes of tokens and hashes, against an independent reading of docs/FORMAT.md and against the decoder."""

from __future__ import annotations

import hashlib
import hmac
import struct
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.cmac import CMAC
from tests.unit.anonymize.columns import KEY

from rlg_backup.anonymize.decoder import DECODER
from rlg_backup.anonymize.tokens import TokenKey

# Made once with the reference below. Archives hold such bytes: a change here is a change of the format.
VECTORS = {
    b"tjane.doe@example.org": "01630dcd296058805e9af984f3832ff9ba63373884ee812afe0e7c87d6f5af1e37dc6644f61aaa9c87f3",
    b"t": "01630dcd29da71dfc6e14964e746c75b73fa6ecf107f",
    b"i" + struct.pack(">q", -5): "01630dcd2990d355b921fa2d99e80ffc095c24fdec56c3371fc889e3ae44",
    b"r" + struct.pack(">d", 1.5): "01630dcd2912119cf8a9c7f998a8ba951f7a901e2d28790fc312f5941a81",
    b"b\x00\xff": "01630dcd29c54db49f91c072216e9cc783c7f17a4f4d99f2",
}
HASHES = {
    b"tjane.doe@example.org": "c30d49c7ca195713a460c82b308206f0",
    b"i" + struct.pack(">q", -5): "2b74b8096dad78e350fe47ab78fa66f5",
}


def hkdf(key: bytes, info: bytes, length: int) -> bytes:
    """RFC 5869 without salt."""
    pseudorandom = hmac.digest(bytes(32), key, "sha256")
    out, block = b"", b""
    for counter in range(1, 3):
        block = hmac.digest(pseudorandom, block + info + bytes([counter]), "sha256")
        out += block
    return out[:length]


def cmac(key: bytes, message: bytes) -> bytes:
    mac = CMAC(algorithms.AES(key))
    mac.update(message)
    return mac.finalize()


def doubled(block: bytes) -> bytes:
    number = int.from_bytes(block, "big") << 1
    return ((number & (1 << 128) - 1) ^ (0x87 if number >> 128 else 0)).to_bytes(16, "big")


def xored(left: bytes, right: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(left, right, strict=True))


def reference_token(key: bytes, plaintext: bytes) -> bytes:
    """FORMAT.md section 7 with AES-SIV as RFC 5297 writes it."""
    siv_key = hkdf(key, b"rlg-backup siv 1", 64)
    mac_key, stream_key = siv_key[:32], siv_key[32:]
    state = xored(doubled(cmac(mac_key, bytes(16))), cmac(mac_key, b"rlg-backup token 1"))
    if len(plaintext) >= 16:
        last = plaintext[:-16] + xored(plaintext[-16:], state)
    else:
        last = xored(doubled(state), plaintext + b"\x80" + bytes(15 - len(plaintext)))
    tag = cmac(mac_key, last)
    counter = bytearray(tag)
    counter[8] &= 0x7F
    counter[12] &= 0x7F
    encryptor = Cipher(algorithms.AES(stream_key), modes.CTR(bytes(counter))).encryptor()
    return b"\x01" + hashlib.sha256(key).digest()[:4] + tag + encryptor.update(plaintext) + encryptor.finalize()


@pytest.mark.parametrize("plaintext", VECTORS)
def test_a_token_is_what_the_format_says(plaintext: bytes) -> None:
    (token,) = TokenKey(KEY).tokens(pa.array([plaintext])).to_pylist()
    assert token.hex() == VECTORS[plaintext] == reference_token(KEY, plaintext).hex()


@pytest.mark.parametrize("plaintext", HASHES)
def test_a_hash_is_what_the_format_says(plaintext: bytes) -> None:
    (digest,) = TokenKey(KEY).hashes(pa.array([plaintext])).to_pylist()
    reference = hmac.new(hkdf(KEY, b"rlg-backup hash 1", 32), plaintext, hashlib.sha256).hexdigest()[:32]
    assert digest == HASHES[plaintext] == reference


def test_the_key_never_shows_in_its_repr() -> None:
    assert repr(TokenKey(KEY)) == "TokenKey(630dcd29...)"


def bech32(prefix: str, data: bytes) -> str:
    """A key's text with a checksum of nonsense, which the decoder does not read."""
    bits = "".join(f"{byte:08b}" for byte in data)
    bits += "0" * (-len(bits) % 5)
    letters = "".join("qpzry9x8gf2tvdw0s3jn54khce6mua7l"[int(bits[at : at + 5], 2)] for at in range(0, len(bits), 5))
    return (prefix + "1" + letters + "qqqqqq").upper()


def run_decoder(tmp_path: Path, key: bytes, lines: list[str], *what: str) -> subprocess.CompletedProcess[str]:
    script, key_file = tmp_path / "decode.py", tmp_path / "key"
    script.write_text(DECODER)
    key_file.write_text("# tokenization key\n" + bech32("rlg-tokenization-key-", key) + "\n")
    command = [sys.executable, "-I", str(script), str(key_file), *what]
    given = "".join(line + "\n" for line in lines)
    return subprocess.run(command, input=given, capture_output=True, text=True, check=False, timeout=60)


def decode(tmp_path: Path, key: bytes, plaintexts: list[bytes]) -> subprocess.CompletedProcess[str]:
    tokens = TokenKey(KEY).tokens(pa.array(plaintexts)).to_pylist()
    return run_decoder(tmp_path, key, [token.hex() for token in tokens])


def decode_texts(tmp_path: Path, key: bytes, texts: list[str]) -> list[str]:
    done = run_decoder(tmp_path, key, texts, "spans")
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def test_the_decoder_of_the_readme_reads_every_class_of_value(tmp_path: Path) -> None:
    plaintexts = [*VECTORS, "tcafé".encode(), b"t\xff", b"i" + struct.pack(">q", -(2**63))]
    done = decode(tmp_path, KEY, plaintexts)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "'jane.doe@example.org'",
        "''",
        "-5",
        "1.5",
        r"b'\x00\xff'",
        r"'caf\xe9'",
        r"'\udcff'",
        "-9223372036854775808",
    ]


def test_the_decoder_of_the_readme_names_a_wrong_key(tmp_path: Path) -> None:
    done = decode(tmp_path, bytes(32), [b"tx"])
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "this token is of another key\n")


def test_the_decoder_fits_a_readme() -> None:
    lines = DECODER.splitlines()
    assert len(lines) <= 40
    assert max(map(len, lines)) <= 100
