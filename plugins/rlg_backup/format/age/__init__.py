"""age v1 (the C2SP specification, https://c2sp.org/age) over the primitives of ``cryptography``.

Written here, not taken from a binding, for what none offers: reading by ranges, and digests on the way.
"""

from rlg_backup.format.age.file import AgeReader, AgeWriter, SeekableAgeReader, encrypt
from rlg_backup.format.age.keytext import generate_identity, parse_identity, parse_recipient
from rlg_backup.format.age.recipients import Identity, Recipient, check_recipients
from rlg_backup.format.age.seek import PayloadFile, SeekablePayloadReader
from rlg_backup.format.age.stream import PayloadReader, PayloadWriter

__all__ = [
    "AgeReader",
    "AgeWriter",
    "Identity",
    "PayloadFile",
    "PayloadReader",
    "PayloadWriter",
    "Recipient",
    "SeekableAgeReader",
    "SeekablePayloadReader",
    "check_recipients",
    "encrypt",
    "generate_identity",
    "parse_identity",
    "parse_recipient",
]
