"""The requests of the Cloud Storage emulator, a process of its own that gcs_server.py starts.

"Cloud Storage JSON API", and "Perform resumable uploads" for the headers of chunks; what buckets and objects do is in
gcs_objects.py.
"""

from __future__ import annotations

import json
import re
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from uuid import uuid4

if __name__ == "__main__":  # the tests' folders are no packages everywhere
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.support.gcs_objects import QUANTUM, Bucket, Refused, Resource, Upload, Version, now, pages, received

_CONDITIONS = ("ifGenerationMatch", "ifMetagenerationMatch")
_CONTROL = "/-/"  # what tests say to it, past the protocol


@dataclass
class Answer:
    status: int
    body: bytes
    headers: dict[str, str]


def said(document: object, status: int = 200, **headers: str) -> Answer:
    return Answer(status, json.dumps(document).encode(), {"Content-Type": "application/json; charset=UTF-8", **headers})


def refusal(status: int, reason: str, message: str) -> Answer:
    entry = {"message": message, "domain": "global", "reason": reason}
    return said({"error": {"code": status, "message": message, "errors": [entry]}}, status)


class _Service:
    """All buckets, and the faults that are still to come."""

    def __init__(self) -> None:
        self.buckets: dict[str, Bucket] = {}
        self.uploads: dict[str, Upload] = {}
        self.faults: list[dict[str, Any]] = []
        self.ahead = timedelta()
        self.deciding = threading.Lock()

    def bucket(self, name: str) -> Bucket:
        if name not in self.buckets:
            raise Refused(404, "notFound", "The specified bucket does not exist.")
        return self.buckets[name]

    def control(self, what: str, document: Any) -> Any:
        if what == "uploads":
            mine = (upload for upload in self.uploads.values() if upload.bucket.name == document)
            return sum(not (upload.done or upload.cancelled) for upload in mine)
        if what == "faults":
            self.faults = document
        elif what == "seed":
            for key in document[1]:
                self.buckets[document[0]].store({"name": key}, b"x", {}, None)
        elif what == "deny":
            self.buckets[document[0]].denied = set(document[1])
        elif what == "clock":
            self.ahead = timedelta(seconds=document)
        return None

    def due(self, method: str, place: str) -> dict[str, Any] | None:
        with self.deciding:
            for fault in self.faults:
                if fault["times"] and fault["method"] == method and fault["match"] in place:
                    if fault["skip"]:
                        fault["skip"] -= 1
                        return None
                    fault["times"] -= 1
                    return fault
        return None


class _Request(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # an answer's head and body go out together
    service: _Service

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        self.query = {name: values[-1] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
        self.unread = int(self.headers.get("Content-Length") or 0)
        self.fault = self.service.due(self.command, self.path)
        try:
            answer = self._ordered() or self._route(parts.path)
        except Refused as refused:
            answer = refusal(refused.status, refused.reason, refused.message)
        except ConnectionError:
            self.close_connection = True
            return
        self._read()  # what a refused request still brings
        self._send(answer)

    do_POST = do_PUT = do_PATCH = do_DELETE = do_GET  # noqa: N815  # http.server's names

    def _ordered(self) -> Answer | None:
        if self.fault and self.fault["status"]:
            return refusal(self.fault["status"], self.fault["reason"], "ordered by a test")
        return None

    def _route(self, path: str) -> Answer:
        if path.startswith(_CONTROL):
            return said(self.service.control(path.removeprefix(_CONTROL), json.loads(self._read())))
        for method, pattern, act in ROUTES:
            if self.command == method and (found := re.fullmatch(pattern, path)):
                return act(self, *(unquote(part) for part in found.groups()))
        raise Refused(404, "notFound", "Not Found")

    # --- buckets ------------------------------------------------------------------------------------

    def _make_bucket(self) -> Answer:
        bucket = Bucket(json.loads(self._read()))
        if self._flag("enableObjectRetention"):
            bucket.resource["objectRetention"] = {"mode": "Enabled"}
        self.service.buckets[bucket.name] = bucket
        return said(bucket.resource)

    def _get_bucket(self, name: str) -> Answer:
        bucket = self.service.bucket(name)
        bucket.demand("storage.buckets.get")
        return said(bucket.resource)

    def _permissions(self, name: str) -> Answer:
        asked = parse_qs(urlsplit(self.path).query)["permissions"]
        return said({"permissions": [entry for entry in asked if entry not in self.service.bucket(name).denied]})

    def _policy(self, name: str) -> Answer:
        bucket = self.service.bucket(name)
        if self.command == "PUT":
            bucket.bindings = json.loads(self._read())["bindings"]
        bucket.demand("storage.buckets.getIamPolicy")
        return said({"kind": "storage#policy", "version": 1, "bindings": bucket.bindings})

    # --- objects ------------------------------------------------------------------------------------

    def _list(self, name: str) -> Answer:
        bucket = self.service.bucket(name)
        bucket.demand("storage.objects.list")
        with bucket.lock:
            found = bucket.listed(
                self.query.get("prefix", ""), versions=self._flag("versions"), softly=self._flag("softDeleted")
            )
        found = [version for version in found if version.resource["name"] >= self.query.get("startOffset", "")]
        page, token = pages(found, int(self.query.get("maxResults", 1000)), self.query.get("pageToken", ""))
        document: Resource = {"kind": "storage#objects", "items": [version.resource for version in page]}
        return said(document | ({"nextPageToken": token} if token else {}))

    def _get(self, bucket: str, name: str) -> Answer:
        version = self._found(bucket, name)
        if self.query.get("alt") == "media":
            return self._media(version)
        hidden = () if self._key() == version.key else ("crc32c", "md5Hash")  # "Customer-supplied encryption keys"
        return said({field: value for field, value in version.resource.items() if field not in hidden})

    def _found(self, bucket: str, name: str) -> Version:
        holder = self.service.bucket(bucket)
        holder.demand("storage.objects.get")
        with holder.lock:
            version = holder.find(name, self._number("generation"))
            holder.check(name, self._conditions())
        return version

    def _media(self, version: Version) -> Answer:
        if version.key != self._key():
            reason = "customerEncryptionKeyIsIncorrect" if self._key() else ENCRYPTED
            raise Refused(400, reason, "The target object is encrypted by a customer-supplied encryption key.")
        resource, size = version.resource, len(version.data)
        headers = {
            "Content-Type": resource.get("contentType", "application/octet-stream"),
            "X-Goog-Hash": f"crc32c={resource['crc32c']},md5={resource['md5Hash']}",
            "X-Goog-Generation": resource["generation"],
            "X-Goog-Storage-Class": resource["storageClass"],
            "Last-Modified": format_datetime(datetime.fromisoformat(resource["updated"]), usegmt=True),
        }
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if wanted is None:
            return Answer(200, version.data, headers)
        first, last = int(wanted[1]), min(int(wanted[2] or size), size - 1)
        if first >= size:
            return Answer(416, b"", {"Content-Range": f"bytes */{size}"})
        return Answer(206, version.data[first : last + 1], headers | {"Content-Range": f"bytes {first}-{last}/{size}"})

    def _patch(self, bucket: str, name: str) -> Answer:
        override = self._flag("overrideUnlockedRetention")
        changes, holder = json.loads(self._read()), self.service.bucket(bucket)
        return said(holder.patch(name, changes, self._conditions(), override=override).resource)

    def _delete(self, bucket: str, name: str) -> Answer:
        self.service.bucket(bucket).delete(name, self._number("generation"), self._conditions())
        return Answer(204, b"", {})

    def _rewrite(self, bucket: str, name: str, to_bucket: str, to_name: str) -> Answer:
        if (bucket, name) != (to_bucket, to_name):
            raise Refused(501, "notImplemented", "This emulator rewrites objects onto themselves only.")
        holder, wanted = self.service.bucket(bucket), json.loads(self._read() or b"{}")
        done, version = holder.rewrite(
            name, wanted, self._conditions(), int(self.query.get("rewriteToken", 0)), self._key()
        )
        size = len(holder.find(name).data)
        document = {"kind": "storage#rewriteResponse", "totalBytesRewritten": str(done), "objectSize": str(size)}
        ending = {"done": True, "resource": version.resource} if version else {"done": False, "rewriteToken": str(done)}
        return said(document | ending)

    # --- uploads ------------------------------------------------------------------------------------

    def _upload(self, bucket: str) -> Answer:
        holder = self.service.bucket(bucket)
        if self.query["uploadType"] == "resumable":
            return self._start(holder)
        boundary = b"--" + self.headers.get_boundary("").encode()
        _, first, second, _ = self._read().split(boundary)  # each: headers, an empty line, the part, a line's end
        wanted, data = (part.partition(b"\r\n\r\n")[2][:-2] for part in (first, second))
        version = holder.store(self._with_key_name(json.loads(wanted)), data, self._conditions(), self._key())
        return said(version.resource)

    def _start(self, holder: Bucket) -> Answer:
        wanted = self._with_key_name(json.loads(self._read() or b"{}"))
        holder.demand("storage.objects.create")
        holder.check(wanted["name"], self._conditions())
        holder.check_retention(wanted)
        name = uuid4().hex
        self.service.uploads[name] = Upload(holder, wanted, self._conditions(), self._key())
        place = (
            f"http://{self.headers['Host']}/upload/storage/v1/b/{holder.name}/o?uploadType=resumable&upload_id={name}"
        )
        return said({}, Location=place)

    def _chunk(self, _bucket: str) -> Answer:
        upload = self._uploaded()
        if upload.done:
            return said(upload.done.resource)
        if self.command == "DELETE":
            upload.cancelled = True
            raise Refused(499, "cancelled", "The upload was cancelled.")
        span = re.fullmatch(r"bytes (?:(\d+)-\d+|\*)/(\d+|\*)", self.headers["Content-Range"])
        assert span is not None
        total = None if span[2] == "*" else int(span[2])
        if span[1] is None:  # how far did it come?
            whole = total is not None and total == len(upload.data)
            version = received(upload, len(upload.data), total, iter(())) if whole else None
        else:
            hashes = dict(part.split("=", 1) for part in self.headers.get("X-Goog-Hash", "=").split(","))
            upload.wanted |= {"crc32c": hashes["crc32c"]} if "crc32c" in hashes else {}
            version = received(upload, int(span[1]), total, self._pieces())
        if version:
            return said(version.resource)
        came = {"Range": f"bytes=0-{len(upload.data) - 1}"} if upload.data else {}
        return Answer(308, b"", came)

    def _uploaded(self) -> Upload:
        upload = self.service.uploads.get(self.query["upload_id"])
        if upload is None:
            raise Refused(410, "gone", "There is no such upload.")
        if upload.cancelled:
            raise Refused(499, "cancelled", "The upload was cancelled.")
        return upload

    # --- what a request says ------------------------------------------------------------------------

    def _number(self, name: str) -> int | None:
        return int(self.query[name]) if name in self.query else None

    def _flag(self, name: str) -> bool:
        return self.query.get(name, "").lower() == "true"  # the SDK writes True

    def _conditions(self) -> dict[str, int]:
        return {name: int(self.query[name]) for name in _CONDITIONS if name in self.query}

    def _key(self) -> str | None:
        return self.headers.get("X-Goog-Encryption-Key-Sha256")

    def _with_key_name(self, wanted: Resource) -> Resource:
        name = self.query.get("kmsKeyName")
        return wanted | ({"kmsKeyName": f"{name}/cryptoKeyVersions/1"} if name else {})

    def _pieces(self) -> Iterator[bytes]:
        while self.unread:
            wanted = min(self.unread, QUANTUM)
            if self.fault and self.fault["take"] >= 0:
                wanted = min(wanted, self.fault["take"])
                self.fault["take"] -= wanted
                if not wanted:
                    self._cut()
            piece = self.rfile.read(wanted)
            if not piece:
                raise ConnectionResetError
            self.unread -= len(piece)
            yield piece

    def _read(self) -> bytes:
        return b"".join(self._pieces())

    # --- the answer ---------------------------------------------------------------------------------

    def _send(self, answer: Answer) -> None:
        body, cut = answer.body, False
        if self.fault and not self.fault["status"]:
            if self.fault["flip"] >= 0:
                at = self.fault["flip"]
                body = body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :]
            elif self.fault["cut"] < 0:
                self.close_connection = True
                return
            else:
                body, cut = body[: self.fault["cut"]], True
        self.send_response_only(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Date", format_datetime(now() + self.service.ahead, usegmt=True))
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = self.close_connection or cut

    def _cut(self) -> None:
        self.connection.shutdown(socket.SHUT_RDWR)
        raise ConnectionResetError

    def log_message(self, *_: object) -> None:
        pass


ENCRYPTED = "resourceIsEncryptedWithCustomerEncryptionKey"
_BUCKET, _OBJECT = "/storage/v1/b/([^/]+)", "/b/([^/]+)/o/([^/]+)"
ROUTES: list[tuple[str, str, Callable[..., Answer]]] = [
    ("POST", "/storage/v1/b", _Request._make_bucket),
    ("GET", _BUCKET, _Request._get_bucket),
    ("GET", f"{_BUCKET}/iam/testPermissions", _Request._permissions),
    ("GET", f"{_BUCKET}/iam", _Request._policy),
    ("PUT", f"{_BUCKET}/iam", _Request._policy),
    ("GET", f"{_BUCKET}/o", _Request._list),
    ("GET", f"(?:/download)?/storage/v1{_OBJECT}", _Request._get),
    ("PATCH", f"/storage/v1{_OBJECT}", _Request._patch),
    ("DELETE", f"/storage/v1{_OBJECT}", _Request._delete),
    ("POST", f"/storage/v1{_OBJECT}/rewriteTo{_OBJECT}", _Request._rewrite),
    ("POST", f"/upload{_BUCKET}/o", _Request._upload),
    ("PUT", f"/upload{_BUCKET}/o", _Request._chunk),
    ("DELETE", f"/upload{_BUCKET}/o", _Request._chunk),
]


def _end_with_parent() -> None:
    sys.stdin.buffer.read()
    import os

    os._exit(0)


def _serve() -> None:
    _Request.service = _Service()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Request)
    server.daemon_threads = True
    threading.Thread(target=_end_with_parent, daemon=True).start()
    sys.stdout.write(f"{server.server_port}\n")
    sys.stdout.flush()
    server.serve_forever()


if __name__ == "__main__":
    _serve()
