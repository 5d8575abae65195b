"""docker-compose.yaml, Dockerfile and .env.example agree with each other and with the shipped configuration."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.support.postgres_server import VERSIONS

from rlg_backup.config.connections import Connection, connection_in
from rlg_backup.config.load import load
from rlg_backup.config.settings import PostgresSettings, Settings
from rlg_backup.config.targets import LocalTarget

PROJECT = Path(__file__).parents[3]
COMPOSE = (PROJECT / "docker-compose.yaml").read_text("utf-8")
SHIPPED = PROJECT / "include" / "config" / "backup.yaml"
BACKUP, RESTORE = "worker-backup", "worker-restore"
WORKERS = {BACKUP, RESTORE}
AIRFLOW = {"init", "api-server", "scheduler", "dag-processor", "triggerer"} | WORKERS
SOURCES, SCRATCH = "platform", "scratch"  # PostgreSQL servers
SET_BY_AIRFLOW = "default"  # operators.default_queue: where outcome runs


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    return dict(yaml.safe_load(COMPOSE))


def environment(compose: dict[str, Any], service: str) -> dict[str, str]:
    return dict(compose["services"][service]["environment"])


def mounts(compose: dict[str, Any], service: str) -> dict[str, tuple[str, bool]]:
    """Place in the container > (what is mounted there, whether it can be written to)."""
    found = {}
    for line in compose["services"][service].get("volumes", []):
        what, place, mode = re.fullmatch(r"(\$\{[^}]*\}|[^:]+):([^:]+?)(?::(ro))?", line).groups()  # type: ignore[union-attr]
        found[place] = (what, mode is None)
    return found


def settings_of(compose: dict[str, Any], service: str) -> Settings:
    """The shipped configuration as a service sees it."""
    return load(SHIPPED, {name: str(value) for name, value in environment(compose, service).items()})


def test_the_services_are_those_of_airflow_with_one_worker_of_each_kind(compose: dict[str, Any]) -> None:
    assert set(compose["services"]) == {"metadata", "broker", SOURCES, SCRATCH} | AIRFLOW


def test_every_image_is_pinned_by_a_tag(compose: dict[str, Any]) -> None:
    images = [service["image"] for service in compose["services"].values()]
    assert [image for image in images if not re.fullmatch(r"[a-z0-9./-]+:[0-9][A-Za-z0-9.-]*", image)] == []


def test_the_image_is_of_the_airflow_that_the_lock_names() -> None:
    base = re.search(r"^FROM apache/airflow:([0-9.]+)-python3\.11$", (PROJECT / "Dockerfile").read_text(), re.M)
    locked = re.search(r"^apache-airflow==([0-9.]+)", (PROJECT / "requirements.lock").read_text(), re.M)
    assert base and locked and base[1] == locked[1]


def test_the_image_has_the_programs_of_every_server_that_is_backed_up(compose: dict[str, Any]) -> None:
    """An older pg_dump refuses a newer server; a newer one may write what the server's own version does not read."""
    servers = {int(compose["services"][name]["image"].removeprefix("postgres:")) for name in (SOURCES, SCRATCH)}
    dockerfile = (PROJECT / "Dockerfile").read_text()
    newest = re.search(r"apt-get install --yes --no-install-recommends postgresql-client-(\d+) ", dockerfile)
    others = re.search(r"for version in ([\d ]+); do", dockerfile)
    assert newest and others and servers <= {int(newest[1])}
    assert {int(newest[1]), *map(int, others[1].split())} == set(VERSIONS)


def test_each_worker_reaches_its_own_server_and_is_alone_in_that(compose: dict[str, Any]) -> None:
    """A restore worker, which can read archives, must not reach the sources as well."""
    services = compose["services"]
    for server, worker in ((SOURCES, BACKUP), (SCRATCH, RESTORE)):
        (network,) = services[server]["networks"]
        there = {name for name, service in services.items() if network in service.get("networks", ["default"])}
        assert there == {server, worker}
        assert services[worker]["depends_on"][server] == {"condition": "service_healthy"}


def test_each_worker_has_the_connections_of_its_sources_or_of_its_drills_and_no_others(compose: dict[str, Any]) -> None:
    settings = settings_of(compose, BACKUP)
    assert settings.drill is not None and settings.drill.postgres is not None
    databases = {name for name, source in settings.sources.items() if isinstance(source, PostgresSettings)}
    held = {name: connections(environment(compose, name)) for name in AIRFLOW}
    assert {name: set(found) for name, found in held.items() if found} == {
        BACKUP: {f"rlg_{name}" for name in databases},
        RESTORE: {settings.drill.postgres.connection},
    }
    for name in databases:
        found = held[BACKUP][f"rlg_{name}"]
        assert (found.kind, found.host, found.port, found.database) == ("postgresql", SOURCES, 5432, f"rlg_{name}")
        assert found.login == "rlg_backup"
    assert held[RESTORE][settings.drill.postgres.connection].host == SCRATCH


def test_the_server_of_the_sources_runs_scripts_that_are_there(compose: dict[str, Any]) -> None:
    scripts = {place: PROJECT / what for place, (what, _) in mounts(compose, SOURCES).items() if "initdb.d/" in place}
    assert [path.name for _, path in sorted(scripts.items())] == ["platform.sql", "backup_role.sql"]
    platform, role = (path.read_text() for _, path in sorted(scripts.items()))
    folder, _ = mounts(compose, SOURCES)["/definitions"]
    included = re.findall(r"^\\i /definitions/(\S+)$", platform, re.M)
    assert included and [name for name in included if not (PROJECT / folder / name).is_file()] == []
    assert set(re.findall(r"^\\getenv \w+ (\w+)$", role, re.M)) <= set(environment(compose, SOURCES))


def connections(variables: dict[str, str]) -> dict[str, Connection]:
    """The connections of an environment, by id; a variable of compose stands for what is in .env."""
    filled = {name: re.sub(r"\$\{[^}]*\}", "secret", str(value)) for name, value in variables.items()}
    prefix = "AIRFLOW_CONN_"
    ids = [name.removeprefix(prefix).lower() for name in filled if name.startswith(prefix)]
    return {name: found for name in ids if (found := connection_in(filled, name)) is not None}


def test_what_the_image_copies_is_there_and_reaches_the_build() -> None:
    ignored = (PROJECT / ".dockerignore").read_text().split()
    lines = re.findall(r"^COPY (?:--\S+ )*(.+) \S+$", (PROJECT / "Dockerfile").read_text(), re.M)
    copied = [name for line in lines for name in line.split()]
    assert copied
    assert [name for name in copied if not (PROJECT / name).exists() or name.split("/")[0] in ignored] == []


def test_the_workers_listen_to_exactly_the_queues_of_the_configuration(compose: dict[str, Any]) -> None:
    settings = settings_of(compose, BACKUP)
    heard = {name: compose["services"][name]["command"][-1].split(",") for name in WORKERS}
    sources = {source.queue for source in settings.sources.values()}
    assert {name: set(queues) for name, queues in heard.items()} == {
        BACKUP: sources | {SET_BY_AIRFLOW},
        RESTORE: {settings.restore_queue},
    }
    for name in WORKERS:
        assert compose["services"][name]["command"][:4] == ["airflow", "celery", "worker", "--queues"]


def test_identities_are_on_restore_workers_alone_and_signing_and_sources_on_backup_workers(
    compose: dict[str, Any],
) -> None:
    holders = {
        wanted: {name for name in AIRFLOW for place in mounts(compose, name) if place.startswith(wanted)}
        for wanted in (
            "/run/rlg/keys/restore-worker",
            "/run/rlg/keys/backup-worker",
            "/platform",
            "/run/rlg/keys/shared",
        )
    }
    assert holders == {
        "/run/rlg/keys/restore-worker": {RESTORE},
        "/run/rlg/keys/backup-worker": {BACKUP},
        "/platform": {BACKUP},
        "/run/rlg/keys/shared": WORKERS,
    }
    assert {name for name in AIRFLOW if "RLG_IDENTITIES" in environment(compose, name)} == {RESTORE}
    assert {name for name in AIRFLOW if "RLG_STATE_IDENTITIES" in environment(compose, name)} == {BACKUP}
    assert settings_of(compose, BACKUP).encryption.identities == ()
    state = {name: settings_of(compose, name).change_state for name in WORKERS}
    assert {name: bool(found and found.identities) for name, found in state.items()} == {BACKUP: True, RESTORE: False}
    assert "escrow/" not in COMPOSE
    folders = [what for name in AIRFLOW for what, _ in mounts(compose, name).values() if what.startswith("./keys")]
    assert sorted(folders) == ["./keys/backup-worker", "./keys/restore-worker", "./keys/shared", "./keys/shared"]


def test_code_keys_and_sources_are_mounted_for_reading_only(compose: dict[str, Any]) -> None:
    for service in AIRFLOW:
        for place, (what, writable) in mounts(compose, service).items():
            assert writable == (what in compose["volumes"]), (service, place)


def test_every_variable_of_the_file_is_explained_in_the_example() -> None:
    wanted = set(re.findall(r"(?<!\$)\$\{([A-Z_]+)", COMPOSE))
    example = set(re.findall(r"^([A-Z_]+)=", (PROJECT / ".env.example").read_text(), re.M))
    assert wanted == example


def test_a_secret_that_is_not_set_stops_compose_instead_of_being_empty() -> None:
    for name in re.findall(r"(?<!\$)\$\{([A-Z_]+(?:KEY|SECRET|PASSWORD|RECIPIENT|SIGNER)[^}]*)\}", COMPOSE):
        assert name.endswith(":?set it in .env"), name


def test_no_secret_is_written_in_the_file_or_the_example(compose: dict[str, Any]) -> None:
    example = dict(re.findall(r"^([A-Z_]+)=(.*)$", (PROJECT / ".env.example").read_text(), re.M))
    assert {name: value for name, value in example.items() if value} == {"RLG_PLATFORM": "./platform"}
    secret = re.compile(
        r"PASSWORD|SECRET|FERNET|RECIPIENT|SIGNER|SQL_ALCHEMY_CONN|AIRFLOW_CONN|RESULT_BACKEND|BROKER_URL"
    )
    for name, service in compose["services"].items():
        for variable, value in service.get("environment", {}).items():
            if secret.search(variable):
                assert "${" in str(value), (name, variable)
    assert not re.search(r"AGE-SECRET-KEY|RLG-[A-Z]+-KEY-1|age1[a-z0-9]{20}", COMPOSE)


@pytest.mark.parametrize("service", sorted(WORKERS))
def test_a_worker_has_every_variable_the_configuration_needs(service: str, compose: dict[str, Any]) -> None:
    settings = settings_of(compose, service)  # VariableMissing otherwise
    assert settings.encryption.recipients and settings.signing.trusted
    needed = set(re.findall(r"\$\{([A-Z_]+)\}", re.sub(r"#.*", "", SHIPPED.read_text())))
    assert needed == {"RLG_RECIPIENT", "RLG_ESCROW_RECIPIENT", "RLG_STATE_RECIPIENT", "RLG_SIGNER"}
    assert needed <= set(environment(compose, service))


def test_the_configuration_is_where_the_variable_says(compose: dict[str, Any]) -> None:
    for service in AIRFLOW - {"init"}:
        assert environment(compose, service)["RLG_BACKUP_CONFIG"] == "/opt/airflow/include/config/backup.yaml"
        assert mounts(compose, service)["/opt/airflow/include"] == ("./include", False)


def writable_places(settings: Settings, service: str) -> set[str]:
    targets = {str(target.path) for target in settings.targets.values() if isinstance(target, LocalTarget)}
    assert settings.drill is not None
    drill = {str(settings.drill.scratch), str(settings.drill.reports), "/restore"}
    return {str(settings.staging.folder), str(settings.state), *targets} | (drill if service == RESTORE else set())


@pytest.mark.parametrize("service", sorted(WORKERS))
def test_each_folder_a_worker_writes_to_is_a_volume_of_its_own(service: str, compose: dict[str, Any]) -> None:
    volumes = {place: what for place, (what, writable) in mounts(compose, service).items() if writable}
    assert set(volumes) == writable_places(settings_of(compose, service), service)
    assert set(volumes.values()) <= set(compose["volumes"])


def test_both_workers_see_the_same_backups_and_never_each_others_staging(compose: dict[str, Any]) -> None:
    shared = {what for what, _ in mounts(compose, BACKUP).values()} & {
        what for what, _ in mounts(compose, RESTORE).values()
    }
    assert shared & set(compose["volumes"]) == {"backups", "state"}


def test_the_image_has_the_folders_that_volumes_cover_owned_by_airflow(compose: dict[str, Any]) -> None:
    """A new named volume takes its owner from the image; where the folder is missing it belongs to root."""
    lines = (PROJECT / "Dockerfile").read_text().replace("\\\n", " ").splitlines()
    (command,) = [line for line in lines if line.startswith("RUN install -d -o airflow ")]
    made = set(re.findall(r"(?<= )/\S+", command))
    places = {place for name in WORKERS for place, (_, writable) in mounts(compose, name).items() if writable}
    assert made == places


def test_the_image_ends_as_airflows_user_which_can_remove_what_it_copied() -> None:
    users = re.split(r"^USER (\w+)$", (PROJECT / "Dockerfile").read_text(), flags=re.M)[1:]
    assert users[-2] == "airflow"
    removed = [place for user, text in zip(users[::2], users[1::2], strict=True) if user == "airflow"
               for place in re.findall(r"rm -rf (\S+)", text)]  # fmt: skip
    assert removed and [place for place in removed if not place.startswith("/tmp/")] == []


def test_only_this_machine_reaches_the_user_interface(compose: dict[str, Any]) -> None:
    assert {name: service["ports"] for name, service in compose["services"].items() if "ports" in service} == {
        "api-server": ["127.0.0.1:8080:8080"]
    }


def test_the_scheduler_waits_until_the_api_answers(compose: dict[str, Any]) -> None:
    services = compose["services"]
    assert services["api-server"]["healthcheck"]["test"][-1].endswith("/api/v2/monitor/health")
    waited = {name: how["condition"] for name, how in services["scheduler"]["depends_on"].items()}
    assert waited == dict.fromkeys(("metadata", "broker", "api-server"), "service_healthy")
