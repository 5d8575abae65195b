"""Reading a suite file strictly: what is misspelt, repeated or of the wrong shape is refused by its place."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from ..config.strict_yaml import StrictLoader
from ..core.errors import InvalidSetting

MAX_BYTES = 1 << 20


@dataclass(frozen=True)
class Place:
    """A file, by the name every refusal gives it; the methods take a key's dotted path in it as ``key``."""

    file: str

    def invalid(self, key: str, cause: str, hint: str | None = None) -> InvalidSetting:
        return InvalidSetting("read suite", f"{self.file}: {key}" if key else self.file, cause, hint)

    def mapping(self, value: object, key: str, allowed: Sequence[str] | None = None) -> Mapping[str, object]:
        """``value`` as a mapping of texts; with ``allowed``, of no other keys."""
        if not isinstance(value, dict) or not all(isinstance(name, str) for name in value):
            raise self.invalid(key, "this is not a mapping of names")
        for name in value:
            if allowed is not None and name not in allowed:
                raise self.invalid(f"{key}.{name}" if key else name, "there is no such key", near(name, allowed))
        return value

    def sequence(self, value: object, key: str) -> Sequence[object]:
        if not isinstance(value, list) or not value:
            raise self.invalid(key, "this is not a list with at least one item")
        return value

    def text(self, owner: Mapping[str, object], key: str, where: str = "") -> str:
        value, full = owner.get(key), f"{where}.{key}" if where else key
        if not isinstance(value, str) or not value.strip():
            raise self.invalid(full, "a text is needed here")
        return value.strip()


def near(name: str, known: Iterable[str]) -> str | None:
    """A hint that names the right key nearest to a wrong one, if one is near."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f"did you mean '{close[0]}'?" if close else None


def parse(file: Path, place: Place) -> object:
    """The document of a YAML or JSON file; raises InvalidSetting."""
    try:
        if file.stat().st_size > MAX_BYTES:
            raise place.invalid("", f"the file is larger than {MAX_BYTES} bytes")
        return yaml.load(file.read_text("utf-8"), Loader=StrictLoader)  # noqa: S506  # a SafeLoader; JSON is YAML
    except OSError as error:
        raise place.invalid("", f"the file cannot be read: {error.strerror}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: bytes, a date or a path that is none
        mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None) or "it is not YAML"
        where = f" (line {mark.line + 1})" if mark else ""
        raise place.invalid("", f"{problem}{where}") from None
