"""Names of members: a small alphabet that every system can unpack (FORMAT.md section 3)."""

from __future__ import annotations

import hashlib
import re

_SEGMENT = re.compile(r"[A-Za-z0-9._%-]+")
_OTHERS = re.compile(rb"[^A-Za-z0-9._-]")
LONGEST = 1024  # bytes of a member's name
_LONGEST_SEGMENT = 200  # unpacked, a segment and its ending must fit the 255 bytes of a file name


def fault(name: str) -> str | None:
    """Why ``name`` may not be a member's name, or None."""
    if len(name) > LONGEST:
        return f"the name is longer than {LONGEST} bytes"
    for segment in name.split("/"):
        if not _SEGMENT.fullmatch(segment) or segment in (".", ".."):
            return "the name is not made of plain segments"
    return None


def segment(text: str) -> str:
    """Any text but the empty one as one segment; distinct texts give distinct segments of at most 233 bytes.

    Surrogates stand for bytes that are not UTF-8 (surrogateescape). What is over 200 bytes when encoded is
    cut there and gets '%' and the first 32 hex digits of the text's SHA-256.
    """
    raw = text.encode("utf-8", "surrogateescape")
    encoded = _OTHERS.sub(lambda found: b"%%%02X" % found[0][0], raw).decode("ascii")
    if encoded in (".", ".."):
        return encoded.replace(".", "%2E")
    if len(encoded) <= _LONGEST_SEGMENT:
        return encoded
    cut = re.sub(r"%[0-9A-F]?$", "", encoded[:_LONGEST_SEGMENT])
    return f"{cut}%{hashlib.sha256(raw).hexdigest()[:32]}"


def table_segment(schema: str, table: str) -> str:
    """``<schema>.<table>``: dots in the schema's name are encoded, so that the first one parts the two."""
    first = segment(schema).replace(".", "%2E")
    return f"{first}.{segment(table)}"
