"""What an Azure container says of itself, and of its account, and what settings and clients are refused."""

from __future__ import annotations

import datetime as dt
import hashlib
import http.server
import ipaddress
import json
import ssl
import subprocess
import sys
import threading
from base64 import b64encode
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.support.azure_server import AzureServer, Fault

import rlg_backup
from rlg_backup.core.errors import InvalidSetting, ObjectMissing, StorageDenied, StorageUnavailable
from rlg_backup.storage.azure import AzureStorage
from rlg_backup.storage.azure_client import azure_client
from rlg_backup.storage.azure_facts import StorageAccount
from rlg_backup.storage.port import TargetFacts

ROOT = Path(__file__).parents[4]
MIB = 1 << 20
PLACE = "/subscriptions/0-1/resourceGroups/rg/providers/Microsoft.Storage/storageAccounts/"
DENIED = {"status": 403, "code": "AuthorizationPermissionMismatch"}


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A PEM file of a key, and of a certificate of 127.0.0.1 that it signed itself."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "emulator")])
    begun = dt.datetime.now(dt.UTC) - timedelta(hours=1)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(begun).not_valid_after(begun + timedelta(days=1))
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    signed = builder.add_extension(address, critical=False).sign(key, hashes.SHA256())
    encoding, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    path = tmp_path_factory.mktemp("tls") / "emulator.pem"
    path.write_bytes(
        key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, plain) + signed.public_bytes(encoding)
    )
    return path


# --- facts ----------------------------------------------------------------------------------------


def test_a_container_says_what_the_storage_service_knows(made):
    plain, immutable = made(), made(immutable=True)
    trial = made(immutable.made_in, options={"lock_mode": "Unlocked"})
    assert in_time(plain.facts()) == TargetFacts(None, None, False, False, timedelta(), True)
    assert in_time(immutable.facts()) == TargetFacts(None, True, True, False, timedelta(), True)
    assert in_time(trial.facts()) == TargetFacts(None, True, False, False, timedelta(), True)


def in_time(facts: TargetFacts) -> TargetFacts:
    assert facts.clock_skew is not None
    assert abs(facts.clock_skew) <= timedelta(seconds=2)
    return TargetFacts(**{**vars(facts), "clock_skew": timedelta()})


@pytest.mark.parametrize("access", ["blob", "container"])
def test_a_container_open_to_strangers_says_so(storage, client, access):
    client.set_container_access_policy({}, public_access=access)
    assert storage.facts().public is True


@pytest.mark.parametrize("ahead", [-3600, 90])
def test_a_clock_that_differs_is_seen(server, storage, ahead):
    server.run_clock_ahead(ahead)
    skew = storage.facts().clock_skew
    assert abs(skew - timedelta(seconds=ahead)) <= timedelta(seconds=2)


def test_credentials_that_may_not_ask_get_no_answer_and_no_error(server, storage):
    server.order(*(Fault(method, "", times=99, **DENIED) for method in ("GET", "HEAD", "DELETE", "PUT")))
    assert in_time(storage.facts()) == TargetFacts(None, None, None, None, timedelta(), False)


def test_the_right_that_loses_data_is_the_one_asked_of(server, made):
    storage = made(immutable=True)
    server.order(Fault("DELETE", "versionid", **DENIED))
    assert storage.facts().may_delete is False
    server.order(Fault("DELETE", "no-such-object", status=400, code="InvalidHeaderValue"))
    assert storage.facts().may_delete is None


class Manager:
    """Azure Resource Manager for one account, on 127.0.0.1; ``refused`` is the status it answers, if any."""

    def __init__(self, certificate: Path) -> None:
        self.seen: list[str] = []
        self.refused = 0
        self.versioning = True
        self.place = {"location": "WestEurope"}
        manager = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                manager.seen.append(f"{self.path} {self.headers['Authorization']}")
                blobs = {"properties": {"isVersioningEnabled": manager.versioning, "deleteRetentionPolicy": {}}}
                body = json.dumps(blobs if "blobServices" in self.path else manager.place).encode()
                self.send_response(manager.refused or 200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.url = f"https://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def manager(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Manager]:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    manager = Manager(certificate)
    yield manager
    manager.stop()


def token(*scopes: str, **_: Any) -> Any:
    return SimpleNamespace(token=f"for {scopes[0]}", expires_on=2**33)


CREDENTIAL: Any = SimpleNamespace(get_token=token)


def test_region_and_versioning_are_asked_of_the_resource_manager(made, manager):
    account = StorageAccount(PLACE + "devstoreaccount1", CREDENTIAL, manager.url)
    storage = made(options={"account": account})
    facts = storage.facts()
    assert (facts.region, facts.versioned, facts.may_delete) == ("westeurope", True, True)
    where = f"{PLACE}devstoreaccount1"
    bearer = f"Bearer for {manager.url}/.default"
    assert manager.seen == [
        f"{where}?api-version=2023-05-01 {bearer}",
        f"{where}/blobServices/default?api-version=2023-05-01 {bearer}",
    ]
    manager.versioning = False
    assert storage.facts().versioned is False
    manager.refused = 403
    assert (storage.facts().region, storage.facts().versioned) == (None, None)
    manager.refused, manager.place = 0, {"kind": "StorageV2"}
    with pytest.raises(StorageUnavailable) as unclear:
        storage.facts()
    cause = "the resource manager of target 'cloud' answered with something else"
    assert str(unclear.value) == f"unable to ask 'devstoreaccount1': {cause}"
    manager.refused = 404
    with pytest.raises(ObjectMissing) as caught:
        storage.facts()
    assert str(caught.value) == "unable to ask 'devstoreaccount1': the resource id of target 'cloud' is of no account"


def test_the_region_of_another_account_is_not_taken_for_this_ones(server, container):
    account = StorageAccount(PLACE + "elsewhere", CREDENTIAL)
    with pytest.raises(InvalidSetting) as caught:
        AzureStorage("cloud", server.client(), container, account=account, emulator=True)
    assert str(caught.value) == "unable to use 'cloud': the resource id is of account 'elsewhere'"


@pytest.mark.parametrize("given", ["", "devstoreaccount1", PLACE, PLACE + "a/b", "x" + PLACE + "a", PLACE + "a?b"])
def test_a_resource_id_that_is_none_of_an_account_is_refused(given):
    with pytest.raises(InvalidSetting) as caught:
        StorageAccount(given, CREDENTIAL)
    assert str(caught.value) == "unable to use 'azure': the resource id is not one of a storage account"


# --- settings -------------------------------------------------------------------------------------


def test_plain_http_is_refused_unless_it_is_an_emulator_and_always_with_a_customers_key(server, container):
    for options in ({}, {"emulator": True, "customer_key": bytes(32)}):
        with pytest.raises(InvalidSetting) as caught:
            AzureStorage("cloud", server.client(), container, **options)
        hint = "only an emulator may do without TLS, and that without a customer's key"
        assert str(caught.value) == f"unable to use 'cloud': its endpoint is not https\nhint: {hint}"
    AzureStorage("cloud", azure_client("https://account.blob.core.windows.net"), container, customer_key=bytes(32))


@pytest.mark.parametrize(
    ("options", "cause"),
    [
        ({"part_size": 0}, "parts have 1 to 4194304000 bytes, and at least one thread sends"),
        ({"part_size": 4000 * MIB + 1}, "parts have 1 to 4194304000 bytes, and at least one thread sends"),
        ({"threads": 0}, "parts have 1 to 4194304000 bytes, and at least one thread sends"),
        ({"customer_key": bytes(31)}, "a customer's key has 32 bytes, and no encryption scope beside it"),
        (
            {"customer_key": bytes(32), "encryption_scope": "s"},
            "a customer's key has 32 bytes, and no encryption scope beside it",
        ),
    ],
)
def test_settings_that_azure_would_refuse_are_refused_at_once(container, options, cause):
    client = azure_client("https://account.blob.core.windows.net")
    with pytest.raises(InvalidSetting) as caught:
        AzureStorage("cloud", client, container, **options)
    assert str(caught.value) == f"unable to use 'cloud': {cause}"


def test_a_prefix_is_a_folder_of_the_container_and_others_stay_out_of_sight(server, client, container):
    def below(prefix: str) -> AzureStorage:
        return AzureStorage("cloud", server.client(), container, prefix, emulator=True)

    below("ab").put_bytes("x", b"1")
    for spelling in ("a", "/a/", "a/"):
        assert list(below(spelling).list("")) == []
    below("a").put_bytes("y", b"2")
    client.upload_blob("a/folder/", b"")
    assert [info.key for info in below("a").list("")] == ["y"]
    assert client.get_blob_client("a/y").get_blob_properties().size == 1
    with pytest.raises(InvalidSetting):
        below("a/../b")


# --- TLS, and keys of customers -------------------------------------------------------------------


def test_a_customers_key_goes_with_every_request_that_opens_or_seals_and_over_tls_only(certificate, tmp_path):
    # Azurite refuses these headers, so that the requests are looked at and nothing is encrypted here.
    key, file = bytes(range(32)), tmp_path / "file"
    file.write_bytes(bytes(3 * MIB))
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    with AzureServer(certificate) as server:
        server.make_container("keys")
        storage = AzureStorage("cloud", server.client(attempts=1), "keys", part_size=MIB, customer_key=key)
        for act in (
            lambda: storage.put_bytes("a", b"1"),
            lambda: storage.put_file("a", file, sha256=digest),
            lambda: storage.get_bytes("a", limit=1),
            lambda: storage.read_range("a", 0, 1),
            lambda: storage.stat("a"),
        ):
            with pytest.raises(StorageUnavailable):  # 500, by Azurite
                act()
        told = [headers for headers in server.seen("/keys/a") if "x-ms-encryption-key" in headers]
        assert len(told) == len(server.seen("/keys/a")) >= 5
        for headers in told:
            assert headers["x-ms-encryption-key"] == b64encode(key).decode()
            assert headers["x-ms-encryption-key-sha256"] == b64encode(hashlib.sha256(key).digest()).decode()
            assert headers["x-ms-encryption-algorithm"] == "AES256"
        AzureStorage("cloud", server.client(), "keys").put_bytes("plain", b"1")  # TLS itself does
        stranger = azure_client(server.url, emulator=True, attempts=1)
        with pytest.raises(StorageUnavailable) as caught:
            AzureStorage("cloud", stranger, "keys").stat("plain")
        assert str(caught.value) == "unable to read 'plain': target 'cloud' cannot be reached (ServiceRequestError)"
    assert b64encode(key).decode() not in repr(storage._container)


# --- the client -----------------------------------------------------------------------------------


def test_the_command_lines_client_takes_credentials_from_the_sdks_chain_and_none_are_denied(monkeypatch):
    monkeypatch.setenv("AZURE_TOKEN_CREDENTIALS", "EnvironmentCredential")  # the chain's first, and no network
    for name in ("AZURE_CLIENT_ID", "AZURE_TENANT_ID", "AZURE_CLIENT_SECRET"):
        monkeypatch.delenv(name, raising=False)
    storage = AzureStorage("cloud", azure_client("https://127.0.0.1:1", attempts=1), "container")
    for verb, act in (
        ("store", lambda: storage.put_bytes("a", b"1")),
        ("read", lambda: storage.open("a")),
        ("list", lambda: list(storage.list("a"))),
    ):
        with pytest.raises(StorageDenied) as caught:
            act()
        cause = "there are no usable credentials for target 'cloud' (ClientAuthenticationError)"
        assert str(caught.value) == f"unable to {verb} 'a': {cause}"


def test_a_client_that_cannot_be_made_is_a_configuration_error():
    with pytest.raises(InvalidSetting) as caught:
        azure_client("")
    assert str(caught.value) == "unable to use 'azure': its account URL is not one"


def test_importing_the_driver_does_not_import_the_sdk():
    modules = ", ".join(
        f"rlg_backup.storage.{path.stem}" for path in Path(rlg_backup.__file__).parent.glob("storage/azure*.py")
    )
    text = f"import sys, {modules}; print([m for m in sys.modules if m.split('.')[0] in ('azure', 'msal', 'requests')])"
    path = str(Path(rlg_backup.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-c", text], env={"PYTHONPATH": path}, capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"


def test_the_lock_file_of_the_emulator_names_no_registry():
    text = (ROOT / "tests" / "support" / "azurite_npm" / "package-lock.json").read_text()
    assert '"resolved"' not in text
