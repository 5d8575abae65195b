"""A file as blocks of a blob: several on their way at a time, nothing visible before the list of them is put."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rlg_backup.core.beside import Beside
from rlg_backup.storage.azure_container import DATED, Container, whole
from rlg_backup.storage.intake import PromisedFile
from rlg_backup.storage.parts import part_size_for, send_parts, threads_for
from rlg_backup.storage.port import Progress

CONTENT_TYPE = "application/octet-stream"
_MOST_BLOCKS = 50_000  # "Scalability and performance targets for Blob storage"


@dataclass
class BlockUpload:
    """One upload of one file. Uncommitted blocks belong to the name, not to an upload: ``write_id``, random hex, in
    their ids keeps those of others apart, and those of uploads that were broken off."""

    container: Container
    key: str
    write_id: str
    part_size: int
    threads: int
    options: Mapping[str, Any]  # of Put Block List
    progress: Progress | None

    def run(self, source: PromisedFile) -> Mapping[str, Any]:
        """Send everything, compare the digest, commit on the condition of ``options``; returns the answer.

        Each block goes with an MD5 that the service compares; the MD5 of the whole is stored with the blob, to be
        compared with when it is read. Raises the SDK's errors, and ObjectDamaged: then nothing is visible.
        """
        from azure.storage.blob import ContentSettings

        md5, beside = hashlib.md5(usedforsecurity=False), Beside()

        def read(length: int) -> bytes:
            block = source.read(length)
            beside.run(md5.update, block)
            return block

        part_size = part_size_for(source.size, self.part_size, _MOST_BLOCKS)
        threads = threads_for(part_size, self.threads)
        blocks = send_parts(read, self._send, part_size=part_size, threads=threads, progress=self.progress)
        source.verify()
        beside.wait()
        settings = ContentSettings(content_type=CONTENT_TYPE, content_md5=bytearray(md5.digest()))
        asked = {"content_settings": settings, "validate_content": True, **whole(*DATED)}
        return self.container.blob(self.key).commit_block_list(blocks, **self.options, **asked)

    def _send(self, number: int, block: bytes) -> Any:
        from azure.storage.blob import BlobBlock

        name = f"{self.write_id}-{number:05}"  # ids of one blob have one length: "Put Block"
        blob = self.container.blob(self.key)
        blob.stage_block(name, block, len(block), validate_content=True, **self.container.sealing, **whole())
        return BlobBlock(name)
