"""What a parser under fuzzing is: a function from bytes, and valid bytes to start from.

A function returns when the parser took the bytes or refused them with an error of ours; anything else it raises is a
finding. What a parser hands out in pieces is read to its end.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rlg_backup.core.errors import BackupError
from rlg_backup.format.age import parse_identity
from rlg_backup.format.age.bech32 import encode
from rlg_backup.format.keys import SigningKey

SEED = bytes(range(32))  # of every key here: what is made from it is the same in every run
IDENTITIES = [
    parse_identity(encode("age-secret-key-", SEED).upper()),
    parse_identity(encode("age-secret-key-pq-", SEED).upper()),
]
SIGNING = SigningKey(SEED)


@dataclass(frozen=True)
class Target:
    """``run`` takes any bytes; ``seeds`` gives valid ones; ``json`` says that they are a JSON document."""

    run: Callable[[bytes], object]
    seeds: Callable[[], list[bytes]]
    json: bool = False


TARGETS: dict[str, Target] = {}


def target(name: str, seeds: Callable[[], list[bytes]], *, json: bool = False) -> Callable[[Any], Any]:
    def note(run: Callable[[bytes], object]) -> Callable[[bytes], object]:
        TARGETS[name] = Target(run, seeds, json)
        return run

    return note


def check(name: str, data: bytes) -> object:
    """What the parser made of ``data``, or None where it refused it as it must. What else is raised is a finding."""
    try:
        return TARGETS[name].run(data)
    except BackupError:
        return None


def ranges(data: bytes) -> Callable[[int, int], bytes]:
    return lambda offset, length: data[offset : offset + length]


@contextmanager
def file_of(data: bytes, name: str) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(data)
        yield path


def as_json(data: bytes) -> Any:
    return json.loads(data)
