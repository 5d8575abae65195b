"""Where in a JSON text the values at given paths stand, to the character: what is around them stays as it was written.

Keys that stand twice are both met; numbers are not read, so that they keep their digits.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Final

from ..config.policies import JSON_STEP
from .spans import Span

Step = str | int | None  # a name, a place in an array, or any of them
Path = tuple[Step, ...]

_SKIPPING: Final = json.JSONDecoder(parse_int=len, parse_float=len, strict=False)
_SPACE: Final = re.compile(r"[ \t\n\r]*")


def parse_path(text: str) -> Path:
    """The steps of a path that the configuration has let pass."""

    def step(found: re.Match[str]) -> Step:
        if found["place"] is not None:
            return int(found["place"])
        return None if found["any"] else found["quoted"] if found["name"] is None else found["name"]

    return tuple(step(found) for found in re.finditer(JSON_STEP, text))


def json_spans(text: str, paths: Sequence[Path]) -> list[Span] | None:
    """The values at the paths, in order and apart; of a text without its quotes. ``null`` and the empty text are left.
    None for what is no JSON."""
    try:
        walk = _Walk(text)
        end = walk.value(walk.space(0), list(paths))
        return walk.found if walk.space(end) == len(text) else None
    except (ValueError, IndexError, RecursionError):
        return None


class _Walk:
    """Goes through one document; places are counted in characters."""

    def __init__(self, text: str) -> None:
        self._text, self.found = text, list[Span]()

    def space(self, at: int) -> int:
        return _SPACE.match(self._text, at).end()  # type: ignore[union-attr]  # it matches nothing, too

    def value(self, at: int, paths: list[Path]) -> int:
        """The end of the value that begins at a place, below which ``paths`` go on. Raises ValueError, IndexError."""
        opening = self._text[at]
        if () not in paths and paths and opening in "{[":
            return self._inside(at + 1, paths, "}" if opening == "{" else "]")
        end = _SKIPPING.raw_decode(self._text, at)[1]
        if () in paths:
            text = opening == '"'
            span = Span(at + 1, end - 1) if text else Span(at, end, whole=True)
            if span.start < span.end and self._text[at:end] != "null":
                self.found.append(span)
        return end

    def _inside(self, at: int, paths: list[Path], closing: str) -> int:
        at, place = self.space(at), 0
        if self._text[at] == closing:
            return at + 1
        while True:
            step: Step = place
            if closing == "}":
                step, at = self._name(at)
            at = self.space(self.value(at, [path[1:] for path in paths if path[0] is None or path[0] == step]))
            if self._text[at] == closing:
                return at + 1
            at, place = self.space(self._expected(at, ",")), place + 1

    def _name(self, at: int) -> tuple[str, int]:
        self._expected(at, '"')
        name, end = _SKIPPING.raw_decode(self._text, at)
        return name, self.space(self._expected(self.space(end), ":"))

    def _expected(self, at: int, character: str) -> int:
        if self._text[at] != character:
            raise ValueError("no JSON")
        return at + 1
