"""The program an archive's README.txt prints: it turns tokens back into values without this project.

It stays short, needs ``cryptography`` alone, and does what docs/FORMAT.md, section 7 says. The tests run
this very text against real tokens.
"""

from __future__ import annotations

DECODER = """\
# Usage: python decode.py KEY-FILE < TOKENS        (a token a line, in hex)
#        python decode.py KEY-FILE spans < TEXTS   (of rlg.form = spans, a text a line)
import base64, hashlib, re, struct, sys
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

def key_bytes(text):  # Bech32: after the 1, 5 bits a character, and the last 6 are a checksum
    data = text.strip().lower().rpartition("1")[2][:-6]
    bits = "".join(f"{'qpzry9x8gf2tvdw0s3jn54khce6mua7l'.index(c):05b}" for c in data)
    return bytes(int(bits[i : i + 8], 2) for i in range(0, 256, 8))

def decode(key, token):
    if token[:5] != b"\\1" + hashlib.sha256(key).digest()[:4]:
        raise SystemExit("this token is of another key")
    siv = AESSIV(HKDF(SHA256(), 64, None, b"rlg-backup siv 1").derive(key))
    plain = siv.decrypt(token[5:], [b"rlg-backup token 1"])
    kind, value = plain[:1], plain[1:]
    if kind in b"ir":
        return struct.unpack(">q" if kind == b"i" else ">d", value)[0]
    return value.decode("utf-8", "surrogateescape") if kind == b"t" else value

def put_back(key, text):  # [rlg1] is the mark itself
    unit = r'"\\[rlg1=([\\w-]+)\\]"|\\[rlg1(?::([\\w-]+))?\\]'
    def value(found):
        token = found[1] or found[2]
        return decode(key, base64.urlsafe_b64decode(token + "==")) if token else "[rlg1"
    return re.sub(unit, value, text)

if __name__ == "__main__":
    key = key_bytes(next(line for line in open(sys.argv[1]) if not line.startswith("#")))
    for line in sys.stdin:
        text = put_back(key, line.strip("\\n")) if sys.argv[2:] else decode(key, bytes.fromhex(line))
        print(ascii(text))
"""
