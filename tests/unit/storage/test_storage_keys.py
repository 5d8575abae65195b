"""Which names may be keys."""

from __future__ import annotations

import string
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlg_backup.core.errors import InvalidSetting
from rlg_backup.storage.keys import check_key, check_prefix, is_key

ALLOWED = string.ascii_letters + string.digits + "._-/"


@pytest.mark.parametrize(
    "key",
    [
        "rlg_data/20261123T020000Z-7f3a9c2e/default.zip.age",
        "rlg_data/20261123T020000Z-7f3a9c2e/manifest.json",
        "catalog/rlg_data/00000001-20261123T020000Z-7f3a9c2e-full.json",
        "catalog/rlg_data/lease.json",
        "_",
        "-",
        "x" * 255,
    ],
)
def test_every_key_of_the_format_is_accepted(key):
    assert check_key("read", key) == key
    assert check_prefix(key) == key
    assert check_prefix(key[:200] + "/") == key[:200] + "/"


@settings(max_examples=300)
@given(st.text(alphabet=ALLOWED + "\0\\ é%:~*\n", max_size=40) | st.text(max_size=20))
def test_no_accepted_key_leaves_the_folder_or_has_two_spellings(text):
    if is_key(text):
        assert set(text) <= set(ALLOWED)
        path = Path("/root/of/target", text)
        assert path.resolve().relative_to("/root/of/target").as_posix() == text
        assert all(not part.startswith(".") for part in path.parts)
    else:
        with pytest.raises(InvalidSetting):
            check_key("store", text)
