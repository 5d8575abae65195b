"""The textual header of an age file (C2SP age, "Header"): stanzas that wrap the file key, and a MAC.

Parsing is strict: one spelling for each header, so that what is parsed serialises to the same bytes.
"""

from __future__ import annotations

import binascii
import hmac
from dataclasses import dataclass
from typing import BinaryIO

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from rlg_backup.core.errors import FormatUnsupported, HeaderDamaged

VERSION_PREFIX = b"age-encryption.org/"
VERSION_LINE = VERSION_PREFIX + b"v1\n"
ARMOR = b"-----BEGIN AGE ENCRYPTED FILE-----"
MAX_HEADER = 256 * 1024  # bytes; about 160 post-quantum recipients
_COLUMNS = 64
_MAC_LENGTH = 32
_READ = 4096


@dataclass(frozen=True)
class Stanza:
    """One recipient's line: ``arguments`` (at least one; the first is the type) and the wrapped key."""

    arguments: tuple[str, ...]
    body: bytes

    def serialise(self) -> bytes:
        text = encode_base64(self.body)
        # A body that fills its last line is followed by an empty one: a short line ends the stanza.
        lines = [text[at : at + _COLUMNS] for at in range(0, len(text) + 1, _COLUMNS)]
        return b"\n".join([b"-> " + " ".join(self.arguments).encode("ascii"), *lines, b""])


@dataclass(frozen=True)
class Header:
    """The stanzas of a file and the MAC over them (32 bytes)."""

    stanzas: tuple[Stanza, ...]
    mac: bytes

    @classmethod
    def sealed(cls, stanzas: tuple[Stanza, ...], file_key: bytes) -> Header:
        """A header with the MAC that ``file_key`` (16 bytes) gives."""
        return cls(stanzas, _mac(stanzas, file_key))

    def opens_with(self, file_key: bytes) -> bool:
        """Whether the MAC is the one of ``file_key``."""
        return hmac.compare_digest(self.mac, _mac(self.stanzas, file_key))

    def serialise(self) -> bytes:
        return _authenticated(self.stanzas) + b" " + encode_base64(self.mac) + b"\n"


def encode_base64(data: bytes) -> bytes:
    """Base64 (RFC 4648, section 4) without padding."""
    return binascii.b2a_base64(data, newline=False).rstrip(b"=")


def decode_base64(text: bytes) -> bytes:
    """The bytes of a canonical, unpadded text; ValueError for any other."""
    data = binascii.a2b_base64(text + b"=" * (-len(text) % 4))
    if encode_base64(data) != text:
        raise ValueError("not canonical base64")
    return data


def read_header(stream: BinaryIO, name: str) -> tuple[Header, bytes, bytes]:
    """Read a header from a stream: the header, its bytes, and what was read past it.

    Raises FormatUnsupported for another version of age and HeaderDamaged for anything else that is not
    a header of at most ``MAX_HEADER`` bytes; never reads much more than that.
    """
    data = bytearray()
    while True:
        end = header_end(data)
        if end:
            return parse_header(bytes(data[:end]), name), bytes(data[:end]), bytes(data[end:])
        if len(data) >= len(VERSION_LINE):
            check_version(data, name)
        if len(data) > MAX_HEADER:
            raise header_too_long(name)
        block = stream.read(_READ)
        if not block:
            check_version(data, name)
            raise HeaderDamaged("decrypt", name, "it ends within its header")
        data += block


def header_end(data: bytes | bytearray) -> int:
    """How long the header at the start of ``data`` is; 0 when its end is not in there."""
    # Neither stanzas nor base64 have a line that starts with '-' twice, so the first is the MAC's.
    at = data.find(b"\n---")
    return data.find(b"\n", at + 1) + 1 if at >= 0 else 0


def header_too_long(name: str) -> HeaderDamaged:
    return HeaderDamaged("decrypt", name, f"its header does not end within {MAX_HEADER} bytes")


def check_version(data: bytes | bytearray, name: str) -> None:
    """Raise unless ``data`` begins as an age v1 file does."""
    if data.startswith(VERSION_LINE):
        return
    if data.startswith(ARMOR):
        hint = "take the armour off first, for example with: age -d, then encrypt again without -a"
        raise HeaderDamaged("decrypt", name, "it is in ASCII armour, not a binary age file", hint)
    if VERSION_LINE.startswith(data):
        raise HeaderDamaged("decrypt", name, "it ends within its header" if data else "it is empty")
    line, newline, _ = bytes(data[:128]).partition(b"\n")
    version = line.removeprefix(VERSION_PREFIX)
    if newline and version != line and version and all(33 <= byte <= 126 for byte in version):
        shown = version[:16].decode("ascii")
        raise FormatUnsupported("decrypt", name, f"it is of age version '{shown}', and this engine reads 'v1'")
    raise HeaderDamaged("decrypt", name, "it does not begin as an age file does")


def parse_header(data: bytes, name: str) -> Header:
    """The header that is exactly ``data``; raises as :func:`read_header`."""
    check_version(data, name)
    if len(data) > MAX_HEADER:
        raise header_too_long(name)
    if not data.endswith(b"\n"):
        raise HeaderDamaged("decrypt", name, "it ends within its header")
    lines = data[len(VERSION_LINE) : -1].split(b"\n")
    try:
        stanzas, at = _parse_stanzas(lines)
        mac = _parse_mac(lines[at:])
    except ValueError as fault:
        raise HeaderDamaged("decrypt", name, f"its header is malformed: {fault}") from None
    return Header(stanzas, mac)


def _parse_stanzas(lines: list[bytes]) -> tuple[tuple[Stanza, ...], int]:
    """The stanzas at the start of ``lines``, and the number of lines they take."""
    stanzas: list[Stanza] = []
    at = 0
    while at < len(lines) and lines[at].startswith(b"->"):
        stop = at + 1
        while stop < len(lines) and len(lines[stop]) == _COLUMNS:
            stop += 1
        if stop == len(lines) or len(lines[stop]) > _COLUMNS:
            raise ValueError("a stanza does not end with a short line")
        try:
            body = decode_base64(b"".join(lines[at + 1 : stop + 1]))
        except ValueError:
            raise ValueError("the body of a stanza is not canonical base64") from None
        stanzas.append(Stanza(_parse_arguments(lines[at]), body))
        at = stop + 1
    if not stanzas:
        raise ValueError("it has no stanza")
    return tuple(stanzas), at


def _parse_arguments(line: bytes) -> tuple[str, ...]:
    prefix, *arguments = line.split(b" ")
    if prefix != b"->" or not arguments or not all(arguments):
        raise ValueError("a stanza has no argument, or an empty one")
    if any(not 33 <= byte <= 126 for argument in arguments for byte in argument):
        raise ValueError("an argument of a stanza has a character that is not allowed")
    return tuple(argument.decode("ascii") for argument in arguments)


def _parse_mac(lines: list[bytes]) -> bytes:
    if len(lines) != 1 or not lines[0].startswith(b"--- "):
        raise ValueError("a stanza or the MAC is missing or out of place")
    try:
        mac = decode_base64(lines[0][4:])
    except ValueError:
        raise ValueError("its MAC is not canonical base64") from None
    if len(mac) != _MAC_LENGTH:
        raise ValueError(f"its MAC is of {len(mac)} bytes, not {_MAC_LENGTH}")
    return mac


def _authenticated(stanzas: tuple[Stanza, ...]) -> bytes:
    return VERSION_LINE + b"".join(stanza.serialise() for stanza in stanzas) + b"---"


def _mac(stanzas: tuple[Stanza, ...], file_key: bytes) -> bytes:
    key = HKDF(SHA256(), 32, salt=None, info=b"header").derive(file_key)
    return hmac.digest(key, _authenticated(stanzas), "sha256")
