"""The command line, and after it the most memory this process had resident, in bytes, as the last line.

Usage: python peak.py ARGUMENTS-OF-RLG-BACKUP...
"""

from __future__ import annotations

import sys
from pathlib import Path

from rlg_backup.cli.main import main

try:
    main(sys.argv[1:])
finally:
    # Not getrusage: there a process begins with the peak of the one that starts it.
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    print(int(lines["VmHWM"].removesuffix("kB")) * 1024)
