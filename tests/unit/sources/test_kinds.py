"""What the name of a type tells of its values."""

from __future__ import annotations

import pytest

from rlg_backup.sources.kinds import has_form


@pytest.mark.parametrize(
    "declared",
    [
        "timestamp with time zone",
        "timestamp(2) without time zone",
        "interval day to second(3)",
        "interval",
        "bit varying(12)",
        "macaddr8",
        "uuid",
        "tstzrange[]",
    ],
)
def test_values_of_a_type_with_a_form_of_its_own_look_like_nobody_s(declared: str) -> None:
    assert has_form(declared)


@pytest.mark.parametrize(
    "declared",
    ["text", "text[]", "character(20)", "bigint", "numeric(12,0)", "json", "tsvector", "inet", "public.interval day"],
)
def test_what_takes_texts_or_numbers_has_none(declared: str) -> None:
    assert not has_form(declared)
