"""Sizes as people write and read them."""

from __future__ import annotations

import pytest

from rlg_backup.core.size import parse_size, shown_size


@pytest.mark.parametrize(
    ("text", "size"),
    [("500 GB", 500 * 10**9), ("1.5TB", 15 * 10**11), ("750 GiB", 750 << 30), ("1 kB", 1000), ("2 KiB", 2048)],
)
def test_a_size_is_a_number_and_a_unit(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["500", "GB", "-1 GB", "1 gb", "1 XB", "1e3 GB", "1 KB", ""])
def test_anything_else_is_refused_with_what_one_looks_like(text: str) -> None:
    with pytest.raises(ValueError, match=r"^it is not a size such as '500 GB', '1.5 TB' or '750 GiB'$"):
        parse_size(text)


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 kB"), (1, "0.001 kB"), (999_999, "1 MB"), (1_500_000, "1.5 MB"), (500 * 10**9, "500 GB")],
)
def test_bytes_are_shown_with_three_figures(size: int, text: str) -> None:
    assert shown_size(size) == text
