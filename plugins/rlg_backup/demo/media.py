"""Small valid files, made with the standard library: PNG, WAV and PDF."""

from __future__ import annotations

import struct
import wave
import zlib
from collections.abc import Iterable
from pathlib import Path
from random import Random


def png(rng: Random, side: int) -> bytes:
    """A square gradient of 8-bit RGB pixels (PNG 1.2: signature, IHDR, IDAT, IEND)."""
    red, green, blue = rng.randbytes(3)
    rows = bytearray()
    for y in range(side):
        rows.append(0)  # no filter
        shade = 255 * y // side
        for x in range(side):
            rows += bytes(((red + shade) & 255, (green + 255 * x // side) & 255, blue))
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    # Level 0 of zlib is the same on every zlib; a compressed stream need not be.
    parts = (_chunk(b"IHDR", header), _chunk(b"IDAT", zlib.compress(bytes(rows), 0)), _chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def write_wav(path: Path, rng: Random, seconds: int) -> None:
    """Noise: mono, 16 bits, 44.1 kHz, 88,200 bytes a second; it does not compress, like real media."""
    with wave.open(str(path), "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(44_100)
        for _ in range(seconds):
            sound.writeframesraw(rng.randbytes(88_200))


def pdf(lines: Iterable[str]) -> bytes:
    """One A4 page of text lines in Helvetica (ISO 32000-1: header, objects, cross-reference table, trailer).

    Characters outside Windows-1252 become a question mark: the standard fonts have no others.
    """
    shown = "".join(f"({_escape(line)}) Tj T*\n" for line in lines)
    content = f"BT /F1 11 Tf 14 TL 56 780 Td\n{shown}ET\n".encode("cp1252", "replace")
    objects = (
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R"
        b" /Resources << /Font << /F1 5 0 R >> >> >>",
        b"<< /Length %d >>\nstream\n%sendstream" % (len(content), content),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
    )
    out, offsets = bytearray(b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n"), []
    for place, body in enumerate(objects, 1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (place, body)
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    out += b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, start)
    return bytes(out)


def _escape(line: str) -> str:
    return line.replace("\\", r"\\").replace("(", r"\(").replace(")", r"\)")
