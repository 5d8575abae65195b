"""Residency on clouds: where a bucket lies is asked from its provider, whatever the configuration says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.clouds import PREFIX, Cloud, cloud
from tests.support.refusal import failed
from tests.support.world import World
from tests.support.zoned_world import zoned_world

REGIONS = {"s3": "us-east-1", "gcs": "us"}  # where the emulators say that their buckets lie
WRONG = {
    **{kind: f"its provider says that it lies in '{where}', which is not in 'EU'" for kind, where in REGIONS.items()},
    "azure": "its provider does not say where it lies, and it is declared to be in 'EU'",
}


@pytest.fixture(scope="module", params=["s3", "gcs", "azure"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def there(kind: str) -> Iterator[Cloud]:
    with cloud(kind) as found:
        yield found


def world_on(there: Cloud, root: Path, monkeypatch: pytest.MonkeyPatch, regions: list[str]) -> World:
    """The zoned world with a bucket, declared to be in the EU, in the place of the folder ``eu``."""
    for name, value in there.environment.items():
        monkeypatch.setenv(name, value)
    world = zoned_world(root)
    prefix = f"{PREFIX}/{root.parent.name}"
    world.settings["targets"]["eu"] = {**there.settings, "prefix": prefix, "jurisdiction": "EU"}
    world.settings["residency"]["jurisdictions"]["EU"] = regions
    world.save()
    return world


def stored(there: Cloud, root: Path) -> set[str]:
    """The names of all objects but leases."""
    keys = [key for key in there.contents() if f"/{root.parent.name}/" in key and not key.endswith("lease.json")]
    return {key.rpartition("/")[2] for key in keys}


@pytest.mark.parametrize("kind", list(REGIONS), indirect=True, scope="module")  # Azurite does not tell where it is
def test_a_bucket_in_the_jurisdiction_gets_the_archives_of_its_zones(kind, there, tmp_path, monkeypatch):
    root = tmp_path / "project"
    world = world_on(there, root, monkeypatch, [REGIONS[kind]])
    world.back_up()
    found = stored(there, root)
    assert {name for name in found if name.endswith(".age")} == {"default.zip.age", "europe.zip.age", "state.zip.age"}


def test_a_bucket_that_lies_elsewhere_than_declared_gets_no_archive(kind, there, tmp_path, monkeypatch):
    """Nor does one whose provider does not say where it lies."""
    root = tmp_path / "project"
    world = world_on(there, root, monkeypatch, ["eu-central-1"])
    world.source["targets"] = ["eu"]
    world.source["zone"] = "europe"
    world.settings["residency"]["zones"] = {"europe": {"jurisdictions": ["EU"], "region": ["europe"]}}
    world.save()
    done = world.run("backup", "--source", "app")
    cause = WRONG[kind]
    failed(
        done,
        2,
        f"unable to store on 'eu': {cause}\n"
        "hint: correct targets.NAME.jurisdiction, or add the region to residency.jurisdictions if it lies there",
    )
    assert stored(there, root) == set()


def test_doctor_tells_a_bucket_that_lies_elsewhere(kind, there, tmp_path, monkeypatch):
    world = world_on(there, tmp_path / "project", monkeypatch, ["eu-central-1"])
    done = world.run("doctor", "--json")
    (found,) = [check for check in done.json["checks"] if check["name"] == "eu: properties"]
    assert (done.code, found["verdict"]) == (1, "FAIL")
    assert f"{WRONG[kind]}: no archive will be stored there" in found["measured"]
