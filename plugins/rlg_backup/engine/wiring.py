"""Settings to working objects: the one place where drivers are chosen and keys are read.

Everything is made when it is asked for, so that a backup worker that holds no identity never looks for
one. The Airflow side hands in clients built from connections and readers of secrets backends; the command
line leaves them out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from ..catalog import Catalog, Lease, LedgerCopy, SeenHeads
from ..config.connections import Connection, connection_in, variable_of
from ..config.load import variables
from ..config.settings import FilesSettings, PostgresSettings, Settings, SourceSettings
from ..config.targets import LocalTarget
from ..core.errors import InvalidSetting, KeyUnavailable, SourceUnknown, TargetUnknown
from ..format.age import Identity, Recipient, check_recipients
from ..format.commit import CommitRecord
from ..format.erasure import ErasureEntry
from ..format.keys import ErasureKey, KeyProvider, SigningKey, StagingKey, TokenizationKey
from ..format.manifest import TYPE as MANIFEST
from ..format.retention import RetentionRecord
from ..format.signing import Signer, SignerOf
from .residency import Resident
from .targets import Clients, open_storage

if TYPE_CHECKING:
    from ..sources.port import FileSource, TableSource
    from ..sources.postgres.address import Address
    from ..storage.port import Storage

Connections = Callable[[str], Connection | None]  # by id; None where there is none
Progress = Callable[[str, int, int], None]  # what, bytes or rows done, of how many (0: not known)


def _silent(what: str, done: int, total: int) -> None:
    """The progress report of whoever does not look."""


class Wiring:
    """The working objects of one configuration. Not shared between processes."""

    def __init__(
        self,
        settings: Settings,
        *,
        base: Path,
        clients: Clients | None = None,
        connections: Connections | None = None,
        resolvers: Mapping[str, Callable[[str], str]] | None = None,
        progress: Progress = _silent,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.settings = settings
        self.keys = KeyProvider(resolvers, base)
        self.progress = progress
        self.clock = clock
        self._clients = clients
        self._connections = connections or (lambda name: connection_in(variables(base), name))
        self._storages: dict[str, Storage] = {}

    # --- keys ---------------------------------------------------------------------------------

    @cached_property
    def recipients(self) -> list[Recipient]:
        """Raises RecipientMissing, RecipientsMixed, KeyMalformed."""
        return list(check_recipients(self.keys.recipients(self.settings.encryption.recipients)))

    def identities(self, references: Sequence[str] = ()) -> list[Identity]:
        """The identities to open archives with; raises KeyUnavailable when none is configured."""
        wanted = list(references) or list(self.settings.encryption.identities)
        if not wanted:
            raise KeyUnavailable(
                "open",
                "encryption.identities",
                "no identity is configured here",
                "run this where identities live (a restore worker), or name one with --identity",
            )
        return self.keys.identities(wanted)

    @cached_property
    def state_recipients(self) -> list[Recipient]:
        """Who reads change state; nobody where none is kept. Raises InvalidSetting for one that archives have."""
        settings = self.settings.change_state
        if settings is None:
            return []
        found = self.keys.recipients(settings.recipients)
        self._require_apart("change_state.recipients", found)
        return list(check_recipients(found))

    @cached_property
    def state_identities(self) -> list[Identity]:
        """What reads change state here; none is KeyUnavailable, one that opens archives InvalidSetting."""
        settings = self.settings.change_state
        if settings is None or not settings.identities:
            hint = "set change_state.identities on backup workers"
            raise KeyUnavailable("open", "change_state.identities", "no identity is configured here", hint)
        found = self.keys.identities(settings.identities)
        self._require_apart("change_state.identities", [identity.recipient for identity in found])
        return found

    def _require_apart(self, setting: str, found: Sequence[Recipient]) -> None:
        """A backup worker holds the identity of its state, and none that opens an archive."""
        archives = {recipient.id for recipient in self.recipients}
        if both := sorted({recipient.id for recipient in found} & archives):
            cause = f"archives are encrypted to {both[0]}, too, so that a backup worker could open them"
            raise InvalidSetting("use", setting, cause, "make one of its own: rlg-backup keys generate state")

    @cached_property
    def signing_key(self) -> SigningKey:
        reference = self.settings.signing.key
        if reference is None:
            raise KeyUnavailable("sign", "signing.key", "no signing key is configured here", "set signing.key")
        return self.keys.signing_key(reference)

    @cached_property
    def trusted(self) -> list[Signer]:
        """Whose documents are believed; who is named for a type alone (``retention.trusted``, ``erasure.trusted``) for
        that one, in place of the others."""
        if not self.settings.signing.trusted:
            raise InvalidSetting("load", "signing.trusted", "nobody is trusted to sign, so nothing can be verified")
        makers = self.keys.signers(self.settings.signing.trusted)
        retention, erasure = self.settings.retention.trusted, self.settings.erasure.trusted
        named = {RetentionRecord.TYPE: retention, ErasureEntry.TYPE: erasure}
        apart = {type: self.keys.signers(texts) for type, texts in named.items() if texts}
        if not apart:
            return list(makers)
        others = frozenset({MANIFEST, CommitRecord.TYPE, *named} - apart.keys())
        own = [SignerOf(one, frozenset({type})) for type, signers in apart.items() for one in signers]
        return [*(SignerOf(one, others) for one in makers), *own]

    def signs(self, type: str) -> bool:
        """Whether documents of a type are believed that the key here signed. Raises as ``signing_key``, ``trusted``."""
        mine = [one for one in self.trusted if one.key_id == self.signing_key.key_id]
        return any(not isinstance(one, SignerOf) or type in one.types for one in mine)

    @property
    def staging_key(self) -> StagingKey:
        return self.keys.staging_key(self.settings.staging.key)

    @cached_property
    def tokenization_key(self) -> TokenizationKey | None:
        """None where none is configured."""
        reference = self.settings.tokenization.key
        return self.keys.tokenization_key(reference) if reference else None

    @property
    def tokenization_secret(self) -> bytes | None:
        return self.tokenization_key.secret if self.tokenization_key else None

    @cached_property
    def tokenization_secrets(self) -> list[bytes]:
        """Every key that turns tokens back: the one that makes them, and those before it."""
        old = [self.keys.tokenization_key(reference).secret for reference in self.settings.tokenization.old_keys]
        return [*([self.tokenization_secret] if self.tokenization_secret else []), *old]

    @cached_property
    def erasure_keys(self) -> list[ErasureKey]:
        """The key that subjects are hashed with, then those of before; raises KeyUnavailable where none is set."""
        settings = self.settings.erasure
        if settings.key is None:
            hint = "set 'erasure.key' where requests are recorded and on restore workers"
            raise KeyUnavailable("read", "erasure.key", "no erasure key is configured here", hint)
        return [self.keys.erasure_key(reference) for reference in (settings.key, *settings.old_keys)]

    # --- places -------------------------------------------------------------------------------

    def source_settings(self, name: str) -> SourceSettings:
        try:
            return self.settings.sources[name]
        except KeyError:
            known = ", ".join(sorted(self.settings.sources))
            raise SourceUnknown(
                "find", name, "the configuration has no source of that name", f"there are: {known}"
            ) from None

    def table_source(self, name: str) -> TableSource:
        """The database of a source; raises InvalidSetting."""
        from ..sources.geography import parse_geography

        settings = self.source_settings(name)
        assert not isinstance(settings, FilesSettings)
        given = settings.geography
        geography = parse_geography(given.model_dump(exclude_none=True)) if given else None
        if isinstance(settings, PostgresSettings):
            from ..sources.postgres.source import PostgresSource

            return PostgresSource(
                self.postgres_address(settings.connection or f"rlg_{name}", settings.database),
                geography=geography,
                exclude=settings.exclude,
                readers=settings.readers,
                lock_wait_seconds=settings.lock_wait_seconds,
                snapshot_warning_minutes=settings.snapshot_warning_minutes,
            )
        from ..sources.sqlite import SqliteSource

        return SqliteSource(
            self.path_of(name),
            geography=geography,
            exclude=settings.exclude,
            append_only=settings.append_only,
        )

    def file_source(self, name: str) -> FileSource:
        from ..sources.files import FileSource as Tree

        settings = self.source_settings(name)
        assert isinstance(settings, FilesSettings)
        return Tree(self.path_of(name), exclude=settings.exclude)

    def storage(self, target: str) -> Storage:
        """The driver of a target, made once; raises TargetUnknown."""
        if target not in self._storages:
            self._storages[target] = self._open_storage(target)
        return self._storages[target]

    def place(self, target: str) -> str:
        """SHA-256 of where a target is: two projects may call different places by one name."""
        place = self.settings.targets[target].model_dump_json()
        return hashlib.sha256(place.encode()).hexdigest()

    def catalog(self, target: str, source: str) -> Catalog:
        return Catalog(self.storage(target), source, trusted=self.trusted, seen=self.seen)

    @property
    def ledger_targets(self) -> list[str]:
        """Where the erasure ledger lies: every target that a source has. The first decides the order of requests."""
        used = {target for source in self.settings.sources.values() for target in source.targets}
        return [name for name in self.settings.targets if name in used]

    def ledger(self, target: str, without: Collection[int] = ()) -> LedgerCopy:
        """The erasure ledger as it lies on a target, ``without`` the entries of these numbers."""
        return LedgerCopy(self.storage(target), self.trusted, without)

    @property
    def seen(self) -> SeenHeads:
        """The newest heads this machine has seen."""
        return SeenHeads(self.settings.state / "seen.json")

    def lease(self, target: str, state: Mapping[str, Any]) -> Lease:
        """The lease another step of the run took; raises LeaseLost when the state is not one."""
        return Lease.resume(self.storage(target), state, trusted=self.trusted, clock=self.clock)

    def postgres_address(self, connection: str, database: str | None = None) -> Address:
        """Where a connection leads, or another ``database`` of its server; raises InvalidSetting."""
        from ..sources.postgres.address import OPTIONS, Address

        found = self._connections(connection)
        if found is None:
            hint = f"make the Airflow connection '{connection}', or set {variable_of(connection)}"
            raise InvalidSetting("connect to", connection, "there is no connection of that id", hint)
        if found.kind not in ("postgres", "postgresql"):
            raise InvalidSetting("connect to", connection, f"it is of the type '{found.kind}', not postgres")
        if unknown := sorted(set(found.extra) - OPTIONS):
            hint = f"there are: {', '.join(sorted(OPTIONS))}"
            raise InvalidSetting("connect to", connection, f"its extra '{unknown[0]}' is not known here", hint)
        name = database or found.database
        if name is None:
            raise InvalidSetting("connect to", connection, "it names no database", "write it behind the last '/'")
        extra = {key: str(value) for key, value in found.extra.items()}
        return Address(name, found.host, found.port, found.login, found.password, extra)

    def path_of(self, name: str) -> Path:
        """Where a source that is a file or a folder lies; raises InvalidSetting."""
        settings = self.source_settings(name)
        assert not isinstance(settings, PostgresSettings)
        if settings.path is not None:
            return settings.path
        found = self._connections(f"rlg_{name}")
        if found is None or not found.host:
            hint = f"set sources.{name}.path, or make the Airflow connection rlg_{name}"
            raise InvalidSetting("open", name, "the configuration gives no path", hint)
        return Path(found.host)

    def _open_storage(self, target: str) -> Storage:
        try:
            settings = self.settings.targets[target]
        except KeyError:
            known = ", ".join(sorted(self.settings.targets))
            raise TargetUnknown(
                "find", target, "the configuration has no target of that name", f"there are: {known}"
            ) from None
        reference = None if isinstance(settings, LocalTarget) else settings.customer_key
        key = self.keys.customer_key(reference).secret if reference else None
        storage = open_storage(target, settings, self._clients, key)
        return cast("Storage", Resident(storage, self.settings))
