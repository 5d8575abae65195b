"""The README.txt of an archive: how to open it without this project."""

from __future__ import annotations

from ..anonymize.decoder import DECODER
from ..changes.merger import MERGER

_TEXT = """\
This is a backup made by RLG Backup, format version 1. It opens without RLG Backup.

You are reading it, so you have done the first steps:
    age -d -i IDENTITY-FILE -o archive.zip default.zip.age
    unzip archive.zip
(age 1.0 or later from https://age-encryption.org; recipients age1pq1... need age 1.3.)

What is here:
    schema/                                  the definitions, in the source's own words
    data/<schema>.<table>/part-*.parquet     rows; any Parquet reader opens them (pyarrow, DuckDB, pandas)
    files/index/part-*.parquet               file trees: path, mode, time and member of each file
    files/xx/...                             file contents, under the name the index gives; where its column
                                             backup is not empty, they are in the archive of that backup
    removed/<schema>.<table>/part-*.parquet  numbers of rows that went since the backup before
    profile.json                             rows, digests and totals, table by table; of a zone's archive: zone.json

Rows of a zone (profile.json: zones) are in an archive of its own, ZONE.zip.age, of the same backup, maybe on another
target. Unpacked, its members are a table's as those of default.zip.age are: into FOLDER.ZONE, beside FOLDER.

An archive of an incremental or differential backup holds of some tables what came since its parent, which the
signed manifest names (profile.json: change). The second program below puts a table together over the chain.

Columns whose Parquet metadata says rlg.form = variant hold SQLite values of several classes:
class 1 integer (i), 2 real (r), 3 text (b), 4 blob (b), 0 NULL. Fields named $... are not columns.
Columns with rlg.form = token hold tokens, those with rlg.form = spans texts with tokens in them. With the
tokenization key (RLG-TOKENIZATION-KEY-1...) this program turns them back; it needs Python and the package
cryptography. A column whose policy (profile.json) is drop is not here.

"""


def readme() -> str:
    """The text, with the token decoder, decode.py, and the program that puts a table together, merge.py."""
    return f"{_TEXT}{DECODER}\n{MERGER}"
