"""Which keys a target accepts. The rule is the narrowest driver's, so that a backup moves between all."""

from __future__ import annotations

import re

from rlg_backup.core.errors import InvalidSetting

MAX_KEY = 1024  # bytes, as in S3; a segment has at most 255, as in every file system
_SEGMENT = "[A-Za-z0-9_-][A-Za-z0-9._-]{0,254}"
_KEY = re.compile(f"{_SEGMENT}(?:/{_SEGMENT})*")
_RULE = "keys are segments of A-Z a-z 0-9 . _ - joined by '/', none empty or beginning with a dot"


def is_key(text: str) -> bool:
    """Whether ``text`` may be an object's key.

    A leading dot is refused in every segment: that takes care of ``..``, and leaves dotted names to
    the local driver's own files.
    """
    return len(text) <= MAX_KEY and _KEY.fullmatch(text) is not None


def check_key(verb: str, key: str) -> str:
    """The key itself; InvalidSetting if it is none. Touches nothing."""
    if not is_key(key):
        raise InvalidSetting(verb, _shown(key), _RULE)
    return key


def check_prefix(prefix: str) -> str:
    """The prefix of a listing: empty, or the beginning of a key; InvalidSetting otherwise."""
    if prefix and not is_key(prefix.removesuffix("/")):
        raise InvalidSetting("list", _shown(prefix), _RULE)
    return prefix


def _shown(text: str) -> str:
    # Control characters and long texts stay out of logs.
    escaped = text.encode("unicode_escape").decode("ascii")
    return escaped if len(escaped) <= 120 else escaped[:117] + "..."
