"""doctor: looks at everything a run will need, before the night it is needed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from ..config.settings import FilesSettings
from ..core.errors import BackupError
from ..core.model import Check, Verdict
from ..format.signing import SignerOf
from .doctor_targets import faults, reachable, residence, together, told
from .erasure import known, require_fitting
from .quota import usage_of
from .residency import misplaced
from .retention.standing import standing
from .wiring import Wiring

Look = Callable[[], str]


def examine(wiring: Wiring) -> list[Check]:
    """Every check, in the order a run would meet them. Writes nothing but a probe file where a run would write."""
    checks = [
        _check("keys", "recipients", lambda: f"{len(wiring.recipients)} recipients of one type"),
        _check("keys", "signing key", lambda: _signing(wiring)),
        _check("keys", "staging key", lambda: f"{wiring.staging_key.key_id}"),
        _check("keys", "tokenization key", lambda: _tokenization(wiring)),
        _check("keys", "erasure key", lambda: _erasure(wiring)),
        _check("keys", "identities", lambda: _identities(wiring)),
        _check("keys", "change state", lambda: _change_state(wiring)),
        _check("staging", "folder", lambda: _private(wiring.settings.staging.folder)),
        _check("state", "folder", lambda: _writable(wiring.settings.state)),
    ]
    if wiring.settings.drill is not None:
        places = {"scratch": wiring.settings.drill.scratch, "reports": wiring.settings.drill.reports}
        checks += [_check("drill", name, partial(_writable, place)) for name, place in places.items()]
    checks += [_check("sources", name, partial(_source, wiring, name)) for name in wiring.settings.sources]
    checks += [_check("restores", name, partial(_server, wiring, name)) for name in _servers(wiring)]
    for name in wiring.settings.targets:
        checks.append(_check("targets", name, partial(reachable, wiring, name)))
        checks.append(_check("targets", f"{name}: properties", partial(_target, wiring, name)))
    checks += [_check("retention", name, partial(_retention, wiring, name)) for name in wiring.settings.sources]
    checks.append(_check("erasures", "ledger", partial(_ledger, wiring)))
    checks += [_check("erasures", f"rules of {kind}", partial(_rules, wiring, kind)) for kind in _kinds(wiring)]
    checks += _airflow(wiring)
    return checks


def _check(group: str, name: str, look: Look) -> Check:
    start = time.perf_counter()
    try:
        verdict, measured = Verdict.PASS, look()
    except BackupError as error:
        verdict, measured = Verdict.FAIL, str(error)
    except _Unseen as unseen:
        verdict, measured = Verdict.COULD_NOT_VERIFY, str(unseen)
    except _Wrong as wrong:
        verdict, measured = Verdict.FAIL, str(wrong)
    return Check(group, name, verdict, measured, seconds=time.perf_counter() - start)


class _Wrong(Exception):
    """Found wrong, with a text for the user."""


class _Unseen(Exception):
    """Could not be looked at, with the reason."""


def _signing(wiring: Wiring) -> str:
    trusted = wiring.trusted
    if wiring.settings.signing.key is None:
        return f"none here (this worker only reads); {len({signer.key_id for signer in trusted})} signers are trusted"
    mine = [signer for signer in trusted if signer.key_id == wiring.signing_key.key_id]
    if not mine:
        raise _Wrong("the signing key is not among signing.trusted: nobody would believe its backups")
    types = sorted(type for signer in mine if isinstance(signer, SignerOf) for type in signer.types)
    only = f" for {' and '.join(types)} documents only" if types else ""
    return f"{wiring.signing_key.key_id}, trusted{only}"


def _tokenization(wiring: Wiring) -> str:
    needs = [n for n, s in wiring.settings.sources.items() if not isinstance(s, FilesSettings) and s.policies]
    old = len(wiring.settings.tokenization.old_keys)
    if wiring.tokenization_secrets and wiring.tokenization_key is not None:
        return f"there, and {old} old ones" if old else "there"
    if needs:
        raise _Wrong(f"none is configured, and the policies of {', '.join(needs)} need one")
    return "none, and no policy needs one"


def _erasure(wiring: Wiring) -> str:
    settings = wiring.settings.erasure
    if not settings.subjects:
        return "none is needed: 'erasure.subjects' is not set"
    if settings.key is None:
        return "none here: this worker records no request, and restores nothing once there is one"
    return f"{wiring.erasure_keys[0].key_id}, and {len(settings.old_keys)} old ones"


def _ledger(wiring: Wiring) -> str:
    found = known(wiring, whole=True)
    if found.passed_over:
        raise _Unseen("; ".join(f"{name}: {error}" for name, error in found.passed_over.items()))
    if lacking := [name for name, length in found.lengths.items() if length < len(found.entries)]:
        raise _Wrong(f"requests are missing on {', '.join(lacking)}: rlg-backup erase --complete")
    return f"{len(found.entries)} requests on every target"


def _kinds(wiring: Wiring) -> list[str]:
    """Those whose rules can be tried here: where backups can be opened."""
    return sorted(wiring.settings.erasure.subjects) if wiring.settings.encryption.identities else []


def _rules(wiring: Wiring, kind: str) -> str:
    if unread := require_fitting(wiring, kind):
        raise _Unseen("; ".join(f"{source}: {why}" for source, why in unread.items()))
    return f"they fit the newest backups of {', '.join(wiring.settings.erasure.subjects[kind])}"


def _identities(wiring: Wiring) -> str:
    if not wiring.settings.encryption.identities:
        return "none here, as it should be on a backup worker"
    own = {identity.recipient.id for identity in wiring.identities()}
    if not own & {recipient.id for recipient in wiring.recipients}:
        raise _Wrong("no identity here opens what is encrypted to encryption.recipients")
    return f"{len(own)} here: this worker can read archives, so run restores on it and no backups"


def _change_state(wiring: Wiring) -> str:
    settings = wiring.settings.change_state
    if settings is None:
        return "none is kept: every backup is a full one"
    wanted = {recipient.id for recipient in wiring.state_recipients}
    if not settings.identities:
        return f"{len(wanted)} recipients, no identity here (this worker makes full backups only)"
    own = {identity.recipient.id for identity in wiring.state_identities}
    if wiring.settings.encryption.identities and own & {one.recipient.id for one in wiring.identities()}:
        raise _Wrong("an identity of change_state is one of encryption.identities, too: give backup workers another")
    if not own & wanted:
        raise _Wrong("no identity here opens what is encrypted to change_state.recipients")
    return f"{len(wanted)} recipients, {len(own)} identities here, which open no archive"


def _private(folder: Path) -> str:
    free = _writable(folder)
    if folder.stat().st_mode & 0o077:
        raise _Wrong(f"'{folder}' is open to other users; chmod 700 it")
    return f"{free}, private"


def _writable(folder: Path) -> str:
    probe = folder / f".doctor-{os.getpid()}"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        probe.write_bytes(b"")
        probe.unlink()
        free = shutil.disk_usage(folder).free
    except OSError as error:
        raise _Wrong(f"'{folder}' cannot be written to: {error.strerror}") from None
    return f"{free / 1e9:.1f} GB free"


def _source(wiring: Wiring, name: str) -> str:
    if isinstance(wiring.source_settings(name), FilesSettings):
        with wiring.file_source(name).snapshot() as tree:
            return f"{sum(1 for _ in tree.entries())} entries, {len(tree.excluded)} excluded"
    with wiring.table_source(name).snapshot() as tables:
        notes = "".join(f"; {warning}" for warning in tables.warnings)
        return f"{len(tables.tables)} tables, {len(tables.excluded)} excluded{notes}"


def _servers(wiring: Wiring) -> list[str]:
    """The connections that restores and drills may make databases by; none on a worker that can open no archive."""
    drill, restores = wiring.settings.drill, wiring.settings.encryption.identities
    found = [drill.postgres.connection] if drill and drill.postgres and (restores or drill.identities) else []
    return list(dict.fromkeys([*found, *(wiring.settings.restore_connections if restores else ())]))


def _server(wiring: Wiring, name: str) -> str:
    from ..sources.postgres.standing import standing

    found = standing(wiring.postgres_address(name))
    if not found.creates:
        raise _Wrong(f"the role '{found.role}' may not make databases: ALTER ROLE ... CREATEDB")
    risk = "; it is a superuser, as whom functions of a restored database run" if found.superuser else ""
    return f"PostgreSQL {found.version}, as '{found.role}'{risk}"


def _target(wiring: Wiring, name: str) -> str:
    settings, facts = wiring.settings.targets[name], wiring.storage(name).facts()
    wrong = list(faults(settings, facts))
    if fault := misplaced(wiring.settings, name, facts.region):
        wrong.append(f"{fault}: no archive will be stored there")
    usage = usage_of(wiring, name)
    if usage is not None and usage.used > usage.quota:
        wrong.append(f"{usage}: it takes no more backups; raise targets.{name}.quota, or keep less")
    if wrong:
        raise _Wrong("; ".join(wrong))
    full = f"; {f'warning: {usage.warning}' if usage.warning else usage}" if usage is not None else ""
    beside = together(wiring, name)
    note = f"; warning: on one device with {', '.join(beside)}: who loses that loses both" if beside else ""
    return told(settings, facts) + residence(wiring, name) + full + note


def _retention(wiring: Wiring, source: str) -> str:
    told, stuck = standing(wiring, source)
    if stuck:
        raise _Wrong(f"{told}; for two days these should be gone and are not: {', '.join(stuck)}")
    return told


def _airflow(wiring: Wiring) -> Iterator[Check]:
    """Pools and queues that the DAGs name, asked of Airflow's own command line; nothing where Airflow is not used."""
    if shutil.which("airflow") is None and "AIRFLOW_HOME" not in os.environ:
        return
    names = sorted({source.pool for source in wiring.settings.sources.values()})
    yield _check("airflow", "pools", lambda: _pools(names))
    queues = sorted({source.queue for source in wiring.settings.sources.values()} | {wiring.settings.restore_queue})
    yield _check("airflow", "queues", lambda: _queues(queues))


def _ask(*command: str) -> str:
    if shutil.which(command[0]) is None:
        raise _Unseen(f"'{command[0]}' is not on the PATH here")
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)  # noqa: S603  # fixed words
    except (subprocess.SubprocessError, OSError):
        raise _Unseen(f"'{' '.join(command)}' failed here") from None
    return done.stdout


def _pools(names: list[str]) -> str:
    listed = _ask("airflow", "pools", "list", "--output", "json")
    try:
        there = {pool["pool"] for pool in json.loads(listed[listed.index("[") :])}
    except (ValueError, KeyError, TypeError):
        raise _Unseen("'airflow pools list' did not answer in JSON") from None
    if missing := [name for name in names if name not in there]:
        raise _Wrong(
            f"missing: {', '.join(missing)}; tasks would wait in silence. airflow pools set {missing[0]} 4 backups"
        )
    return f"{', '.join(names)}: there"


def _queues(names: list[str]) -> str:
    executor = _ask("airflow", "config", "get-value", "core", "executor").strip().splitlines()[-1]
    if "Celery" not in executor:
        return f"{executor} runs every queue itself; {', '.join(names)} need no worker of their own"
    app = "airflow.providers.celery.executors.celery_executor.app"
    listed = _ask("celery", "-A", app, "inspect", "active_queues", "--json")
    try:
        workers = json.loads(listed[listed.index("{") :])
        there = {queue["name"] for queues in workers.values() for queue in queues}
    except (ValueError, KeyError, TypeError, AttributeError):
        raise _Unseen("no Celery worker answered") from None
    if missing := [name for name in names if name not in there]:
        raise _Wrong(f"no worker listens to: {', '.join(missing)}; tasks would wait in silence")
    return f"{', '.join(names)}: each has a worker"
