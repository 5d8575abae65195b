"""One verb of a backup as a process of its own, as a worker of Airflow runs it.

Usage: python -m bench.verb CONFIGURATION REFERENCE-FILE VERB [SOURCE]

The reference is read from the file and the new one put there. Where Airflow is installed its task SDK is
imported first: in a worker it is in memory too.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path


def main(config: str, place: str, verb: str, source: str = "") -> None:
    if importlib.util.find_spec("airflow") is not None:
        importlib.import_module("airflow.sdk")
    from rlg_backup.config.load import load
    from rlg_backup.core.model import Kind
    from rlg_backup.engine import steps
    from rlg_backup.engine.wiring import Wiring
    from rlg_backup.engine.workspace import Reference

    wiring = Wiring(load(Path(config)), base=Path(config).parent)
    file = Path(place)
    if verb == "stage":
        done = steps.stage(wiring, source, Kind.FULL, run="bench")
        file.write_text(json.dumps(done.to_json()))
        return
    reference = Reference.from_json(json.loads(file.read_text()))
    if verb == "wipe":
        steps.wipe(wiring, reference)
        return
    of_target = verb in ("upload", "validate")
    step = getattr(steps, verb)
    done = step(wiring, reference, "local") if of_target else step(wiring, reference)
    file.write_text(json.dumps(done.to_json()))


if __name__ == "__main__":
    main(*sys.argv[1:])
