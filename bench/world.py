"""A project to measure in: keys, a configuration, the sources. Run as a program, so that who measures stays small.

Usage: python -m bench.world FOLDER BYTES [ENTRIES]
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import yaml

from bench.sources import POLICIES, make_database, make_entries, make_tree
from rlg_backup.cli.setup_commands import KEY_FILES, write_keys


def main(folder: str, size: str, entries: str = "0") -> None:
    """An eighth of the bytes in each of two tables, the rest in one file; or a tree of small files besides."""
    root, total = Path(folder), int(size)
    public = write_keys(root / "keys", False)
    rows = make_database(root / "data.db", total // 8)
    make_tree(root / "tree", total - total // 4)
    sources = {
        "data": {"type": "sqlite", "path": "data.db", "targets": ["local"], "policies": POLICIES},
        "files": {"type": "files", "path": "tree", "targets": ["local"]},
    }
    if int(entries):
        make_entries(root / "many", int(entries))
        sources["many"] = {"type": "files", "path": "many", "targets": ["local"]}
    configure(root, public, sources)
    print(json.dumps({"rows": rows, "bytes": {name: _size(root / str(s["path"])) for name, s in sources.items()}}))


def configure(
    root: Path, public: dict[str, str], sources: dict[str, dict[str, object]], *, tracked: bool = False
) -> None:
    """Writes backup.yaml: one local target, and ``public``, the halves of the keys below ``root`` to encrypt to.
    ``tracked``: with change states, so that backups can be made of what changed."""
    key = {what: f"file:keys/{place}" for what, place in KEY_FILES.items()}
    settings = {
        "version": 1,
        "staging": {"folder": "staging", "key": key["staging"]},
        "state": "state",
        "encryption": {"recipients": [public["identity"], public["escrow"]], "identities": [key["identity"]]},
        "signing": {"key": key["signing"], "trusted": [public["signing"]]},
        "tokenization": {"key": key["tokenization"]},
        "targets": {"local": {"type": "local", "path": "backups"}},
        "drill": {"scratch": "scratch", "reports": "reports", "identities": [key["identity"]]},
        "sources": sources,
    }
    if tracked:
        settings["change_state"] = {"recipients": [public["state"]], "identities": [key["state"]]}
    (root / "backup.yaml").write_text(yaml.safe_dump(settings, sort_keys=False), "utf-8")


def _size(path: Path) -> int:
    return (
        path.stat().st_size if path.is_file() else sum(one.stat().st_size for one in path.rglob("*") if one.is_file())
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
