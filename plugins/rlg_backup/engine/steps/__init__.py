"""The verbs of a backup, one module each, in the order of the graph:

stage > snapshot > anonymize > encrypt > checksum > (upload > validate) per target > commit > wipe

Each takes the wiring and the reference of the step before and returns a reference. All are idempotent: a
step that is run again on the same reference replaces its own output.
"""

from .anonymize import anonymize
from .checksum import checksum
from .commit import commit
from .encrypt import encrypt
from .snapshot import snapshot
from .stage import stage
from .upload import upload
from .validate import validate
from .wipe import wipe

__all__ = ["anonymize", "checksum", "commit", "encrypt", "snapshot", "stage", "upload", "validate", "wipe"]
