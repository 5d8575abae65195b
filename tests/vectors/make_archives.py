"""Makes the golden archives that are not there yet: python -m tests.vectors.make_archives

One that is there is never made again (README.md beside them says why).
"""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path

from tests.support.world import World
from tests.vectors import (  # noqa: F401  # they are FEATURES
    policy_archives,
    postgres_archives,
    sqlite_archives,
    tree_archives,
    zone_archives,
)
from tests.vectors.golden import FEATURES, Golden

from rlg_backup.cli.setup_commands import KEY_FILES

ARCHIVES = Path(__file__).parent / "archives"


def make(name: str, work: Path) -> None:
    made = World.make(work, post_quantum=name == "post_quantum")
    golden = Golden(made)
    FEATURES[name](golden)
    place = ARCHIVES / name
    for target in golden.targets:
        ignored = shutil.ignore_patterns(".*")
        shutil.copytree(made.target(target), place / "targets" / target, ignore=ignored)
    (place / "keys").mkdir()
    for kind in ("identity", "state", "tokenization"):
        key = (made.root / "keys" / KEY_FILES[kind]).read_text().splitlines()[-1]
        (place / "keys" / f"{kind}.key").write_text(f"# A TEST KEY, public: it protects nothing.\n{key}\n")
    (place / "keys" / "signer.pub").write_text(made.public["signing"] + "\n")
    expected = {"type": made.source["type"], "backups": golden.backups}
    if golden.reading:
        expected["settings"] = golden.reading
    text = json.dumps(expected, indent=1, sort_keys=True, ensure_ascii=True)
    (place / "expected.json").write_text(text + "\n", "utf-8")


def main() -> None:
    for name in FEATURES:
        if not (ARCHIVES / name).exists():
            with tempfile.TemporaryDirectory() as work:
                make(name, Path(work) / "world")
            print(f"made {name}")


if __name__ == "__main__":
    main()
