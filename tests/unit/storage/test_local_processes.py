"""A folder used by several processes, killed ones too, and any sequence of operations on it."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rlg_backup
from rlg_backup.core.errors import (
    ObjectExists,
    StorageUnavailable,
)
from rlg_backup.storage.local import LocalStorage

EMPTY = hashlib.sha256(b"").hexdigest()
PLUGINS = str(Path(rlg_backup.__file__).parents[1])


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "backups" / "target"


@pytest.fixture
def storage(root: Path) -> LocalStorage:
    return LocalStorage("nas", root)


def program(text: str, *arguments: object) -> subprocess.Popen[str]:
    """Another process that has ``storage``, on the folder of the first argument, and ``sys``."""
    head = "import sys\nfrom pathlib import Path\nfrom rlg_backup.core.errors import *\n"
    head += "from rlg_backup.storage.local import LocalStorage\nstorage = LocalStorage('nas', Path(sys.argv[1]))\n"
    command = [sys.executable, "-c", head + text, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": PLUGINS})


def test_a_file_size_limit_reached_in_earnest_is_storage_full_and_leaves_nothing(storage, root, tmp_path):
    source = tmp_path / "source"
    source.write_bytes(bytes(3_000_000))
    digest = hashlib.sha256(bytes(3_000_000)).hexdigest()
    text = "import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, 2_000_000))\n"
    text += "try: storage.put_file('a', Path(sys.argv[2]), sha256=sys.argv[3])\nexcept StorageFull as e: print(e)"
    process = program(text, root, source, digest)
    assert process.communicate()[0] == "unable to store 'a': File too large on target 'nas'\n"
    assert process.returncode == 0
    assert [p.name for p in root.iterdir()] == []


# --- processes ------------------------------------------------------------------------------------


def test_processes_counting_by_compare_and_swap_lose_no_step(storage, root):
    storage.put_bytes("n", b"0")
    text = """
for _ in range(25):
    while True:
        data, info = storage.get_bytes('n', limit=9)
        try: storage.put_bytes('n', b'%d' % (int(data) + 1), replacing=info.tag); break
        except ObjectExists: pass
"""
    processes = [program(text, root) for _ in range(3)]
    assert [process.wait(60) for process in processes] == [0, 0, 0]
    for process in processes:
        process.stdout.close()
    assert storage.get_bytes("n", limit=9)[0] == b"75"


def test_processes_creating_and_deleting_in_one_folder_do_not_trip_over_its_removal(storage, root):
    text = "for i in range(40): storage.put_bytes(f'f/g/{sys.argv[2]}', b''); storage.delete(f'f/g/{sys.argv[2]}')"
    processes = [program(text, root, i) for i in range(3)]
    assert [process.wait(60) for process in processes] == [0, 0, 0]
    for process in processes:
        process.stdout.close()
    assert list(storage.list("")) == []


def test_a_killed_writer_leaves_nothing_listed_no_lock_and_what_sweep_removes(storage, root, tmp_path):
    source = tmp_path / "source"
    source.write_bytes(bytes(4_000_000))
    text = "import time\ndef stop(n): print(n, flush=True); time.sleep(60)\n"
    text += "storage.put_file('a', Path(sys.argv[2]), sha256='', progress=stop)"
    process = program(text, root, source)
    assert process.stdout.readline() == "1048576\n"
    assert list(storage.list("")) == []
    process.send_signal(signal.SIGKILL)
    process.wait(10)
    process.stdout.close()
    assert list(storage.list("")) == []
    assert len(list(root.glob(".tmp-*"))) == 1
    storage.put_bytes("a", b"another writer goes on")
    assert storage.sweep(timedelta(hours=1)) == 0
    time.sleep(0.01)
    assert storage.sweep(timedelta(0)) == 1
    assert sorted(p.name for p in root.iterdir()) == [".lock", "a"]


def test_a_lock_that_is_never_released_is_reported_in_the_end(storage, root, monkeypatch):
    monkeypatch.setattr("rlg_backup.storage.folder._LOCK_PATIENCE", 0.05)
    storage.put_bytes("a", b"")
    with storage._folder.locked(), pytest.raises(StorageUnavailable) as caught:
        storage.put_bytes("b", b"")
    assert str(caught.value) == "unable to store 'b': Connection timed out on target 'nas'"
    storage.put_bytes("b", b"")


# --- a model --------------------------------------------------------------------------------------

KEYS = st.sampled_from(["a", "b/c", "b/d", "b-", "b0", "b/e/f"])
ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("create"), KEYS, st.binary(max_size=4)),
        st.tuples(st.just("replace"), KEYS, st.binary(max_size=4), st.integers(0, 3)),
        st.tuples(st.just("delete"), KEYS),
        st.tuples(st.just("list"), st.sampled_from(["", "b", "b/", "b/e", "b0"])),
    ),
    max_size=25,
)


@settings(max_examples=60, deadline=None)
@given(ACTIONS)
def test_any_sequence_of_operations_behaves_as_a_dictionary_would(tmp_path_factory, actions):
    storage = LocalStorage("nas", tmp_path_factory.mktemp("model"))
    model: dict[str, tuple[bytes, str]] = {}
    tags: dict[str, list[str]] = {}
    for action, key, *rest in actions:
        if action == "list":
            found = [(i.key, i.size, i.tag) for i in storage.list(key)]
            assert found == [(k, len(d), t) for k, (d, t) in sorted(model.items()) if k.startswith(key)]
        elif action == "delete":
            storage.delete(key)
            model.pop(key, None)
        else:
            known = tags.setdefault(key, [])
            replacing = known[-rest[1] % len(known)] if action == "replace" and known else None
            wins = key not in model if replacing is None else key in model and model[key][1] == replacing
            try:
                info = storage.put_bytes(key, rest[0], replacing=replacing)
            except ObjectExists:
                assert not wins
                continue
            assert wins
            assert info.tag not in known
            known.append(info.tag)
            model[key] = (rest[0], info.tag)
    for key, (data, tag) in model.items():
        assert storage.get_bytes(key, limit=4) == (data, storage.stat(key))
        assert storage.stat(key).tag == tag
