"""What Amazon documents of SSE-C and moto does not do: an object that was made with a customer's key is read, copied
and made of parts with that key alone.

Amazon S3 User Guide, "Using server-side encryption with customer-provided keys (SSE-C)".
"""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

_KEY = "HTTP_X_AMZ_SERVER_SIDE_ENCRYPTION_CUSTOMER_KEY_MD5"
_SOURCE_KEY = "HTTP_X_AMZ_COPY_SOURCE_SERVER_SIDE_ENCRYPTION_CUSTOMER_KEY_MD5"
_REFUSED = ("400 Bad Request", "InvalidRequest")


class CustomerKeys:
    """The digests of keys, by the path of what was made with them; nothing of what was made without."""

    def __init__(self) -> None:
        self._made: dict[str, str | None] = {}

    def refuse(self, environ: dict[str, Any]) -> tuple[str, str] | None:
        """Why a request is refused that has not the key it needs."""
        query, path = _query(environ), environ["PATH_INFO"]
        if "HTTP_X_AMZ_COPY_SOURCE" in environ:
            source = "/" + unquote(urlsplit(environ["HTTP_X_AMZ_COPY_SOURCE"]).path).lstrip("/")
            if self._made.get(source) != environ.get(_SOURCE_KEY):
                return _REFUSED
        if "uploadId" in query and environ["REQUEST_METHOD"] in ("PUT", "POST"):
            return None if self._made.get(f"{path}?uploads") == environ.get(_KEY) else _REFUSED
        if environ["REQUEST_METHOD"] in ("GET", "HEAD") and not query.keys() - {"versionId"}:
            return None if path not in self._made or self._made[path] == environ.get(_KEY) else _REFUSED
        return None

    def finish(self, environ: dict[str, Any]) -> None:
        """Remembers what a request made."""
        query, path, method = _query(environ), environ["PATH_INFO"], environ["REQUEST_METHOD"]
        if method == "POST" and "uploads" in query:
            self._made[f"{path}?uploads"] = environ.get(_KEY)
        elif (method == "PUT" and not query) or (method == "POST" and "uploadId" in query):
            self._made[path] = environ.get(_KEY)


def _query(environ: dict[str, Any]) -> dict[str, list[str]]:
    return parse_qs(environ.get("QUERY_STRING", ""), keep_blank_values=True)
