"""The GCS driver over fake-gcs-server, a Cloud Storage that others wrote: what the contract says of bytes and races.

It keeps no locks and no classes, takes a question how far an upload came for its end, and looks at an upload's
condition at its start only: so the whole contract is tried on our emulator (tests/support/gcs_server.py).
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest
from tests.contract import test_storage as contract
from tests.contract import test_storage_races as races
from tests.contract.conftest import MIB, Target
from tests.support.fake_gcs_server import fake_gcs_server

from rlg_backup.storage.gcs import GcsStorage, gcs_client

test_files = contract.test_a_stored_file_comes_back_exactly_by_every_way_of_reading
test_small_objects = contract.test_small_bytes_come_back_with_their_tag
test_ranges = contract.test_a_range_is_exactly_the_bytes_asked_for
test_ranges_past_the_end = contract.test_a_range_past_the_end_is_damage_and_never_a_shorter_answer
test_unpromised_files = contract.test_a_file_that_is_not_the_promised_one_leaves_nothing_visible
test_interrupted_uploads = contract.test_an_interrupted_upload_leaves_nothing_visible_and_the_key_free
test_taken_keys = contract.test_a_taken_key_is_never_overwritten
test_replacements = contract.test_a_replacement_needs_the_present_tag_and_gives_a_new_one
test_replacing_what_is_gone = contract.test_an_object_that_is_gone_cannot_be_replaced
test_racing_creators = races.test_of_racing_creators_exactly_one_wins
test_racing_replacers = races.test_of_racing_replacers_exactly_one_wins
test_deleting = contract.test_deleting_is_idempotent_and_touches_no_other_key
test_missing = contract.test_what_is_not_there_is_said_to_be_missing


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with fake_gcs_server() as url:
        yield url


@pytest.fixture
def target(url: str) -> Target:
    client, bucket = gcs_client("p", url, emulator=True), f"bucket-{uuid.uuid4()}"
    client.create_bucket(bucket)

    def storage() -> GcsStorage:
        client = gcs_client("p", url, emulator=True)
        return GcsStorage("t", client, bucket, "below/this", single=5 * MIB, emulator=True)

    return Target(storage, lambda keys: None, storage)
