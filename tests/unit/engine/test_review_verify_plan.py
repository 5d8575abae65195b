"""What a commit tells ``rlg_verify``: every copy is looked at, not only the first target's."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import pytest


@pytest.mark.parametrize(
    ("targets", "looked_at"),
    [({"targets": ["local", "second"]}, ["local", "second"]), ({"targets": ["second"]}, ["second"]), ({}, [None])],
)
def test_each_committed_copy_is_verified_by_itself(targets: dict[str, Any], looked_at: list[str | None]) -> None:
    from rlg_backup.tasks import verify

    event = SimpleNamespace(extra={"source": "app", "backup_id": "20261123T020000Z-00000000", **targets})
    context = {"triggering_asset_events": {"rlg_backup_app": [event]}, "params": {}}
    with patch.object(verify, "get_current_context", lambda: context):
        planned = verify.plan_verification.function()
    assert planned == [
        {"source": "app", "which": "20261123T020000Z-00000000", "target": target} for target in looked_at
    ]
