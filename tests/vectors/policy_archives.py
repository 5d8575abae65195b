"""Golden archives of what policies leave: tokens, also within texts, and what is masked for ever."""

from __future__ import annotations

import hmac
import shutil
import sqlite3
import struct
from contextlib import closing
from typing import Any

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from tests.vectors import listing
from tests.vectors.golden import Golden, feature

from rlg_backup.format.keys import TokenizationKey


@feature
def tokens(golden: Golden) -> None:
    connection = golden.database(
        "CREATE TABLE people (id INTEGER PRIMARY KEY, secret)", policies={"people.secret": "tokenize"}
    )
    of_each_class = (None, -7, 2**63 - 1, 0.1, "same", "same", "nul\0 ü", b"\xff\0", "")
    connection.executemany("INSERT INTO people (secret) VALUES (?)", [(value,) for value in of_each_class])
    connection.execute("INSERT INTO people (secret) VALUES (CAST(x'fffe' AS TEXT))")
    connection.close()
    golden.back_up(manifest={"fidelity": "recoverable", "masked_columns": []})


@feature
def masked(golden: Golden) -> None:
    policies = {"people.hashed": "hash", "people.gone": "redact", "people.must": "redact"}
    connection = golden.database(
        "CREATE TABLE people (id INTEGER PRIMARY KEY, hashed, gone TEXT, must TEXT NOT NULL, open TEXT)",
        policies=policies,
    )
    connection.executemany(
        "INSERT INTO people (hashed, gone, must, open) VALUES (?, 'gone', 'must', 'open')",
        [(7,), (0.5,), ("text",), (b"blob",), (None,), ("text",)],
    )
    connection.close()
    key = TokenizationKey.parse((golden.world.root / "keys/shared/tokenization.key").read_text().splitlines()[-1])
    copy = golden.world.root / "masked"
    shutil.copyfile(golden.source, copy)
    with closing(sqlite3.connect(copy, isolation_level=None)) as connection:
        connection.create_function("masked", 1, lambda value: hashed(key.secret, value))
        connection.execute("UPDATE people SET hashed = masked(hashed), gone = NULL, must = ''")
    golden.back_up(
        content={"database": listing.database(copy)},
        manifest={"fidelity": "masked", "masked_columns": sorted(policies)},
    )


@feature
def spans(golden: Golden) -> None:
    connection = golden.database(
        "CREATE TABLE chat (id INTEGER PRIMARY KEY, body TEXT, document TEXT)",
        policies={"chat.body": "scrub", "chat.document": {"policy": "tokenize", "paths": ["$.email", "$.phones[*]"]}},
    )
    rows = (
        (
            "write to jane.doe@example.org, or call +27 11 555 0143",
            '{ "email":"a@b.example", "n": 1.50, "email": "c@d.example"}',
        ),
        ("[rlg1:x] and [rlg1] were here before", '{"phones": [27115550143, {"a": 1e400}, null, ""], "[rlg1": 1}'),
        ("nobody is named", "no JSON"),
        (None, None),
    )
    connection.executemany("INSERT INTO chat (body, document) VALUES (?, ?)", rows)
    connection.close()
    golden.back_up(manifest={"fidelity": "recoverable", "masked_columns": []})


@feature
def coarser(golden: Golden) -> None:
    """What is left is written down by hand, but for the pseudonyms, which are made as section 7 says."""
    policies = {
        "people.email": {"policy": "pseudonym", "like": "email"},
        "people.phone": {"policy": "pseudonym", "like": "phone"},
        "people.card": "mask",
        "people.born": {"policy": "generalize", "to": "year"},
        "people.ip": {"policy": "generalize", "to": "network"},
        "people.spent": {"policy": "generalize", "bucket": 100},
    }
    definition = "CREATE TABLE people (id INTEGER PRIMARY KEY, email, phone, card, born, ip, spent)"
    connection = golden.database(definition, policies=policies)
    insert = "INSERT INTO people VALUES (?, ?, ?, ?, ?, ?, ?)"
    email, phone, local = "jane.doe@example.org", "+27 11 555 0143", "011 555 0143"
    rows = (
        (1, email, phone, "4111-1111-1111-1234", "1990-05-17", "196.25.1.7", -250),
        (2, email, local, "ab1", "1990-05-17T10:00:00.5Z", "2001:db8:1:2::3", 99.5),
        (3, None, None, None, "in May", None, "1234.50"),
    )
    connection.executemany(insert, rows)
    connection.close()
    key = TokenizationKey.parse(
        (golden.world.root / "keys/shared/tokenization.key").read_text().splitlines()[-1]
    ).secret
    address = f"u{pseudonym_digest(key, email).hex()[:20]}@example.invalid"
    numbers = [int.from_bytes(pseudonym_digest(key, number)[:16], "big") % 10**10 for number in (phone, local)]
    left = (
        (1, address, f"+2700{numbers[0]:010d}", "****-****-****-1234", "1990-01-01", "196.25.1.0", -200),
        (2, address, f"000{numbers[1]:010d}", "**1", "1990-01-01T00:00:00Z", "2001:db8:1::", 0.0),
        (3, None, None, None, None, None, "1200.00"),
    )
    copy = golden.world.root / "coarser"
    shutil.copyfile(golden.source, copy)
    with closing(sqlite3.connect(copy, isolation_level=None)) as connection:
        connection.execute("DELETE FROM people")
        connection.executemany(insert, left)
    golden.back_up(
        content={"database": listing.database(copy)},
        manifest={"fidelity": "masked", "masked_columns": sorted(policies)},
    )


def pseudonym_digest(key: bytes, text: str) -> bytes:
    """What pseudonyms are made of, as section 7 of docs/FORMAT.md says it."""
    own = HKDF(SHA256(), 32, None, b"rlg-backup pseudonym 1").derive(key)
    return hmac.digest(own, b"t" + text.encode(), "sha256")


def hashed(key: bytes, value: Any) -> str | None:
    """``hash`` as section 7 of docs/FORMAT.md says it, for the classes that are met here."""
    if value is None:
        return None
    hash_key = HKDF(SHA256(), 32, None, b"rlg-backup hash 1").derive(key)
    plain = {int: lambda v: b"i" + v.to_bytes(8, "big", signed=True), float: lambda v: b"r" + struct.pack(">d", v)}
    other = {str: lambda v: b"t" + v.encode(), bytes: lambda v: b"b" + v}
    return hmac.digest(hash_key, (plain | other)[type(value)](value), "sha256").hex()[:32]
