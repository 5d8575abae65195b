"""Every way this package can fail: one tree, one class for each event.

The text is always ``unable to <verb> '<object>': <cause>``, with the way out, where there is one, on a
line of its own. It never holds a row value, a key or a password. ``exit_code`` is what the command
line exits with and is stable: 1 the operation failed, 2 usage or configuration, 3 could not verify.
"""

from __future__ import annotations

from typing import ClassVar

FAILED, MISCONFIGURED, UNVERIFIED = 1, 2, 3


class BackupError(Exception):
    """Root of the tree; never raised itself.

    >>> str(ObjectMissing("read", "catalog/a.json", "it is not on target 'local'"))
    "unable to read 'catalog/a.json': it is not on target 'local'"
    """

    exit_code: ClassVar[int] = FAILED
    transient: ClassVar[bool] = False  # whether trying again without a change can help

    def __init__(self, verb: str, subject: str, cause: str, hint: str | None = None) -> None:
        super().__init__(verb, subject, cause, hint)
        self.verb, self.subject, self.cause, self.hint = verb, subject, cause, hint

    @property
    def text(self) -> str:
        """One line, without the hint: to be told within another text."""
        return f"unable to {self.verb} '{self.subject}': {self.cause}"

    def __str__(self) -> str:
        return f"{self.text}\nhint: {self.hint}" if self.hint else self.text


# --- usage and configuration ---------------------------------------------------------------------


class ConfigurationError(BackupError):
    """What the user configured cannot be acted on."""

    exit_code = MISCONFIGURED


class UnknownSetting(ConfigurationError):
    """The configuration has a key that no setting reads."""


class InvalidSetting(ConfigurationError):
    """A setting's value is of the wrong type or contradicts another."""


class VariableMissing(ConfigurationError):
    """A ``${VARIABLE}`` of the configuration is in neither the environment nor ``.env``."""


class RecipientMissing(ConfigurationError):
    """There is nobody to encrypt to."""


class RecipientsMixed(ConfigurationError):
    """Post-quantum and X25519 recipients in one archive: the weaker would decide."""


class KeyMalformed(ConfigurationError):
    """A key's text is not a key of the expected type."""


class KeyUnavailable(ConfigurationError):
    """A key reference (file:, env:, exec:, secret:) yields nothing."""


class WrongIdentity(ConfigurationError):
    """None of the identities opens the archive."""


class BackupNotFound(ConfigurationError):
    """No target lists a backup of that id."""


class BackupExpired(BackupNotFound):
    """The backup of that id was removed from a target on purpose, as a signed record there says."""


class SourceUnknown(ConfigurationError):
    """The configuration has no source of that name."""


class TargetUnknown(ConfigurationError):
    """The configuration has no target of that name."""


class DestinationUnsuitable(ConfigurationError):
    """A restore would overwrite something, or go to the wrong kind of place."""


class MaskedRefused(ConfigurationError):
    """A masked backup asked to stand in for real data, or a masked copy of what no policy masks."""


class ResidencyRefused(ConfigurationError):
    """Rows were to go where those of their zone may not lie."""


class PolicyMismatch(ConfigurationError):
    """A policy cannot be applied to the values of its column."""


class ErasureUndecided(ConfigurationError):
    """The configuration does not say what of a backup is to be erased for a request."""


# --- sources --------------------------------------------------------------------------------------


class SourceError(BackupError):
    """The data to back up cannot be read whole."""


class SourceUnreadable(SourceError):
    """A source, a table or a file of it cannot be opened or read."""


class SourceUnavailable(SourceError):
    """A source cannot be reached, or others hold it, for now."""

    transient = True


class SourceChanged(SourceError):
    """What was listed at the snapshot is no longer what is read."""

    transient = True


# --- storage --------------------------------------------------------------------------------------


class StorageError(BackupError):
    """A target did not do what it was asked."""


class ObjectMissing(StorageError):
    """The object is not on the target."""


class ObjectExists(StorageError):
    """A conditional write met another object, or another version of it."""


class StorageUnavailable(StorageError):
    """The target cannot be reached, or answered with a passing fault."""

    transient = True


class StorageDenied(StorageError):
    """The target refuses these credentials."""


class StorageFull(StorageError):
    """No space is left, at a target or in staging."""


class ObjectLocked(StorageError):
    """The object may not be deleted or overwritten yet."""


class ObjectFrozen(StorageError):
    """The object lies in a tier from which it must be thawed before it can be read."""


class LockUnavailable(StorageError):
    """The target keeps no locks."""

    exit_code = MISCONFIGURED


# --- damage ---------------------------------------------------------------------------------------


class DamageError(BackupError):
    """Bytes are not what was written. Never retried, never used."""


class FormatUnsupported(DamageError):
    """Written by a later version of the format."""


class HeaderDamaged(DamageError):
    """An age header does not parse or its MAC is wrong."""


class PayloadDamaged(DamageError):
    """An encrypted chunk fails its authentication, or the stream is cut."""


class DirectoryDamaged(DamageError):
    """A ZIP directory does not parse, is unsafe, or is not the one the manifest names."""


class MemberDamaged(DamageError):
    """A member's bytes are not those the directory names."""


class ObjectDamaged(DamageError):
    """An object on a target, or in staging, differs from its recorded size or digest."""


class DocumentDamaged(DamageError):
    """A manifest, commit record or profile is not canonical or lacks a field."""


class SignatureInvalid(DamageError):
    """A signature does not verify."""


class SignerUnknown(DamageError):
    """A document is signed by nobody the configuration trusts."""


class ParityFailed(DamageError):
    """Restored data differ from the profile of the backup."""


# --- catalog --------------------------------------------------------------------------------------


class CatalogError(BackupError):
    """The list of restore points cannot be relied on."""


class CatalogGap(CatalogError):
    """Records are missing, or the head is older than one already seen: something is hidden."""

    exit_code = UNVERIFIED


class CatalogForged(CatalogError):
    """Records contradict each other, or were moved, repeated or brought back."""


class LedgerShort(CatalogGap):
    """The erasure ledger lacks an entry, or is shorter than one already seen: a request is hidden."""


class LedgerForged(CatalogForged):
    """Entries of the erasure ledger contradict each other, or were moved or exchanged."""


class ClockImplausible(CatalogError):
    """By the signed times on a target this machine's clock cannot be relied on to tell what is old."""

    exit_code = UNVERIFIED


class LeaseHeld(CatalogError):
    """Another run holds the source's lease."""

    transient = True


class LeaseLost(CatalogError):
    """The lease ran out or was taken over: this run may not commit any more."""


# --- runs -----------------------------------------------------------------------------------------


class RunError(BackupError):
    """A step of a run cannot go on."""


class StagingLost(RunError):
    """The staging folder of the run is gone, is another try's, or is on another worker."""


class EngineMismatch(RunError):
    """A step was handed the result of another version of the engine."""


class StepSkipped(RunError):
    """A step's input was never made: a step before it did not run."""


class ResourceExhausted(RunError):
    """This machine, or this process, has no memory, open files or threads left."""

    transient = True


class SystemRefused(RunError):
    """The operating system refused something that no step expects it to refuse."""


class DestinationUnavailable(RunError):
    """The server to restore to cannot be reached, or broke off."""

    transient = True


class BackupNotNeeded(RunError):
    """A full backup was committed so recently that the planned one would add nothing."""


class LeakFound(RunError):
    """Staged members hold personal data that the policies should have removed."""


class ColumnUnclassified(RunError):
    """A column looks personal, has no policy, and the configuration says to stop then."""


class BackupIncomplete(RunError):
    """A run ended with fewer committed copies than planned."""


class ErasureIncomplete(RunError):
    """A request to erase is not on every target yet."""

    transient = True


class ValidationUnavailable(RunError):
    """An expectation suite could not be read or run."""

    exit_code = UNVERIFIED
