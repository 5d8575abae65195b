"""Documents that are not signed themselves: canonical JSON that says what it is, and in which version."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..core.errors import DocumentDamaged, FormatUnsupported
from .canonical import parse, serialize


@dataclass(frozen=True)
class Versioned:
    """A kind of document: its ``type`` in JSON, what messages call it (``noun``, with its article) and the file
    (``subject``), the newest ``version`` known here, and the most bytes (``limit``)."""

    type: str
    noun: str
    subject: str
    version: int
    limit: int

    def write(self, fields: dict[str, Any]) -> bytes:
        """The canonical bytes; raises DocumentDamaged when they exceed the limit."""
        data = serialize({"type": self.type, "version": self.version, **fields}, self.subject)
        if len(data) > self.limit:
            raise DocumentDamaged("write", self.subject, f"it is longer than {self.limit} bytes")
        return data

    def read(self, data: bytes) -> dict[str, Any]:
        """The fields beside type and version. Raises DocumentDamaged (not canonical, another type) and
        FormatUnsupported (a later version)."""
        fields = parse(data, self.subject, limit=self.limit)
        kind, version = fields.pop("type", None), fields.pop("version", None)
        if kind != self.type or isinstance(version, bool) or not isinstance(version, int) or version < 1:
            raise DocumentDamaged("read", self.subject, f"it does not say that it is {self.noun}, and its version")
        if version > self.version:
            cause = f"it has version {version}, this release reads {self.version}"
            raise FormatUnsupported("read", self.subject, cause, "use the release that wrote it, or a later one")
        return fields
