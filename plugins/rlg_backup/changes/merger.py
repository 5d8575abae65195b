"""The program an archive's README.txt prints: it puts a table together over a chain of archives, without this project.

It does what docs/FORMAT.md, sections 5 and 9 say, a row at a time, with ``pyarrow`` and ``xxhash``. The tests run this
very text against real chains.
"""

from __future__ import annotations

MERGER = """\
# Usage: python merge.py SCHEMA.TABLE FULL NEXT ... [--key=KEY-FILE]
# (folders of unpacked archives, oldest first; prints the rows of the last one's point; decode.py lies beside it;
# the archive of a zone lies unpacked beside its backup's, in the folder of that name, a dot and the zone's)
import collections, hashlib, json, pathlib, struct, sys
import pyarrow.parquet as pq
import xxhash
from decode import decode, key_bytes, put_back

def mix(word):
    word &= 2**64 - 1
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        word = (word ^ word >> shift) * factor & 2**64 - 1
    return word ^ word >> 31

def seeds(kind, place):
    digest = hashlib.sha256(b"rlg-backup row digest xxh3/%b/%d/%b" % (kind, place, digest_key)).digest()
    return struct.unpack("<QQ", digest[:16])

def plain(field, value):  # the kind of a cell, and its value
    form = field.metadata[b"rlg.form"].decode()
    if form == "variant" and value is not None:
        value = [None, value["i"], value["r"], value["b"].decode("utf-8", "surrogateescape")
                 if value["class"] == 3 else value["b"], value["b"]][value["class"]]
    if form == "token" and value is not None:
        value = decode(token_key, value)
    if form == "spans" and value is not None:
        value = put_back(token_key, value)
    kinds = {type(None): b"n", bool: b"o", int: b"i", float: b"r", str: b"t", bytes: b"b"}
    return kinds[type(value)], value

def number(cells):  # the row's number, as two lanes
    first = second = 0
    for place, (kind, value) in enumerate(cells):
        one, two = seeds(kind, place)
        if kind in b"tb":
            raw = value.encode("utf-8", "surrogateescape") if kind == b"t" else value
            one = xxhash.xxh3_64_intdigest(raw, one)
        elif kind != b"n":
            one = mix(one + struct.unpack("<Q", struct.pack("<d" if kind == b"r" else "<q", value))[0])
        first, second = first + one, second + (two if kind == b"n" else mix(one + two))
    one, two = seeds(b"row", 0)
    return mix(first + one), mix(second + two)

def rows(path):
    table = pq.read_table(path)
    fields = [f for f in table.schema if (f.metadata or {}).get(b"rlg.role", b"rowid") == b"rowid"]
    fields.sort(key=lambda f: b"rlg.role" not in f.metadata)  # the row id first
    for row in table.to_pylist():
        yield [plain(field, row[field.name]) for field in fields]

def members(folder, table):  # those with the table's rows, of every zone
    yield from (folder / member for member in table["members"])
    for zone, told in table.get("zones", {}).items():
        place = folder.with_name(f"{folder.name}.{zone}")
        if (place / "zone.json").exists():
            for part in json.loads((place / "zone.json").read_text())["tables"]:
                if (part["schema"], part["name"]) == (table["schema"], table["name"]):
                    yield from (place / member for member in part["members"])
        elif told["stored"]:
            print(f"{folder.name}: without {told['stored']} rows of the zone {zone}", file=sys.stderr)

options = [a for a in sys.argv[1:] if a.startswith("--key=")]
name, *folders = [pathlib.Path(a) for a in sys.argv[1:] if a not in options]
token_key = options and key_bytes(next(l for l in open(options[0][6:]) if not l.startswith("#")))
layers = []
for folder in reversed(folders):
    profile = json.loads((folder / "profile.json").read_text())
    digest_key = bytes.fromhex(profile["digest_key"])
    (table,) = [t for t in profile["tables"] if f"{t['schema']}.{t['name']}" == str(name)]
    layers.insert(0, (folder, table))
    if not table.get("change"):
        break
gone = collections.Counter()
for folder, table in layers:
    for member in (table.get("change") or {"removed": []})["removed"]:
        gone.update((r["first"], r["second"]) for r in pq.read_table(folder / member).to_pylist())
for folder, table in layers:
    for member in members(folder, table):
        for cells in rows(member):
            if gone[number(cells)] > 0:
                gone[number(cells)] -= 1
            else:
                print(ascii(tuple(value for _, value in cells)))
"""
