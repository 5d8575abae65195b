"""Inputs that are nearly right: valid bytes and documents with a few changes, and the values that break parsers."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable, Sequence
from typing import Any

from hypothesis import strategies as st

NUMBERS = (
    0,
    1,
    -1,
    255,
    2**15,
    2**31 - 1,
    2**31,
    2**32 - 1,
    2**53 - 1,
    2**53,
    2**63 - 1,
    2**63,
    -(2**63),
    2**64,
    10**400,
)
TEXTS = (
    "", "\0", "..", "../../etc/passwd", "/etc/passwd", "a" * 5000, "é", "😀", "\ud800", "%2e%2e", "NaN", "null",
    "1e999", "2026-02-30T25:61:61Z", "9999-12-31T23:59:59Z", "0000-01-01T00:00:00Z", "'; DROP TABLE p; --", "${HOME}",
    "\x1b[31m",
)  # fmt: skip
WIDTHS = (1, 2, 4, 8)


def nested(depth: int, *, lists: bool = True) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value] if lists else {"a": value}
    return value


STRANGE: tuple[Any, ...] = (
    None, True, False, *NUMBERS, 0.5, -0.0, 1e308, float("inf"), float("-inf"), float("nan"), *TEXTS,
    [], {}, [[]], [None], {"": None}, {"a": {"b": []}}, nested(50), nested(50, lists=False), list(range(2000)),
)  # fmt: skip


# --- bytes ------------------------------------------------------------------------------------------

Change = Callable[[st.DrawFn, bytearray, Sequence[bytes]], None]


def _place(draw: st.DrawFn, data: bytearray) -> int:
    return draw(st.integers(0, max(0, len(data) - 1)))


def _flip(draw: st.DrawFn, data: bytearray, seeds: Sequence[bytes]) -> None:
    if data:
        data[_place(draw, data)] ^= 1 << draw(st.integers(0, 7))


def _overwrite(draw: st.DrawFn, data: bytearray, seeds: Sequence[bytes]) -> None:
    at, new = _place(draw, data), draw(st.binary(min_size=1, max_size=4))
    data[at : at + len(new)] = new


def _number(draw: st.DrawFn, data: bytearray, seeds: Sequence[bytes]) -> None:
    """A number of fixed width takes an extreme value, in either order of bytes."""
    width = draw(st.sampled_from(WIDTHS))
    at, value = _place(draw, data), draw(st.sampled_from(NUMBERS)) % 256**width
    data[at : at + width] = value.to_bytes(width, draw(st.sampled_from(("big", "little"))))


def _insert(draw: st.DrawFn, data: bytearray, seeds: Sequence[bytes]) -> None:
    at = _place(draw, data)
    data[at:at] = draw(
        st.one_of(st.binary(max_size=8), st.sampled_from([text.encode("utf-8", "replace") for text in TEXTS]))
    )


def _cut(draw: st.DrawFn, data: bytearray, seeds: Sequence[bytes]) -> None:
    start = _place(draw, data)
    del data[start : start + draw(st.integers(1, 1 + len(data)))]


def _repeat(draw: st.DrawFn, data: bytearray, seeds: Sequence[bytes]) -> None:
    start = _place(draw, data)
    piece = data[start : start + draw(st.integers(1, 64))]
    data[start:start] = piece * draw(st.sampled_from((1, 2, 100)))


def _splice(draw: st.DrawFn, data: bytearray, seeds: Sequence[bytes]) -> None:
    """The beginning of this, and the end of another valid one."""
    other = draw(st.sampled_from(seeds))
    del data[_place(draw, data) :]
    data += other[draw(st.integers(0, len(other))) :]


CHANGES: tuple[Change, ...] = (_flip, _overwrite, _number, _insert, _cut, _repeat, _splice)


@st.composite
def changed_bytes(draw: st.DrawFn, seeds: Sequence[bytes]) -> bytes:
    """A valid input after one to four changes."""
    data = bytearray(draw(st.sampled_from(seeds)))
    for change in draw(st.lists(st.sampled_from(CHANGES), min_size=1, max_size=4)):
        change(draw, data, seeds)
    return bytes(data)


# --- JSON -------------------------------------------------------------------------------------------


@st.composite
def changed_value(draw: st.DrawFn, seeds: Sequence[Any]) -> Any:
    """A JSON value after one to three changes: of a type, a field, a number, or two of its parts swapped."""
    box = [copy.deepcopy(draw(st.sampled_from(seeds)))]
    for _ in range(draw(st.integers(1, 3))):
        _change(draw, box)
    return box[0]


def _change(draw: st.DrawFn, box: list[Any]) -> None:
    owner, key = draw(st.sampled_from(_places(box)))
    kind = draw(st.sampled_from(("strange", "strange", "delete", "add", "swap", "repeat", "random")))
    if kind == "strange":
        owner[key] = copy.deepcopy(draw(st.sampled_from(STRANGE)))
    elif kind == "random":
        owner[key] = draw(st.one_of(st.text(max_size=20), st.integers(), st.floats()))
    elif kind == "delete" and owner is not box:
        del owner[key]
    elif kind == "add" and isinstance(owner[key], dict):
        owner[key][draw(st.sampled_from(TEXTS))] = copy.deepcopy(draw(st.sampled_from(STRANGE)))
    elif kind == "repeat" and isinstance(owner[key], list) and owner[key]:
        owner[key].append(copy.deepcopy(owner[key][-1]))
    else:
        other, place = draw(st.sampled_from(_places(box)))
        owner[key] = copy.deepcopy(other[place])


def _places(owner: Any) -> list[tuple[Any, Any]]:
    """Every place of a value, as (what holds it, its key); not more than some hundred."""
    found: list[tuple[Any, Any]] = []
    waiting = [owner]
    while waiting and len(found) < 400:
        current = waiting.pop(0)
        keys = range(len(current)) if isinstance(current, list) else list(current)
        for key in keys:
            found.append((current, key))
            if isinstance(current[key], (list, dict)):
                waiting.append(current[key])
    return found


def as_text(value: Any) -> bytes:
    """A JSON value as canonical as it can be: sorted, no spaces; NaN and the like as Python spells them."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogatepass")


@st.composite
def spelt_otherwise(draw: st.DrawFn, seeds: Sequence[Any]) -> bytes:
    """A valid document in another spelling: blanks, escapes, another order, a number with an exponent."""
    value = draw(st.sampled_from(seeds))
    if draw(st.booleans()) and isinstance(value, dict):
        value = dict(reversed(value.items()))
    blanks = draw(st.sampled_from(((",", ":"), (", ", ": "), (",", " :"))))
    text = json.dumps(
        value, separators=blanks, ensure_ascii=draw(st.booleans()), indent=draw(st.sampled_from((None, 1)))
    )
    if draw(st.booleans()):
        text = re.sub(r"(?<=[:\[,])([0-9]+)(?=[,}\]])", r"\1.0", text)
    return (draw(st.sampled_from(("", " ", "\ufeff"))) + text + draw(st.sampled_from(("", "\n")))).encode()


# --- YAML -------------------------------------------------------------------------------------------

YAML_TRICKS = (
    "!!python/object/apply:os.system ['true']", "!!python/name:os.system", "!custom x", "!!binary 'x'", "!!set {a, b}",
    "!!timestamp 2026-99-99", "!!int 'x'", "!!float 'y'", "&a [*a]", "*missing", "<<: {a: 1}", "<<: [1]",
    "? [a, b] : c", "? {a: b} : c", "{a: 1, a: 2}", "1e999", ".nan", "-.inf", "0777", "0o17", "0x7fffffffffffffffff",
    "190:20:30",
    "2026-02-30", "2026-11-23T25:00:00Z", "9" * 5000, "1_000", "NO", "~", "'\\0'", "\"\\0\"", "\"\\ud800\"", "\ufeff",
    "%YAML 9.9", "%TAG ! tag:x", "---\n---", "|\n  block", "@reserved", "`tick`", "[" * 400, "{a: " * 400, "- " * 400,
    "\t", "${", "${A:-${B}}", "$$$$", "${HOME}", "${:-}", "=", "<<", "? ", "!!null x", "!!bool maybe",
    "0b2", "1:99", "0.1.1",
)  # fmt: skip


@st.composite
def tricky_yaml(draw: st.DrawFn, seeds: Sequence[bytes]) -> bytes:
    """A valid file in which a value or a line is one of the tricks."""
    lines = draw(st.sampled_from(seeds)).decode().splitlines()
    for _ in range(draw(st.integers(1, 2))):
        at, trick = draw(st.integers(0, len(lines) - 1)), draw(st.sampled_from(YAML_TRICKS))
        key, colon, _ = lines[at].partition(":")
        lines[at] = f"{key}: {trick}" if colon and draw(st.booleans()) else trick
    text = "\n".join(lines) + "\n"
    codec = draw(st.sampled_from(("utf-8", "utf-8", "utf-8", "utf-8-sig", "utf-16", "utf-32", "cp037")))
    return text.encode(codec, "replace")
