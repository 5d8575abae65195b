"""What Microsoft documents of Blob Storage and Azurite does not do, put in front of Azurite.

In containers made for it: versions, with a policy of immutability or a legal hold each, and soft delete of versions.
A locked version is not deleted, a current one not by its version id, and a locked policy never becomes shorter.
Where a container is to have a hierarchical namespace, it lists in that order. In all: a blob that is to leave the
archive is on its way until a test says it is there. ("Delete Blob", "Set Blob Immutability Policy", "Set Blob Legal
Hold", "Set Blob Tier", "List Blobs" in the REST reference.)
"""

from __future__ import annotations

import http.client
import itertools
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import parse_qs, unquote, urlsplit

_BODY = '<?xml version="1.0" encoding="utf-8"?><Error><Code>{}</Code><Message>refused by the tests</Message></Error>'
_ENTRY = (
    "<Blob><Name>{name}</Name>{version}<Properties><Last-Modified>Thu, 01 Jan 2026 00:00:00 GMT</Last-Modified>"
    "<Etag>0x1</Etag><Content-Length>1</Content-Length><BlobType>BlockBlob</BlobType>{policy}</Properties></Blob>"
)
_UNTIL, _MODE, _HOLD = "x-ms-immutability-policy-until-date", "x-ms-immutability-policy-mode", "x-ms-legal-hold"
_LOCKED = "BlobImmutableDueToPolicy"


@dataclass
class Answer:
    """``stream``: what is still to be read of Azurite's."""

    status: int
    headers: dict[str, str]
    body: bytes
    stream: http.client.HTTPResponse | None = None

    def blocks(self) -> Iterator[bytes]:
        if self.stream is None:
            yield self.body
            return
        while block := self.stream.read(1 << 18):
            yield block

    def drain(self) -> None:
        """Reads on to the end: the connection it comes over is used again."""
        for _ in self.blocks():
            pass


Ask = Callable[[str, str, dict[str, str], bytes], Answer]


def refusal(status: int, code: str) -> Answer:
    body = _BODY.format(code).encode()
    return Answer(status, {"x-ms-error-code": code, "Content-Type": "application/xml"}, body)


@dataclass
class Version:
    id: str
    current: bool = True
    deleted: bool = False
    until: str | None = None
    mode: str = ""
    held: bool = False

    def is_locked(self) -> bool:
        return self.held or bool(self.until and parsedate_to_datetime(self.until) > datetime.now(UTC))

    def headers(self) -> dict[str, str]:
        said = {"x-ms-version-id": self.id, "x-ms-is-current-version": str(self.current).lower()}
        if self.until:
            said |= {_UNTIL: self.until, _MODE: self.mode.lower()}
        return said | ({_HOLD: "true"} if self.held else {})

    def entry(self, name: str) -> str:
        version = f"<VersionId>{self.id}</VersionId>" + "<Deleted>true</Deleted>" * self.deleted
        return _ENTRY.format(name=name, version=version, policy=self.policy())

    def policy(self) -> str:
        until = f"<ImmutabilityPolicyUntilDate>{self.until}</ImmutabilityPolicyUntilDate>" if self.until else ""
        return until + "<LegalHold>true</LegalHold>" * self.held


@dataclass
class Container:
    immutable: bool
    soft_delete: bool
    purge: bool
    hierarchical: bool
    blobs: dict[str, list[Version]] = field(default_factory=dict)

    def current(self, name: str) -> Version | None:
        return next((version for version in self.blobs.get(name, ()) if version.current), None)


@dataclass
class Request:
    method: str
    place: str
    headers: dict[str, str]
    body: bytes

    def __post_init__(self) -> None:
        path = urlsplit(self.place)
        _, _, self.container, self.name = (unquote(path.path) + "///").split("/", 3)
        self.name = self.name.rstrip("/")
        self.query = {name: values[0] for name, values in parse_qs(path.query).items()}
        self.comp = self.query.get("comp", "")
        self.said = {name.lower(): value for name, value in self.headers.items()}

    def makes_a_blob(self) -> bool:
        return self.method == "PUT" and bool(self.name) and self.comp in ("", "blocklist")


class Rules:
    """One emulator's, for all containers."""

    def __init__(self) -> None:
        self._containers: dict[str, Container] = {}
        self._archived: set[str] = set()
        self._thawing: dict[str, Request] = {}
        self._ids = itertools.count(1)
        self._one_at_a_time = threading.RLock()

    def make(self, name: str, immutable: bool, soft_delete: bool, purge: bool, hierarchical: bool) -> None:
        self._containers[name] = Container(immutable, soft_delete, purge, hierarchical)

    def thaw(self, container: str, ask: Ask) -> None:
        """Ends the way out of the archive of all blobs of a container."""
        for path, request in list(self._thawing.items()):
            if request.container == container:
                del self._thawing[path]
                self._archived.discard(path)
                ask(request.method, request.place, request.headers, request.body)

    def carry_out(self, method: str, place: str, headers: dict[str, str], body: bytes, ask: Ask) -> Answer:
        request = Request(method, place, headers, body)
        if request.comp == "tier":
            return self._set_tier(request, ask)
        container = self._containers.get(request.container)
        if container is None or not container.immutable:
            answer = ask(method, place, headers, body)
            if container and container.hierarchical and request.comp == "list":
                answer.body = _by_folder(answer.body)
        else:
            with self._one_at_a_time:
                answer = self._refusal(request, container) or self._carry_out(request, container, ask)
        if method == "HEAD" and f"{request.container}/{request.name}" in self._thawing:
            answer.headers["x-ms-archive-status"] = "rehydrate-pending-to-hot"
        return answer

    def _set_tier(self, request: Request, ask: Ask) -> Answer:
        path = f"{request.container}/{request.name}"
        if request.said["x-ms-access-tier"] != "Archive" and path in self._archived:
            if path in self._thawing:
                return refusal(409, "BlobBeingRehydrated")
            self._thawing[path] = request
            return Answer(202, {}, b"")
        answer = ask(request.method, request.place, request.headers, request.body)
        if answer.status < 300 and request.said["x-ms-access-tier"] == "Archive":
            self._archived.add(path)
        return answer

    def _refusal(self, request: Request, container: Container) -> Answer | None:
        current = container.current(request.name)
        locked = current is not None and current.is_locked()
        if request.makes_a_blob() and locked and request.said.get("if-none-match") != "*":
            return refusal(409, _LOCKED)
        if request.method == "DELETE" and "versionid" not in request.query and locked:
            return refusal(409, _LOCKED)
        return None

    def _carry_out(self, request: Request, container: Container, ask: Ask) -> Answer:
        if request.method == "DELETE" and "versionid" in request.query:
            return self._delete_version(request, container)
        if request.comp in ("immutabilityPolicies", "legalhold"):
            return self._keep(request, container)
        answer = ask(request.method, request.place, request.headers, request.body)
        if answer.status >= 300:
            return answer
        if request.method in ("GET", "HEAD"):
            return self._told(request, container, answer)
        current = container.current(request.name)
        if current and (request.makes_a_blob() or request.method == "DELETE"):
            current.current = False
        if request.makes_a_blob():
            made = Version(f"2026-01-01T00:00:00.{next(self._ids):07}Z", mode=request.said.get(_MODE, ""))
            made.until = request.said.get(_UNTIL)
            container.blobs.setdefault(request.name, []).append(made)
            answer.headers["x-ms-version-id"] = made.id
        return answer

    def _delete_version(self, request: Request, container: Container) -> Answer:
        found = [v for v in container.blobs.get(request.name, ()) if v.id == request.query["versionid"]]
        if not found:
            return refusal(404, "BlobNotFound")
        if found[0].is_locked():
            return refusal(409, _LOCKED)
        if found[0].current:
            return refusal(403, "OperationNotAllowedOnRootBlob")
        if request.query.get("deletetype") == "permanent":
            if not (found[0].deleted and container.purge):
                return refusal(403, "AuthorizationPermissionMismatch")
        elif container.soft_delete:
            found[0].deleted = True
            return Answer(202, {}, b"")
        container.blobs[request.name].remove(found[0])
        return Answer(202, {}, b"")

    def _keep(self, request: Request, container: Container) -> Answer:
        wanted = request.query.get("versionid")
        found = [v for v in container.blobs.get(request.name, ()) if (v.id == wanted if wanted else v.current)]
        if not found:
            return refusal(404, "BlobNotFound")
        if request.comp == "legalhold":
            found[0].held = request.said[_HOLD] == "true"
            return Answer(200, {_HOLD: request.said[_HOLD]}, b"")
        until, mode = request.said[_UNTIL], request.said[_MODE]
        shorter = found[0].until and parsedate_to_datetime(until) < parsedate_to_datetime(found[0].until)
        if found[0].mode == "Locked" and (shorter or mode != "Locked"):
            return refusal(409, _LOCKED)
        found[0].until, found[0].mode = until, mode
        return Answer(200, {_UNTIL: until, _MODE: mode.lower()}, b"")

    def _told(self, request: Request, container: Container, answer: Answer) -> Answer:
        if request.comp == "list" and "versions" in request.query.get("include", ""):
            answer.body = _listing(answer.body.decode(), container, request.query.get("prefix", "")).encode()
            answer.headers.pop("content-length", None)
        elif not request.name and not request.comp:
            answer.headers["x-ms-immutable-storage-with-versioning-enabled"] = "true"
        elif request.name and (current := container.current(request.name)):
            answer.headers |= current.headers()
        return answer


def _by_folder(body: bytes) -> bytes:
    """A list in the order of an account with a hierarchical namespace."""
    entries = re.findall(b"<Blob>.*?</Blob>", body, re.DOTALL)
    ordered = sorted(entries, key=lambda entry: entry.split(b"</Name>")[0].replace(b"/", b"\0"))
    return body.replace(b"".join(entries), b"".join(ordered))


def _listing(body: str, container: Container, prefix: str) -> str:
    """Azurite's list of blobs with the versions of each between them."""
    entries: list[tuple[str, str, str]] = []
    for entry in re.findall("<Blob>.*?</Blob>", body, re.DOTALL):
        name = entry.split("<Name>")[1].split("</Name>")[0]
        if current := container.current(name):
            told = f"</Name><VersionId>{current.id}</VersionId><IsCurrentVersion>true</IsCurrentVersion>"
            entry = entry.replace("</Name>", told, 1).replace("</Properties>", current.policy() + "</Properties>", 1)
        entries.append((name, current.id if current else "", entry))
    for name, versions in container.blobs.items():
        entries += [(name, v.id, v.entry(name)) for v in versions if not v.current and name.startswith(prefix)]
    listed = "".join(entry for _, _, entry in sorted(entries))
    head, tail = re.split("<Blobs>.*</Blobs>|<Blobs ?/>", body, maxsplit=1, flags=re.DOTALL)
    return f"{head}<Blobs>{listed}</Blobs>{tail}"
