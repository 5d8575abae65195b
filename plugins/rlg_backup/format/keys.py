"""Our own keys, the texts that stand for them (FORMAT.md 1), and the references they are found by.

No class here is a dataclass and none can be pickled: what would carry a key out of the process by the way
(a task's result, a cache) fails instead.
"""

from __future__ import annotations

import base64
import errno
import hashlib
import os
import secrets
import shlex
import signal
import stat
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import ClassVar, NoReturn, Self, TypeVar

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from rlg_backup.core.errors import BackupError, KeyMalformed, KeyUnavailable
from rlg_backup.format.age import Identity, Recipient, bech32, parse_identity, parse_recipient
from rlg_backup.format.age.recipients import decode_key

KEY_LENGTH = 32
MAX_KEY_TEXT = 64 * 1024  # bytes of a key file, or of what a command prints
_PLAIN_SECRETS = (
    *("AGE-SECRET-KEY-", "RLG-SIGNING-KEY-"),
    *("RLG-TOKENIZATION-KEY-", "RLG-ERASURE-KEY-", "RLG-STAGING-KEY-"),
)
_BUILT_IN = ("env", "exec", "file")

Key = TypeVar("Key")


class SecretKey:
    """32 secret bytes with a text form. The repr shows the key id only."""

    prefix: ClassVar[str]
    what: ClassVar[str]

    def __init__(self, secret: bytes) -> None:
        if len(secret) != KEY_LENGTH:
            raise ValueError(f"a {self.what} is of {KEY_LENGTH} bytes")
        self.secret = secret

    @classmethod
    def generate(cls) -> Self:
        """A new key from the operating system's random source."""
        return cls(secrets.token_bytes(KEY_LENGTH))

    @classmethod
    def parse(cls, text: str) -> Self:
        """The key of a text; KeyMalformed, which never shows the text, for any other."""
        return cls(decode_key(text.strip(), cls.prefix, KEY_LENGTH, cls.what))

    @property
    def text(self) -> str:
        """The key in upper case: a secret."""
        return bech32.encode(self.prefix, self.secret).upper()

    @property
    def key_id(self) -> str:
        """16 hex digits of the SHA-256 of the key: it tells keys apart and gives nothing away."""
        return hashlib.sha256(self.secret).hexdigest()[:16]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.key_id})"

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"a {self.what} is not to be pickled")


class SigningKey(SecretKey):
    """``RLG-SIGNING-KEY-1...``: an Ed25519 seed. Its key id is its signer's."""

    prefix = "rlg-signing-key-"
    what = "signing key"

    def __init__(self, secret: bytes) -> None:
        super().__init__(secret)
        self._key = Ed25519PrivateKey.from_private_bytes(secret)
        self.signer = Signer(self._key.public_key().public_bytes_raw())

    @property
    def key_id(self) -> str:
        return self.signer.key_id

    def sign(self, message: bytes) -> bytes:
        """The Ed25519 signature (RFC 8032) of ``message``: 64 bytes, always the same ones."""
        return self._key.sign(message)


class Signer:
    """``rlgsigner1...``: the public half of a signing key. Equal when the key is."""

    prefix: ClassVar[str] = "rlgsigner"

    def __init__(self, public: bytes) -> None:
        self._key = Ed25519PublicKey.from_public_bytes(public)
        self._public = public

    @classmethod
    def parse(cls, text: str) -> Signer:
        """The signer of a text; KeyMalformed for any other."""
        if text.strip().upper().startswith(_PLAIN_SECRETS):
            hint = "trust needs only the public half, which begins with rlgsigner1"
            raise KeyMalformed("read", "signer", "it is a secret key", hint)
        return cls(decode_key(text.strip(), cls.prefix, KEY_LENGTH, "signer"))

    @property
    def text(self) -> str:
        return bech32.encode(self.prefix, self._public)

    @property
    def key_id(self) -> str:
        """16 hex digits of the SHA-256 of the 32-byte public key."""
        return hashlib.sha256(self._public).hexdigest()[:16]

    def verify(self, message: bytes, signature: bytes) -> None:
        """Raises cryptography's InvalidSignature unless ``signature`` is this signer's on ``message``."""
        self._key.verify(signature, message)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Signer) and other._public == self._public

    def __hash__(self) -> int:
        return hash(self._public)

    def __repr__(self) -> str:
        return f"Signer({self.key_id})"


class TokenizationKey(SecretKey):
    """``RLG-TOKENIZATION-KEY-1...``: what tokens and hashes are made with (FORMAT.md 7)."""

    prefix = "rlg-tokenization-key-"
    what = "tokenization key"


class ErasureKey(SecretKey):
    """``RLG-ERASURE-KEY-1...``: what the subjects of the erasure ledger are hashed with (FORMAT.md 1)."""

    prefix = "rlg-erasure-key-"
    what = "erasure key"


class StagingKey(SecretKey):
    """``RLG-STAGING-KEY-1...``: a worker's secret, under which its staged files are encrypted."""

    prefix = "rlg-staging-key-"
    what = "staging key"

    def file_key(self, nonce: bytes, run: str, source: str, attempt: str, name: str) -> bytes:
        """The 32-byte key of one staged file (FORMAT.md 8); ``nonce`` is the try's, new for each try."""
        info = "/".join(("rlg-backup staging 1", run, source, attempt, name)).encode()
        return HKDF(SHA256(), KEY_LENGTH, salt=nonce, info=info).derive(self.secret)


class CustomerKey(SecretKey):
    """What a provider encrypts with and forgets. Its text is base64, as the providers' own tools take it."""

    what = "customer key"

    @classmethod
    def parse(cls, text: str) -> Self:
        try:
            return cls(base64.b64decode(text.strip(), validate=True))
        except ValueError:
            cause = f"it is not {KEY_LENGTH} bytes in base64"
            raise KeyMalformed("read", cls.what, cause, "make one: openssl rand -base64 32") from None

    @property
    def text(self) -> str:
        """The key in base64: a secret."""
        return base64.b64encode(self.secret).decode()


class KeyProvider:
    """Finds keys by reference: ``file:PATH``, ``env:NAME``, ``exec:COMMAND ARGUMENTS``, or a scheme of ``resolvers``.

    ``base`` is the folder that paths are relative to and commands run in. A resolver takes what follows
    its scheme and returns a text. What a reference gives may hold several keys, one a line, empty lines
    and lines that begin with ``#``. Raises KeyUnavailable and KeyMalformed; neither ever shows a key, nor
    what a command or a resolver wrote about its failure.
    """

    def __init__(
        self, resolvers: Mapping[str, Callable[[str], str]] | None, base: Path, *, exec_seconds: float = 30
    ) -> None:
        self._resolvers = dict(resolvers or {})
        self._base = base
        self._exec_seconds = exec_seconds

    def text(self, reference: str) -> str:
        """What a reference to secret keys stands for, without blanks around it; never empty.

        A file must be closed to group and others.
        """
        return self._text(reference, secret=True)

    def identities(self, references: Sequence[str]) -> list[Identity]:
        """Every identity of every reference, in order."""
        return [key for reference in references for key in self._keys(reference, parse_identity, secret=True)]

    def recipients(self, values: Sequence[str]) -> list[Recipient]:
        """Every recipient of every value: a plain ``age1...`` text, or a reference."""
        return [key for value in values for key in self._public(value, "age1", parse_recipient)]

    def signers(self, values: Sequence[str]) -> list[Signer]:
        """Every signer of every value: a plain ``rlgsigner1...`` text, or a reference."""
        return [key for value in values for key in self._public(value, "rlgsigner1", Signer.parse)]

    def signing_key(self, reference: str) -> SigningKey:
        """The one signing key of a reference."""
        return self._only(reference, SigningKey.parse)

    def tokenization_key(self, reference: str) -> TokenizationKey:
        """The one tokenization key of a reference."""
        return self._only(reference, TokenizationKey.parse)

    def erasure_key(self, reference: str) -> ErasureKey:
        """The one erasure key of a reference."""
        return self._only(reference, ErasureKey.parse)

    def staging_key(self, reference: str) -> StagingKey:
        """The one staging key of a reference."""
        return self._only(reference, StagingKey.parse)

    def customer_key(self, reference: str) -> CustomerKey:
        """The one customer key of a reference."""
        return self._only(reference, CustomerKey.parse)

    def _only(self, reference: str, parse: Callable[[str], Key]) -> Key:
        keys = self._keys(reference, parse, secret=True)
        if len(keys) != 1:
            raise KeyMalformed("read", _shown(reference), f"it holds {len(keys)} keys, and one is needed")
        return keys[0]

    def _public(self, value: str, prefix: str, parse: Callable[[str], Key]) -> list[Key]:
        return [parse(value)] if value.startswith(prefix) else self._keys(value, parse, secret=False)

    def _keys(self, reference: str, parse: Callable[[str], Key], *, secret: bool) -> list[Key]:
        keys: list[Key] = []
        for number, line in enumerate(self._text(reference, secret=secret).splitlines(), start=1):
            if not line.strip() or line.lstrip().startswith("#"):
                continue
            try:
                keys.append(parse(line))
            except KeyMalformed as fault:
                cause = f"line {number} is not a valid {fault.subject}: {fault.cause}"
                raise KeyMalformed("read", _shown(reference), cause, fault.hint) from None
        if not keys:
            raise KeyUnavailable("read", _shown(reference), "it holds no key")
        return keys

    def _text(self, reference: str, *, secret: bool) -> str:
        scheme, colon, rest = reference.partition(":")
        if reference.strip().upper().startswith(_PLAIN_SECRETS):
            hint = "put the key into a file of mode 600 and write file:PATH, or use env:NAME or exec:COMMAND"
            raise KeyUnavailable("read", "key reference", "it is a key itself, not a reference to one", hint)
        if scheme in self._resolvers and colon:
            text = self._resolve(reference, scheme, rest)
        elif scheme == "file" and colon:
            text = _read_file(reference, self._base / rest, secret=secret)
        elif scheme == "env" and colon:
            text = os.environ.get(rest, "")
        elif scheme == "exec" and colon:
            text = _run(reference, rest, self._base, self._exec_seconds)
        else:
            # Not shown: it may be a secret that was put here by mistake.
            known = ", ".join(f"{name}:" for name in sorted({*_BUILT_IN, *self._resolvers}))
            raise KeyUnavailable("read", "key reference", f"it begins with none of {known}")
        if not text.strip():
            raise KeyUnavailable("read", _shown(reference), "it is not set, or empty")
        return text.strip()

    def _resolve(self, reference: str, scheme: str, rest: str) -> str:
        try:
            return self._resolvers[scheme](rest) or ""
        except BackupError:
            raise
        except Exception as fault:  # a backend's client raises what it likes, and its text may hold the secret
            cause = f"its backend failed with {type(fault).__name__}"
            raise KeyUnavailable("read", _shown(reference), cause) from None


def _shown(reference: str) -> str:
    """A reference as errors show it: of a command only the program, since its arguments may be secret."""
    scheme, _, rest = reference.partition(":")
    return f"exec:{rest.split(maxsplit=1)[0]}" if scheme == "exec" and rest.strip() else reference


def _read_file(reference: str, path: Path, *, secret: bool) -> str:
    try:
        # Without blocking: a named pipe would otherwise wait for a writer for ever.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            mode = os.fstat(descriptor).st_mode
            data = os.read(descriptor, MAX_KEY_TEXT + 1) if stat.S_ISREG(mode) else b""
        finally:
            os.close(descriptor)
    except FileNotFoundError:
        raise KeyUnavailable("read", reference, "there is no such file") from None
    except (OSError, ValueError) as fault:
        if getattr(fault, "errno", None) in (errno.EMFILE, errno.ENFILE):
            raise  # of this process, not of the key: who runs the use case tells it
        cause = getattr(fault, "strerror", None) or "its path is not one"
        raise KeyUnavailable("read", reference, f"the file cannot be read ({cause})") from None
    if not stat.S_ISREG(mode):
        raise KeyUnavailable("read", reference, "it is not a regular file")
    if secret and stat.S_IMODE(mode) & 0o077:
        cause = f"others than its owner can use the file (mode {stat.S_IMODE(mode):03o})"
        raise KeyUnavailable("read", reference, cause, f"chmod 600 {shlex.quote(str(path))}")
    return _decoded(reference, data)


def _run(reference: str, command: str, folder: Path, seconds: float) -> str:
    """What a command prints; its standard error is dropped, since it may hold what must not be logged."""
    expired = threading.Event()
    try:
        arguments = shlex.split(command)
        if not arguments:
            raise ValueError("no command")
        process = subprocess.Popen(  # noqa: S603 - the configuration names the command, and no shell reads it
            arguments, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip
    except OSError as fault:
        cause = f"the command cannot be started ({fault.strerror})"
        raise KeyUnavailable("read", _shown(reference), cause) from None
    except ValueError:
        raise KeyUnavailable("read", _shown(reference), "the command's quotes do not match, or it is empty") from None

    def end() -> None:
        if process.poll() is None:
            expired.set()
            os.killpg(process.pid, signal.SIGKILL)  # the children too, or reading would wait for them

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    with process:
        assert process.stdout is not None
        data = process.stdout.read(MAX_KEY_TEXT + 1)
        process.stdout.close()
        status = process.wait()
    timer.cancel()
    if expired.is_set():
        raise KeyUnavailable("read", _shown(reference), f"the command did not end within {seconds:g} s")
    if status and len(data) <= MAX_KEY_TEXT:
        hint = "run it by hand to see why: what it wrote is not shown here"
        raise KeyUnavailable("read", _shown(reference), f"the command ended with status {status}", hint)
    return _decoded(_shown(reference), data)


def _decoded(shown: str, data: bytes) -> str:
    if len(data) > MAX_KEY_TEXT:
        raise KeyUnavailable("read", shown, f"it holds more than {MAX_KEY_TEXT} bytes")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise KeyUnavailable("read", shown, "it is not text") from None
