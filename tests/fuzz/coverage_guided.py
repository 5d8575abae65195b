"""Searches one parser for inputs that make it fail, led by the code they reach: needs atheris (CPython 3.11, Linux).

    python -m tests.fuzz.coverage_guided PARSER SECONDS [FOLDER]

Begins with the valid inputs of the parser, those found before (tests/fuzz/found/PARSER) and the golden archives. Ends
with 0 when nothing was found in that time. What was found is written to FOLDER; moved to tests/fuzz/found/PARSER it is
read again by every run of the tests. An input that takes 10 s, or more than 1 GiB of memory, is found as well.
"""

from __future__ import annotations

import sys
from pathlib import Path

import atheris  # type: ignore[import-untyped]  # it has no types

with atheris.instrument_imports(include=["rlg_backup", "rfc8785", "yaml", "json"]):
    from tests.fuzz.targets import IDENTITIES, TARGETS, check

FOUND = Path(__file__).parent / "found"
ARCHIVES = Path(__file__).parents[1] / "vectors" / "archives"
SECONDS_OF_ONE, MEMORY = 10, 3072  # of one input; of the process, in MiB: instrumented imports alone take a third
LONGEST = 1 << 16  # bytes of an input
GOLDEN = {"age": "*.age", "lease": "lease.json", "signed": "manifest.json"}  # parser > files that it reads


def corpus(name: str) -> list[bytes]:
    """What the search begins with."""
    golden = sorted(ARCHIVES.rglob(GOLDEN[name])) if name in GOLDEN else []
    found = sorted((FOUND / name).glob("*"))
    return TARGETS[name].seeds() + [path.read_bytes() for path in (*found, *golden)]


def main() -> None:
    name, seconds, folder = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3] if len(sys.argv) > 3 else ".")
    start = folder / "corpus"
    start.mkdir(parents=True, exist_ok=True)
    for number, data in enumerate(corpus(name)):
        (start / f"seed-{number:04d}").write_bytes(data[:LONGEST])
    assert IDENTITIES  # made before the clock runs
    options = [
        f"-max_total_time={seconds}",
        f"-timeout={SECONDS_OF_ONE}",
        f"-rss_limit_mb={MEMORY}",
        f"-max_len={LONGEST}",
        f"-artifact_prefix={folder}/found-",
        "-print_final_stats=1",
        "-verbosity=0",
    ]
    atheris.Setup([sys.argv[0], *options, str(start)], lambda data: check(name, data) and None)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
