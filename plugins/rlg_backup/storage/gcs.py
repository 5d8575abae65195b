"""A target that is a bucket of Google Cloud Storage.

Sources: the Cloud Storage documentation, by the names of its pages. What an object is conditional on is its
generation ("Request preconditions"), which is the tag here.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from rlg_backup.core.errors import InvalidSetting, StorageDenied
from rlg_backup.core.model import Tier
from rlg_backup.storage import faults, gcs_versions
from rlg_backup.storage.gcs_bucket import WRITE_ID, Bucket, kept_until, resource
from rlg_backup.storage.gcs_facts import ask_facts
from rlg_backup.storage.gcs_read import ObjectStream
from rlg_backup.storage.gcs_upload import CONTENT_TYPE, Resumable
from rlg_backup.storage.intake import PromisedFile
from rlg_backup.storage.keys import check_key, check_prefix, is_key
from rlg_backup.storage.locks import lock_time
from rlg_backup.storage.port import ObjectInfo, Progress, TargetFacts
from rlg_backup.storage.remote import RemoteStorage, in_stretches

if TYPE_CHECKING:
    from google.cloud.storage import Blob, Client

MIB = 1 << 20
MAX_SINGLE = 8 * MIB  # bytes that the SDK sends in one request with the object's metadata
_FIELDS = "items(name,size,generation,timeCreated,storageClass,retention,retentionExpirationTime),nextPageToken"


class GcsStorage(RemoteStorage):
    """``Storage`` in a bucket, below ``prefix``, over a client that the caller built.

    Files larger than ``single`` bytes go up by a resumable upload, read as they are sent: memory stays the same.
    ``lock_mode``: Locked binds everybody until its time; Unlocked all but those who hold
    storage.objects.overrideUnlockedRetention. Beside our own encryption the target's can be by a key in Cloud KMS
    (``kms_key_name``) or by ``customer_key`` (32 bytes, which the target does not keep). What may pass is tried
    again for ``patience`` seconds, as is a line that stays silent for ``read_timeout`` seconds. Plain HTTP is
    InvalidSetting unless ``emulator``.

    Replacing an object takes storage.objects.delete ("IAM permissions for JSON methods"): a worker that may not
    delete backups needs it for the leases, by an IAM condition on their names. Each write carries a random id as
    metadata: one whose answer was lost, and that was repeated, is recognised as ours.
    """

    def __init__(
        self,
        name: str,
        client: Client,
        bucket: str,
        prefix: str = "",
        *,
        single: int = MAX_SINGLE,
        lock_mode: Literal["Locked", "Unlocked"] = "Locked",
        kms_key_name: str | None = None,
        customer_key: bytes | None = None,
        patience: float = 120,
        read_timeout: float = 60,
        emulator: bool = False,
    ) -> None:
        if not emulator and not client.api_endpoint.startswith("https://"):
            raise InvalidSetting("use", name, "its endpoint is not https", "only an emulator may do without TLS")
        if not 0 < single <= MAX_SINGLE:
            raise InvalidSetting("use", name, f"one request takes a file of {MAX_SINGLE} bytes at most")
        if customer_key is not None and (kms_key_name or len(customer_key) != 32):
            raise InvalidSetting("use", name, "a customer key has 32 bytes, and no key in Cloud KMS beside it")
        below = prefix.strip("/")
        self.name = name
        self._single, self._lock_mode = single, lock_mode
        self._bucket = Bucket(
            name,
            client,
            bucket,
            check_key("use", below) + "/" if below else "",
            patience,
            read_timeout,
            kms_key_name,
            customer_key,
        )

    def put_file(
        self,
        key: str,
        path: Path,
        *,
        sha256: str,
        progress: Progress | None = None,
        locked_until: datetime | None = None,
        replacing: bool = False,
    ) -> ObjectInfo:
        blob = self._new(key, locked_until)
        generation = int(self._standing(key) or 0) if replacing else 0
        with PromisedFile("store", key, path, sha256) as source:
            return self._sent(
                source,
                progress,
                single=self._single,
                small=lambda data: self._put(key, blob, data, generation),
                large=lambda: self._put_resumable(key, blob, source, generation, progress),
            )

    def put_bytes(
        self, key: str, data: bytes, *, replacing: str | None = None, locked_until: datetime | None = None
    ) -> ObjectInfo:
        blob = self._new(key, locked_until)
        if replacing is None:
            return self._put(key, blob, data, 0)
        if not (replacing.isascii() and replacing.isdecimal() and int(replacing)):
            raise faults.replaced("store", key, self.name)
        self._refuse_locked(key)
        return self._put(key, blob, data, int(replacing))

    def _stream(self, key: str, start: int = 0, length: int | None = None) -> ObjectStream:
        return ObjectStream(self._bucket, key, start, length)

    def _seen(self, verb: str, key: str) -> tuple[ObjectInfo, str | None]:
        blob = self._bucket.look(verb, key)
        return self._bucket.info(key, resource(blob)), (blob.metadata or {}).get(WRITE_ID)

    def list(self, prefix: str, *, edges: Sequence[str] = ()) -> Iterator[ObjectInfo]:
        return in_stretches(partial(self._between, check_prefix(prefix)), edges)

    def _between(self, prefix: str, after: str | None, until: str | None) -> Iterator[ObjectInfo]:
        above = len(self._bucket.prefix)
        start = None if after is None else self._bucket.prefix + after  # and with it, by what Google documents
        with self._bucket.errors("list", prefix):
            for blob in self._bucket.listed(prefix, fields=_FIELDS, start_offset=start):
                key = blob.name[above:]
                if until is not None and key > until:
                    return
                if key == after:
                    continue
                if is_key(key):  # nothing of ours has another name: the "folders" of the console
                    yield self._bucket.info(key, resource(blob))

    def lock(self, key: str, until: datetime) -> None:
        gcs_versions.lock(self._bucket, check_key("lock", key), until, self._lock_mode)

    def delete(self, key: str) -> None:
        gcs_versions.delete(self._bucket, check_key("delete", key))

    def erase(self, key: str) -> int:
        return gcs_versions.erase(self._bucket, check_key("erase", key))

    def move_to(self, key: str, tier: Tier) -> ObjectInfo:
        return gcs_versions.move(self._bucket, check_key("move", key), tier)

    def thaw(self, key: str, days: int) -> bool:
        """True: every class can be read at once ("Storage classes")."""
        faults.check_days(check_key("thaw", key), days)
        self._bucket.look("thaw", key)
        return True

    def facts(self) -> TargetFacts:
        return ask_facts(self._bucket, self._lock_mode)

    def sweep(self, older_than: timedelta) -> int:
        """0: an upload that broke off is neither listed nor billed, and gone in a week ("Resumable uploads")."""
        return 0

    def _new(self, key: str, locked_until: datetime | None) -> Blob:
        """An object as it is to be, with the id of this write."""
        blob = self._bucket.blob(check_key("store", key))
        blob.metadata = {WRITE_ID: secrets.token_hex(16)}
        if until := lock_time("store", key, locked_until):
            gcs_versions.retain(blob, until, self._lock_mode)
        return blob

    def _put_resumable(
        self, key: str, blob: Blob, source: PromisedFile, generation: int, progress: Progress | None
    ) -> ObjectInfo:
        if not generation:
            self._refuse_taken(key)
        upload = Resumable(self._bucket, key, blob, source, generation, progress)
        return self._made(key, blob, generation, upload.run)

    def _put(self, key: str, blob: Blob, data: bytes, generation: int) -> ObjectInfo:
        def send() -> Mapping[str, Any]:
            options = {"checksum": "crc32c", "if_generation_match": generation, **self._bucket.calls}
            blob.upload_from_string(data, CONTENT_TYPE, **options)
            return resource(blob)

        return self._made(key, blob, generation, send)

    def _made(self, key: str, blob: Blob, generation: int, send: Callable[[], Mapping[str, Any]]) -> ObjectInfo:
        def write() -> ObjectInfo:
            with self._bucket.errors("store", key, locking=blob.retention.mode is not None):
                return self._bucket.info(key, send())

        return self._written(key, blob.metadata[WRITE_ID], write, replacing=bool(generation))

    def _refuse_locked(self, key: str) -> None:
        # A bucket that keeps versions would set a locked one aside.
        blob = self._bucket.find("store", key)
        if until := blob and kept_until(key, resource(blob)):
            raise faults.locked("store", key, until)


def gcs_client(project: str | None = None, endpoint_url: str | None = None, *, emulator: bool = False) -> Client:
    """A client for the command line: credentials come from the SDK's own chain (Application Default Credentials).

    ``project`` is who pays where the credentials do not say. An ``emulator`` is spoken to without credentials.
    Nothing is sent, but for credentials that a server keeps. Raises InvalidSetting and StorageDenied.
    """
    from google.auth.credentials import AnonymousCredentials
    from google.auth.exceptions import GoogleAuthError
    from google.cloud.storage import Client

    options = {"api_endpoint": endpoint_url} if endpoint_url else None
    credentials = AnonymousCredentials() if emulator else None  # type: ignore[no-untyped-call]
    try:
        return Client(project, credentials=credentials, client_options=options)
    except GoogleAuthError as error:
        cause = f"there are no usable credentials ({type(error).__name__})"
        raise StorageDenied("use", "gcs", cause) from None
    except (ValueError, OSError) as error:
        raise InvalidSetting("use", "gcs", f"the SDK refuses its settings ({type(error).__name__})") from None
