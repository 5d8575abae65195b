"""Large pieces of memory are the system's again as soon as they are free, whatever stands between them."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

MEASURE = """
import sys
from rlg_backup.core.allocator import give_back_large_pieces

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096

give_back_large_pieces()
block = bytearray(30 << 20)  # by itself the C library then keeps whatever is no larger
del block
large, small, filled = [], [], b"x" * (2 << 20)
for _ in range(32):
    large.append(bytearray(2 << 20))
    large[-1][:] = filled
    small.append(bytearray(100_000))
full = resident()
del large
print(full - resident())
"""


@pytest.mark.parametrize(("environment", "given_back"), [({}, True), ({"MALLOC_MMAP_THRESHOLD_": "33554432"}, False)])
def test_free_pieces_go_back_unless_the_environment_says_otherwise(
    environment: dict[str, str], given_back: bool
) -> None:
    if platform.libc_ver()[0] != "glibc":
        pytest.skip("REQUIRED-IN-CI: only the GNU C library keeps them")  # an error in CI (tests/conftest.py)
    done = subprocess.run(
        [sys.executable, "-c", MEASURE], env=os.environ | environment, capture_output=True, text=True, check=True
    )
    assert (int(done.stdout) > 60 << 20) is given_back
