"""A target that is a container of Azure Blob Storage, in an account with a flat namespace.

What the service gives: conditions on ETags for every write, blocks that are nothing until a list of them is put, and
strong consistency (Microsoft Learn, "Specifying conditional headers", "Put Block List").
"""

from __future__ import annotations

import logging
import re
import secrets
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlg_backup.core.errors import (
    InvalidSetting,
)
from rlg_backup.core.model import Tier
from rlg_backup.storage import azure_versions, faults
from rlg_backup.storage.azure_container import DATED, WRITE_ID, Container, LockMode, if_free, if_still, whole
from rlg_backup.storage.azure_facts import StorageAccount, ask_facts
from rlg_backup.storage.azure_list import entries
from rlg_backup.storage.azure_read import ObjectStream
from rlg_backup.storage.azure_upload import CONTENT_TYPE, BlockUpload
from rlg_backup.storage.intake import PromisedFile
from rlg_backup.storage.keys import check_key, check_prefix, is_key
from rlg_backup.storage.locks import lock_time
from rlg_backup.storage.parts import MIB
from rlg_backup.storage.port import ObjectInfo, Progress, TargetFacts
from rlg_backup.storage.remote import RemoteStorage

if TYPE_CHECKING:
    from azure.storage.blob import BlobServiceClient

_TAG = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]*")  # "*", even in quotes, is any
_MOST_PART = 4_000 * MIB  # "Put Block"
_log = logging.getLogger(__name__)


class AzureStorage(RemoteStorage):
    """``Storage`` in a container, below ``prefix``, over a client that the caller built.

    Files larger than ``part_size`` bytes go up in blocks, ``threads`` at a time; memory stays under 128 MiB for files
    up to five terabytes. ``lock_mode``: see azure_versions.py. ``encryption_scope`` names the key the service is to
    write with; ``customer_key``, 32 bytes, is one that it forgets, which takes HTTPS and is needed for each read.
    ``account`` is who is asked for the region. Plain HTTP is InvalidSetting unless ``emulator``. Each write carries a
    random id as metadata: a write whose answer was lost, and that the SDK repeated, is recognised as ours instead of
    being taken for somebody else's.
    """

    def __init__(
        self,
        name: str,
        client: BlobServiceClient,
        container: str,
        prefix: str = "",
        *,
        part_size: int = 16 * MIB,
        threads: int = 4,
        lock_mode: LockMode = "Locked",
        encryption_scope: str | None = None,
        customer_key: bytes | None = None,
        account: StorageAccount | None = None,
        emulator: bool = False,
    ) -> None:
        if not client.url.startswith("https://") and (not emulator or customer_key):
            hint = "only an emulator may do without TLS, and that without a customer's key"
            raise InvalidSetting("use", name, "its endpoint is not https", hint)
        if not (0 < part_size <= _MOST_PART and threads > 0):
            raise InvalidSetting("use", name, f"parts have 1 to {_MOST_PART} bytes, and at least one thread sends")
        if customer_key is not None and (len(customer_key) != 32 or encryption_scope):
            raise InvalidSetting("use", name, "a customer's key has 32 bytes, and no encryption scope beside it")
        if account is not None and account.name != client.account_name:
            raise InvalidSetting("use", name, f"the resource id is of account '{account.name}'")
        below = prefix.strip("/")
        above = check_key("use", below) + "/" if below else ""
        self.name = name
        self._container = Container(
            name, client.get_container_client(container), above, lock_mode, encryption_scope, customer_key
        )
        self._account, self._part_size, self._threads = account, part_size, threads

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
        until = lock_time("store", check_key("store", key), locked_until)
        standing = self._standing(key) if replacing else None
        with PromisedFile("store", key, path, sha256) as source:
            return self._sent(
                source,
                progress,
                single=self._part_size,
                small=lambda data: self._put(key, data, standing, until),
                large=lambda: self._put_blocks(key, source, standing, until, progress),
            )

    def put_bytes(
        self, key: str, data: bytes, *, replacing: str | None = None, locked_until: datetime | None = None
    ) -> ObjectInfo:
        until = lock_time("store", check_key("store", key), locked_until)
        if replacing is not None:
            if not _TAG.fullmatch(replacing):
                raise faults.replaced("store", key, self.name)
            azure_versions.refuse_locked(self._container, "store", key)
        return self._put(key, data, replacing, until)

    def _stream(self, key: str, start: int = 0, length: int | None = None) -> ObjectStream:
        return ObjectStream(self._container, key, start, length)

    def _seen(self, verb: str, key: str) -> tuple[ObjectInfo, str | None]:
        found = self._container.look(verb, key)
        return self._container.info(key, found), found.metadata.get(WRITE_ID)

    def list(self, prefix: str, *, edges: Sequence[str] = ()) -> Iterator[ObjectInfo]:
        """InvalidSetting in an account with a hierarchical namespace: it lists folder by folder, in another order."""
        above, last = len(self._container.prefix), ""
        for entry in entries(self._container, "list", check_prefix(prefix)):
            if entry.name < last:
                raise InvalidSetting("list", prefix, f"target '{self.name}' has a hierarchical namespace")
            key, last = entry.name[above:], entry.name
            if is_key(key):  # nothing of ours has another name: the "folders" of the portal
                yield entry.info(key)

    def lock(self, key: str, until: datetime) -> None:
        azure_versions.lock(self._container, key, lock_time("lock", check_key("lock", key), until))

    def delete(self, key: str) -> None:
        azure_versions.delete(self._container, check_key("delete", key))

    def erase(self, key: str) -> int:
        return azure_versions.erase(self._container, check_key("erase", key))

    def move_to(self, key: str, tier: Tier) -> ObjectInfo:
        return azure_versions.move(self._container, check_key("move", key), tier)

    def thaw(self, key: str, days: int) -> bool:
        """A blob that was thawed is hot, and stays so: ``days`` is not Azure's to count. It takes up to 15 hours
        ("Blob rehydration from the archive tier")."""
        faults.check_days(check_key("thaw", key), days)
        return azure_versions.thaw(self._container, key)

    def facts(self) -> TargetFacts:
        return ask_facts(self._container, self._account)

    def sweep(self, older_than: timedelta) -> int:
        """0: blocks without a list are dropped by the service a week after the last one came ("Put Block"), and before
        that only by a blob of the name, which would be visible. How many wait for it is logged."""
        client = self._container.client
        empty = [e.name for e in entries(self._container, "sweep", "", ["uncommittedblobs"]) if e.size == 0]
        with self._container.errors("sweep", self._container.prefix):
            waiting = sum(1 for name in empty if not client.get_blob_client(name).exists(**whole()))
        if waiting:
            _log.info("%d uploads to target '%s' broke off; it drops them a week later", waiting, self.name)
        return 0

    def _put_blocks(
        self,
        key: str,
        source: PromisedFile,
        replacing: str | None,
        until: datetime | None,
        progress: Progress | None,
    ) -> ObjectInfo:
        if replacing is None:
            self._refuse_taken(key)
        write_id, options = self._options(key, until)
        options |= _condition(replacing)
        upload = BlockUpload(self._container, key, write_id, self._part_size, self._threads, options, progress)

        def write() -> ObjectInfo:
            with self._container.errors("store", key):
                return self._container.made(key, source.size, upload.run(source), until)

        return self._written(key, write_id, write, replacing=replacing is not None)

    def _put(self, key: str, data: bytes, replacing: str | None, until: datetime | None) -> ObjectInfo:
        from azure.storage.blob import ContentSettings

        write_id, options = self._options(key, until)
        options |= _condition(replacing)
        options |= {"content_settings": ContentSettings(content_type=CONTENT_TYPE), "overwrite": replacing is not None}

        def write() -> ObjectInfo:
            blob, asked = self._container.blob(key), whole(*DATED)
            with self._container.errors("store", key):
                said = blob.upload_blob(data, length=len(data), validate_content=True, **options, **asked)
                return self._container.made(key, len(data), said, until)

        return self._written(key, write_id, write, replacing=replacing is not None)

    def _options(self, key: str, until: datetime | None) -> tuple[str, dict[str, Any]]:
        """A new id of a write, and what a call that makes an object is to say beside its content."""
        write_id = secrets.token_hex(16)
        lock = azure_versions.lock_options(self._container, key, until)
        return write_id, {"metadata": {WRITE_ID: write_id}, **self._container.sealing, **lock}


def _condition(replacing: str | None) -> dict[str, Any]:
    """That nothing has the key yet, or that what has it still has this tag."""
    return if_free() if replacing is None else if_still(replacing)
