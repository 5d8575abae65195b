"""Whole age files: a header, then a payload under a key that only the header gives."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from typing import TYPE_CHECKING, BinaryIO

from rlg_backup.core.beside import Beside
from rlg_backup.core.errors import HeaderDamaged, InvalidSetting, WrongIdentity
from rlg_backup.format.age.header import (
    MAX_HEADER,
    Header,
    check_version,
    header_end,
    header_too_long,
    parse_header,
    read_header,
)
from rlg_backup.format.age.recipients import FILE_KEY_LENGTH, Identity, Recipient, check_recipients
from rlg_backup.format.age.seek import PayloadFile, ReadRange, SeekablePayloadReader
from rlg_backup.format.age.stream import PayloadReader, PayloadWriter, write_all

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_HEAD = 64 * 1024  # bytes a seekable reader asks for first: nearly every header, and small files whole


def encrypt(sink: BinaryIO, recipients: Sequence[Recipient]) -> AgeWriter:
    """Begin an age file in ``sink``, encrypted to every one of ``recipients`` under a new file key.

    Raises RecipientMissing, RecipientsMixed, and InvalidSetting for more recipients than a header holds,
    before a byte is written. What the sink raises passes through.
    """
    return AgeWriter(sink, recipients)


class AgeWriter(PayloadWriter):
    """What is written to it goes encrypted into ``sink``, which stays open; :meth:`close` ends the file.

    See PayloadWriter for what becomes of a file that is not closed. ``header_size`` is in bytes; the size
    and the digests, of the sink's bytes as they were written, are there once the file is whole.
    """

    def __init__(self, sink: BinaryIO, recipients: Sequence[Recipient]) -> None:
        file_key = secrets.token_bytes(FILE_KEY_LENGTH)
        header = seal_header(recipients, file_key)
        self.header_size = len(header)
        self._digests = _DigestingSink(sink)
        self._digests.write_header(header)
        super().__init__(self._digests, file_key)

    @property
    def size(self) -> int:
        """Bytes of the whole file."""
        return self._finished().size

    @property
    def sha256(self) -> str:
        """Of the whole file, in hex."""
        return self._finished().whole

    @property
    def payload_sha256(self) -> str:
        """Of the bytes from ``header_size`` on, in hex: it outlives a change of the header."""
        return self._finished().payload

    def _finished(self) -> _DigestingSink:
        if not self.whole:
            raise ValueError("the age file is not whole")
        return self._digests


class AgeReader(PayloadReader):
    """Decrypts an age file from ``stream``; see PayloadReader for what reading promises.

    Raises WrongIdentity, HeaderDamaged, FormatUnsupported and PayloadDamaged, naming ``name``.
    """

    def __init__(self, stream: BinaryIO, identities: Sequence[Identity], *, name: str = "archive") -> None:
        header, raw, rest = read_header(stream, name)
        self.header_size = len(raw)
        super().__init__(stream, open_header(header, identities, name), before=rest, name=name)


class SeekableAgeReader:
    """Decrypts an age file of ``size`` bytes by ranged reads; see SeekablePayloadReader.

    ``size`` of the reader is that of the plaintext. Raises as :class:`AgeReader` does.
    """

    def __init__(
        self, read_range: ReadRange, size: int, identities: Sequence[Identity], *, name: str = "archive"
    ) -> None:
        head = _read_head(read_range, size, name)
        self.header_size = header_end(head)
        key = open_header(parse_header(head[: self.header_size], name), identities, name)

        def read_payload(offset: int, length: int) -> bytes:
            start = self.header_size + offset
            if start + length <= len(head):
                return head[start : start + length]
            return read_range(start, length)

        self._payload = SeekablePayloadReader(read_payload, size - self.header_size, key, name=name)
        self.size = self._payload.size

    def read_at(self, offset: int, length: int) -> bytes:
        """The ``length`` bytes of plaintext from ``offset``; fewer where the file ends."""
        return self._payload.read_at(offset, length)

    def as_file(self) -> PayloadFile:
        """The plaintext as a file to read and seek in; for runs of small reads put io.BufferedReader over it."""
        return self._payload.as_file()


def seal_header(recipients: Sequence[Recipient], file_key: bytes) -> bytes:
    """A header that gives ``file_key`` to each of ``recipients``; raises as :func:`encrypt`."""
    distinct = check_recipients(recipients)
    data = Header.sealed(tuple(recipient.wrap(file_key) for recipient in distinct), file_key).serialise()
    if len(data) > MAX_HEADER:
        cause = f"its header would be of {len(data)} bytes, and readers take {MAX_HEADER}"
        raise InvalidSetting("encrypt", "archive", cause, f"use fewer recipients than {len(distinct)}")
    return data


def open_header(header: Header, identities: Sequence[Identity], name: str) -> bytes:
    """The file key that one of ``identities`` gets from the header; WrongIdentity when none does.

    Raises HeaderDamaged when the MAC is not the key's, or a stanza of a native type is malformed.
    """
    if len(header.stanzas) > 1 and any(stanza.arguments[0] == "scrypt" for stanza in header.stanzas):
        raise HeaderDamaged("decrypt", name, "its header has a passphrase beside another recipient")
    for identity in identities:
        for stanza in header.stanzas:
            file_key = identity.unwrap(stanza, name)
            if file_key is None:
                continue
            if not header.opens_with(file_key):
                raise HeaderDamaged("decrypt", name, "its header fails its authentication")
            return file_key
    cause = "none of the identities given opens it" if identities else "no identity was given"
    hint = "the manifest's 'recipients' are the ids of the keys that do; give the identity of one of them"
    raise WrongIdentity("decrypt", name, cause, hint)


def _read_head(read_range: ReadRange, size: int, name: str) -> bytes:
    """The start of a file, past the end of its header."""
    head = b""
    while not header_end(head):
        if head or not size:
            check_version(head, name)
            if len(head) > MAX_HEADER:
                raise header_too_long(name)
            if len(head) == size:
                raise HeaderDamaged("decrypt", name, "it ends within its header")
        wanted = min(size, max(_HEAD, 2 * len(head))) - len(head)
        more = read_range(len(head), wanted)
        if len(more) != wanted:
            cause = f"of {wanted} bytes at {len(head)} the storage gave {len(more)}"
            raise HeaderDamaged("decrypt", name, cause)
        head += more
    return head


class _DigestingSink:
    """Passes bytes on to a sink and takes both digests of the manifest on the way, in a thread beside the cipher's."""

    def __init__(self, sink: BinaryIO) -> None:
        self._write = sink.write
        self._whole, self._payload = hashlib.sha256(), hashlib.sha256()
        self._beside = Beside()
        self.size = 0

    @property
    def whole(self) -> str:
        return self._settled(self._whole)

    @property
    def payload(self) -> str:
        return self._settled(self._payload)

    def write_header(self, data: bytes) -> None:
        write_all(self._write, data)
        self._whole.update(data)
        self.size += len(data)

    def write(self, data: ReadableBuffer, /) -> int:
        held = bytes(data)  # the writer goes on in its buffer while this is digested
        self._beside.run(self._digest, held)
        write_all(self._write, held)
        self.size += len(held)
        return len(held)

    def _digest(self, data: bytes) -> None:
        self._whole.update(data)
        self._payload.update(data)

    def _settled(self, digest: hashlib._Hash) -> str:
        self._beside.wait()
        return digest.hexdigest()
