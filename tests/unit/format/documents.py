"""One valid document of each type, as JSON values."""

from __future__ import annotations

from typing import Any

A, B, C, D = ("a" * 64, "b" * 64, "c" * 64, "d" * 64)
BACKUP, PARENT = "20261123T020000Z-7f3a9c2e", "20261122T020000Z-00000000"

MANIFEST: dict[str, Any] = {
    "engine": "0.1.0",
    "source": "rlg_data",
    "backup_id": BACKUP,
    "kind": "incremental",
    "parent": {"backup_id": PARENT, "manifest_sha256": A},
    "created_at": "2026-11-23T02:00:09Z",
    "snapshot": {"system": "sqlite:1", "marker": "42", "taken_at": "2026-11-23T02:00:00Z"},
    "fidelity": "masked",
    "masked_columns": ["accounts.ip", "events.agent"],
    "tokenization_key": "0123456789abcdef",
    "recipients": ["0123456789abcdef"],
    "configuration_sha256": B,
    "contents": {
        "tables": 2, "rows": 3, "entries": 0, "bytes": 4096, "excluded": 1, "warnings": 0,
        "names": {"tables": ["accounts", "events"], "excluded": ["cache"]},
    },
    "finding": {"checked_members": 2, "hits": 0, "undeclared": 0},
    "archives": [
        {
            "zone": zone, "size": 9000, "sha256": A, "header_size": 200, "payload_sha256": B,
            "directory": {"offset": 8000, "length": 400, "sha256": C}, "profile_sha256": D,
        }
        for zone in ("default", "eu")
    ],
    "state": {"size": 700, "sha256": D},
    "zones_sha256": D,
}  # fmt: skip

COMMIT: dict[str, Any] = {
    "source": "rlg_data",
    "backup_id": BACKUP,
    "kind": "full",
    "sequence": 12,
    "manifest_sha256": A,
    "previous_sha256": B,
    "committed_at": "2026-11-23T02:05:00Z",
    "target": "local",
    "erasures": {"length": 3, "head": C},
    "witnesses": {"s3": {"sequence": 11, "sha256": D}},
}

_HOLD = {
    "hold_id": "20261124T090000Z-00000001", "backup_id": BACKUP, "subject": None,
    "reason": "claim 7", "by": "anna@host", "since": "2026-11-24T09:00:00Z",
}  # fmt: skip
_REMOVAL = {
    "backup_id": PARENT, "sequence": 9, "reason": "full, older than 3 months", "since": "2026-11-24T09:00:00Z",
    "objects": [{"key": f"rlg_data/{PARENT}/default.zip.age", "size": 9000}],
}  # fmt: skip
_MARK = {
    "backup_id": BACKUP, "reason": "old", "marked_at": "2026-11-24T09:00:00Z", "due_at": "2026-12-01T09:00:00Z",
}  # fmt: skip
_DRILL = {"backup_id": BACKUP, "manifest_sha256": A, "at": "2026-11-24T09:00:00Z"}

RETENTION: dict[str, Any] = {
    "source": "rlg_data",
    "record_id": "20261124T090000Z-0a0b0c0d",
    "sequence": 13,
    "previous_sha256": B,
    "target": "local",
    "witnesses": {"s3": {"sequence": 11, "sha256": D}},
    "made_at": "2026-11-24T09:00:00Z",
    "by": "anna@host",
    "events": [
        {"what": "held", "hold": _HOLD},
        {"what": "released", "hold_id": "20261124T090000Z-00000000", "reason": "settled"},
        {"what": "marked", "mark": _MARK},
        {"what": "kept", "backup_id": BACKUP, "reason": "held: claim 7"},
        {"what": "expired", "removal": _REMOVAL},
        {
            "what": "erased", "removal": _REMOVAL,
            "objects": [{"key": f"rlg_data/{PARENT}/default.zip.age", "size": 9000, "versions": 2}],
        },
        {"what": "archived", "backup_id": BACKUP, "sequence": 8, "tier": "cold"},
        {"what": "drilled", "drill": _DRILL},
    ],
    "state": {
        "holds": [_HOLD], "marks": [_MARK], "removals": [_REMOVAL], "removed": [[1, 4], [6, 6]], "drilled": _DRILL,
        "archived": {"cold": [[7, 8]]},
    },
}  # fmt: skip

PROFILE: dict[str, Any] = {
    "digest_key": A,
    "row_digest": "xxh3",
    "tables": [
        {
            "schema": "main", "name": "accounts", "dataset": "accounts", "rows": 3, "fingerprint": B,
            "digest": {"restored": C, "stored": D},
            "members": ["data/main.accounts/part-00000.parquet", "data/main.accounts/part-00001.parquet"],
            "columns": [
                {"name": "id", "declared_type": "INTEGER", "nullable": False, "key": 1, "policy": "keep"},
                {"name": "email", "declared_type": "", "nullable": True, "key": 0, "policy": "tokenize"},
            ],
            "options": {"without_rowid": False, "list": [1, None, "x"]},
            "geography": {"region": {"eu": 2, "": 1}, "country": {"fr": 2, "": 1}},
            "totals": {"cents": {"all": "-12.50", "region": {"eu": "0"}, "country": {"": "9007199254740993"}}},
            "within": [["main", "people"], ["main", "all"]],
            "change": {"rows": 2, "removed": ["removed/main.accounts/part-00000.parquet"], "removed_rows": 1},
            "rules": [{"kind": "distinct", "words": "the unique index a", "columns": ["email"], "refers": ["", ""]}],
            "zones": {},
            "detected": {"email": "email"},
        },
    ],
    "tree": {"entries": 4, "bytes": 10, "digest": A, "unstable": 0, "change": {"files": 1, "bytes": 3}},
    "excluded": [{"name": "cache", "reason": "excluded by the configuration"}],
    "warnings": ["a warning"],
}  # fmt: skip

STATE: dict[str, Any] = {
    "source": "rlg_data",
    "backup_id": BACKUP,
    "digest_key": A,
    "row_digest": "xxh3",
    "system": "postgres:1:2",
    "position": {"timeline": "1", "log": "12345678901234567890"},
    "tables": [
        {
            "schema": "public", "name": "accounts", "identity": B, "storage": "heap:16385",
            "rows": 3, "gone": 2, "detected": {"note": "original"}, "digest": C,
            "parts": [
                {"member": "rows/public.accounts/part-00000.parquet", "rows": 2, "first": 1, "last": 65536},
                {"member": "rows/public.accounts/part-00001.parquet", "rows": 1, "first": 65537, "last": 65537},
            ],
        },
        {
            "schema": "public", "name": "empty", "identity": B, "storage": "heap:16390",
            "rows": 0, "gone": 0, "detected": {}, "digest": D,
            "parts": [],
        },
    ],
    "tree": {"files": 3, "parts": ["files/part-00000.parquet"], "backups": [BACKUP]},
}  # fmt: skip
