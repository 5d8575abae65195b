"""Every setting there is stands in docs/configuration.md."""

from __future__ import annotations

import re
from pathlib import Path

from pydantic import BaseModel

from rlg_backup.config.explain import models_in
from rlg_backup.config.settings import Settings

PAGE = Path(__file__).parents[3] / "docs" / "configuration.md"


def names(model: type[BaseModel]) -> set[str]:
    found = set(model.model_fields)
    for field in model.model_fields.values():
        for inner in models_in(field.annotation):
            found |= names(inner)
    return found


def test_every_setting_is_in_the_documentation() -> None:
    words = set(re.findall(r"[a-z0-9_]+", PAGE.read_text("utf-8")))
    assert sorted(names(Settings) - words) == []
