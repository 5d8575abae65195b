"""Keys and their references: what is found, what is refused, and that no secret ever shows."""

from __future__ import annotations

import hashlib
import os
import pickle
import stat
import sys
import time
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidSignature

from rlg_backup.core.errors import KeyMalformed, KeyUnavailable, StorageUnavailable
from rlg_backup.format.age import bech32, generate_identity
from rlg_backup.format.keys import (
    MAX_KEY_TEXT,
    KeyProvider,
    SecretKey,
    Signer,
    SigningKey,
    StagingKey,
    TokenizationKey,
)

SEED = bytes(range(32))
every_secret = pytest.mark.parametrize("kind", [SigningKey, TokenizationKey, StagingKey])


def write(path: Path, text: str, mode: int = 0o600) -> Path:
    path.write_text(text)
    path.chmod(mode)
    return path


def provider(base: Path, **resolvers: object) -> KeyProvider:
    return KeyProvider(resolvers, base)  # type: ignore[arg-type]


def unavailable(keys: KeyProvider, reference: str) -> str:
    with pytest.raises(KeyUnavailable) as caught:
        keys.text(reference)
    return str(caught.value)


@every_secret
def test_a_secret_key_is_bech32_of_its_bytes_in_upper_case_and_parses_back(kind: type[SecretKey]) -> None:
    key = kind(SEED)
    assert key.text == bech32.encode(kind.prefix, SEED).upper()
    assert kind.parse(f"  {key.text}\n").secret == SEED
    assert kind.generate().secret != kind.generate().secret


def test_the_texts_begin_as_the_format_says() -> None:
    assert SigningKey(SEED).text.startswith("RLG-SIGNING-KEY-1")
    assert TokenizationKey(SEED).text.startswith("RLG-TOKENIZATION-KEY-1")
    assert StagingKey(SEED).text.startswith("RLG-STAGING-KEY-1")
    assert SigningKey(SEED).signer.text.startswith("rlgsigner1")


def test_the_texts_of_known_keys_never_change() -> None:
    assert SigningKey(SEED).text == "RLG-SIGNING-KEY-1QQQSYQCYQ5RQWZQFPG9SCRGWPUGPZYSNZS23V9CCRYDPK8QARC0SV523QU"
    assert SigningKey(SEED).signer.text == "rlgsigner1qwss00lnecgtu8tsm5vwwj7qn9n7f43snwjs6hcamjrxgyj4xxuq8evt3z"
    assert SigningKey(SEED).key_id == "56475aa75463474c"
    assert (
        TokenizationKey(SEED).text == "RLG-TOKENIZATION-KEY-1QQQSYQCYQ5RQWZQFPG9SCRGWPUGPZYSNZS23V9CCRYDPK8QARC0SYEX3PZ"
    )
    assert StagingKey(SEED).text == "RLG-STAGING-KEY-1QQQSYQCYQ5RQWZQFPG9SCRGWPUGPZYSNZS23V9CCRYDPK8QARC0SUGZPQ2"


@every_secret
def test_no_secret_key_shows_itself_or_can_be_pickled(kind: type[SecretKey]) -> None:
    key = kind(SEED)
    assert repr(key) == str(key) == f"{kind.__name__}({key.key_id})"
    with pytest.raises(TypeError, match=rf"^a {kind.what} is not to be pickled$"):
        pickle.dumps(key)


@every_secret
def test_the_text_of_another_key_is_refused_without_showing_it(kind: type[SecretKey]) -> None:
    for other in {SigningKey, TokenizationKey, StagingKey} - {kind}:
        with pytest.raises(KeyMalformed) as caught:
            kind.parse(other(SEED).text)
        shown = f"{kind.prefix.upper()}1"
        assert str(caught.value) == f"unable to read '{kind.what}': it does not begin with '{shown}'"
    with pytest.raises(KeyMalformed) as caught:
        kind.parse(bech32.encode(kind.prefix, bytes(31)).upper())
    assert str(caught.value) == f"unable to read '{kind.what}': it holds 31 bytes, not 32"
    with pytest.raises(KeyMalformed) as caught:
        kind.parse(kind(SEED).text.lower())
    assert str(caught.value) == f"unable to read '{kind.what}': it does not begin with '{shown}'"


@every_secret
def test_a_secret_of_another_length_is_a_mistake_of_the_caller(kind: type[SecretKey]) -> None:
    with pytest.raises(ValueError, match=rf"^a {kind.what} is of 32 bytes$"):
        kind(bytes(16))


def test_a_signature_verifies_with_its_signer_and_with_nothing_else() -> None:
    key = SigningKey.generate()
    signature = key.sign(b"message")
    Signer.parse(key.signer.text).verify(b"message", signature)
    for signer, message, data in (
        (key.signer, b"massage", signature),
        (key.signer, b"message", bytes(64)),
        (key.signer, b"message", b""),
        (SigningKey.generate().signer, b"message", signature),
    ):
        with pytest.raises(InvalidSignature):
            signer.verify(message, data)


def test_key_ids_are_as_the_format_says() -> None:
    public = bech32.decode(SigningKey(SEED).signer.text)[1]
    assert SigningKey(SEED).key_id == SigningKey(SEED).signer.key_id == hashlib.sha256(public).hexdigest()[:16]
    assert TokenizationKey(SEED).key_id == hashlib.sha256(SEED).hexdigest()[:16]


def test_signers_are_equal_when_their_keys_are() -> None:
    signer = SigningKey(SEED).signer
    assert {signer, Signer.parse(signer.text)} == {signer}
    assert signer != SigningKey.generate().signer
    assert repr(signer) == f"Signer({signer.key_id})"


def test_a_secret_given_for_a_signer_is_named_as_one() -> None:
    with pytest.raises(KeyMalformed) as caught:
        Signer.parse(SigningKey(SEED).text)
    assert str(caught.value) == (
        "unable to read 'signer': it is a secret key\n"
        "hint: trust needs only the public half, which begins with rlgsigner1"
    )


def test_each_staged_file_has_a_key_of_its_own() -> None:
    key = StagingKey(SEED)
    base = ("run", "rlg_data", "try-1", "default.zip")
    made = {key.file_key(bytes(16), *base), key.file_key(bytes([1]) + bytes(15), *base)}
    for index in range(4):
        made.add(key.file_key(bytes(16), *(part + "x" if index == at else part for at, part in enumerate(base))))
    assert len(made) == 6
    assert key.file_key(bytes(16), *base).hex() == "8304733b40965f2feaf599ee75030a1a8e12a27b8d3951c32a23a90f64535eca"


def test_a_file_is_found_from_the_base_folder_and_trimmed(tmp_path: Path) -> None:
    write(tmp_path / "key.txt", "\n secret text \n\n")
    keys = provider(tmp_path)
    assert keys.text("file:key.txt") == keys.text(f"file:{tmp_path / 'key.txt'}") == "secret text"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o601])
def test_a_file_that_others_can_use_is_refused_with_the_way_out(tmp_path: Path, mode: int) -> None:
    path = write(tmp_path / "key file", "x", mode)
    assert unavailable(provider(tmp_path), "file:key file") == (
        f"unable to read 'file:key file': others than its owner can use the file (mode {mode:03o})\n"
        f"hint: chmod 600 '{path}'"
    )


def test_a_file_that_gives_no_text_is_refused_with_its_fault(tmp_path: Path) -> None:
    keys = provider(tmp_path)
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe", 0o600)
    write(tmp_path / "empty", " \n")
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    (tmp_path / "binary").chmod(0o600)
    write(tmp_path / "large", "#" * (MAX_KEY_TEXT + 1))
    faults = {
        "missing": "there is no such file",
        "folder": "it is not a regular file",
        "pipe": "it is not a regular file",
        "empty": "it is not set, or empty",
        "binary": "it is not text",
        "large": "it holds more than 65536 bytes",
        "empty/below": "the file cannot be read (Not a directory)",
        "nul\0": "the file cannot be read (its path is not one)",
    }
    for name, cause in faults.items():
        assert unavailable(keys, f"file:{name}") == f"unable to read 'file:{name}': {cause}"


def test_a_variable_is_found_and_one_that_is_not_set_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RLG_TEST_KEY", "from the environment\n")
    monkeypatch.setenv("RLG_TEST_EMPTY", "")
    keys = provider(tmp_path)
    assert keys.text("env:RLG_TEST_KEY") == "from the environment"
    for name in ("RLG_TEST_EMPTY", "RLG_TEST_MISSING"):
        assert unavailable(keys, f"env:{name}") == f"unable to read 'env:{name}': it is not set, or empty"


def test_a_command_runs_in_the_base_folder_without_a_shell(tmp_path: Path) -> None:
    write(tmp_path / "key.txt", "from a command\n")
    keys = provider(tmp_path)
    assert keys.text("exec:cat key.txt") == "from a command"
    assert keys.text("exec:echo 'two  words' $HOME ;") == "two  words $HOME ;"


def test_a_command_that_fails_shows_nothing_of_what_it_wrote_nor_its_arguments(tmp_path: Path) -> None:
    reference = "exec:sh -c 'echo secret-out; echo secret-err >&2; exit 3'"
    assert unavailable(provider(tmp_path), reference) == (
        "unable to read 'exec:sh': the command ended with status 3\n"
        "hint: run it by hand to see why: what it wrote is not shown here"
    )


def test_a_command_that_cannot_run_is_refused_with_its_fault(tmp_path: Path) -> None:
    keys = provider(tmp_path)
    quotes = "the command's quotes do not match, or it is empty"
    faults = {
        "exec:./missing-program": "'exec:./missing-program': the command cannot be started (No such file or directory)",
        "exec:echo 'a": f"'exec:echo': {quotes}",
        "exec:": f"'exec:': {quotes}",
        "exec:true": "'exec:true': it is not set, or empty",
        f"exec:{sys.executable} -c 'import os; os.write(1, bytes([255]))'": f"'exec:{sys.executable}': it is not text",
        "exec:head -c 70000 /dev/zero": "'exec:head': it holds more than 65536 bytes",
    }
    for reference, cause in faults.items():
        assert unavailable(keys, reference) == f"unable to read {cause}"


def test_a_command_that_does_not_end_is_ended_with_its_children(tmp_path: Path) -> None:
    keys = KeyProvider(None, tmp_path, exec_seconds=0.3)
    started = time.monotonic()
    reference = "exec:sh -c 'sleep 60 & echo $! > child; wait'"
    assert unavailable(keys, reference) == "unable to read 'exec:sh': the command did not end within 0.3 s"
    assert time.monotonic() - started < 10
    child = Path("/proc") / (tmp_path / "child").read_text().strip() / "stat"
    deadline = time.monotonic() + 10  # the signal was sent; the system may take its time to deliver it
    while _runs(child) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not _runs(child)


def _runs(process: Path) -> bool:
    try:
        return process.read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_a_scheme_of_a_resolver_is_asked_and_its_failure_does_not_show_what_it_said(tmp_path: Path) -> None:
    def secret(name: str) -> str:
        if name == "broken":
            raise RuntimeError("the backend says: password=hunter2")
        if name == "down":
            raise StorageUnavailable("read", "secret:down", "the backend does not answer")
        return "" if name == "empty" else f"value of {name}"

    keys = provider(tmp_path, secret=secret)
    assert keys.text("secret:a/b") == "value of a/b"
    assert unavailable(keys, "secret:broken") == "unable to read 'secret:broken': its backend failed with RuntimeError"
    assert unavailable(keys, "secret:empty") == "unable to read 'secret:empty': it is not set, or empty"
    with pytest.raises(StorageUnavailable):
        keys.text("secret:down")


def test_a_key_in_place_of_a_reference_is_refused_without_showing_it(tmp_path: Path) -> None:
    texts = [kind(SEED).text for kind in (SigningKey, TokenizationKey, StagingKey)]
    texts += [generate_identity(post_quantum=quantum).text for quantum in (False, True)]
    for text in (*texts, texts[0].lower(), f" {texts[0]}"):
        assert unavailable(provider(tmp_path), text) == (
            "unable to read 'key reference': it is a key itself, not a reference to one\n"
            "hint: put the key into a file of mode 600 and write file:PATH, or use env:NAME or exec:COMMAND"
        )


def test_a_reference_without_a_known_scheme_is_refused_without_showing_it(tmp_path: Path) -> None:
    cause = "unable to read 'key reference': it begins with none of env:, exec:, file:"
    for reference in ("hunter2", "vault:hunter2", "", "file"):
        assert unavailable(provider(tmp_path), reference) == cause
    assert unavailable(provider(tmp_path, secret=str), "x:y") == f"{cause}, secret:"


def test_a_file_may_hold_comments_and_several_identities(tmp_path: Path) -> None:
    first, second, third = (generate_identity(post_quantum=quantum) for quantum in (False, True, False))
    write(
        tmp_path / "two", f"# created: today\n# public key: {first.recipient.text}\n{first.text}\n\n  {second.text}\r\n"
    )
    write(tmp_path / "one", third.text)
    found = provider(tmp_path).identities(["file:two", "file:one"])
    assert [identity.recipient for identity in found] == [each.recipient for each in (first, second, third)]
    assert provider(tmp_path).identities([]) == []


def test_a_wrong_line_of_a_key_file_is_named_by_its_number_only(tmp_path: Path) -> None:
    write(tmp_path / "keys", f"# comment\n{generate_identity(post_quantum=False).text}\nhunter2\n")
    with pytest.raises(KeyMalformed) as caught:
        provider(tmp_path).identities(["file:keys"])
    cause = "line 3 is not a valid age identity: it does not begin with 'AGE-SECRET-KEY-'"
    assert str(caught.value) == f"unable to read 'file:keys': {cause}"


def test_a_file_of_comments_holds_no_key(tmp_path: Path) -> None:
    write(tmp_path / "keys", "# nothing yet\n")
    with pytest.raises(KeyUnavailable) as caught:
        provider(tmp_path).identities(["file:keys"])
    assert str(caught.value) == "unable to read 'file:keys': it holds no key"


def test_single_keys_are_found_and_two_in_one_place_are_refused(tmp_path: Path) -> None:
    keys = provider(tmp_path)
    finders = {SigningKey: keys.signing_key, TokenizationKey: keys.tokenization_key, StagingKey: keys.staging_key}
    for kind, find in finders.items():
        write(tmp_path / "key", f"# of the tests\n{kind(SEED).text}\n")
        key = find("file:key")
        assert (type(key), key.secret) == (kind, SEED)
        write(tmp_path / "key", f"{kind(SEED).text}\n{kind(SEED).text}\n")
        with pytest.raises(KeyMalformed) as caught:
            find("file:key")
        assert str(caught.value) == "unable to read 'file:key': it holds 2 keys, and one is needed"


def test_public_keys_may_stand_in_the_configuration_or_in_a_file_that_others_can_read(tmp_path: Path) -> None:
    people = [generate_identity(post_quantum=True).recipient, generate_identity(post_quantum=False).recipient]
    write(tmp_path / "people", f"{people[1].text}\n", mode=0o644)
    keys = provider(tmp_path)
    assert keys.recipients([people[0].text, "file:people"]) == people
    signers = [SigningKey.generate().signer, SigningKey.generate().signer]
    write(tmp_path / "signers", f"# auditors\n{signers[1].text}\n", mode=0o644)
    assert keys.signers([signers[0].text, "file:signers"]) == signers


def test_an_identity_among_the_recipients_is_refused_wherever_it_stands(tmp_path: Path) -> None:
    secret = generate_identity(post_quantum=False).text
    write(tmp_path / "people", secret)
    with pytest.raises(KeyMalformed) as caught:
        provider(tmp_path).recipients(["file:people"])
    assert str(caught.value) == (
        "unable to read 'file:people': line 1 is not a valid age recipient: it is an identity, the secret half\n"
        "hint: encrypting needs only the public half; keep the identity where restores run"
    )
    with pytest.raises(KeyUnavailable):
        provider(tmp_path).recipients([secret])


def test_the_mode_of_a_key_file_is_that_of_the_file_a_link_leads_to(tmp_path: Path) -> None:
    write(tmp_path / "key", "x", 0o644)
    (tmp_path / "link").symlink_to(tmp_path / "key")
    assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o644
    assert "(mode 644)" in unavailable(provider(tmp_path), "file:link")
