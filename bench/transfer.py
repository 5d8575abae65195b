"""One upload or download of one file, by our driver or by the vendor's SDK, as a process of its own; ours removes, too.

Prints the seconds that the transfer took, without imports and without making the client.
"""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from rlg_backup.config.targets import RemoteTarget
from rlg_backup.engine.targets import open_storage, own_client

PIECE = 1 << 20
Call = Callable[[str, Path], object]


def main(who: str, verb: str, settings: str, key: str, file: str, sha256: str) -> None:
    target: Any = TypeAdapter(RemoteTarget).validate_python(json.loads(settings))
    calls = _ours(target, sha256) if who == "ours" else SDK[target.type](own_client("bench", target), target)
    start = time.perf_counter()
    calls[verb](key, Path(file))
    print(time.perf_counter() - start)


def _ours(target: RemoteTarget, sha256: str) -> Mapping[str, Call]:
    storage = open_storage("bench", target)

    def download(key: str, file: Path) -> None:
        with storage.open(key) as stream, file.open("wb") as sink:
            shutil.copyfileobj(stream, sink, PIECE)

    return {
        "upload": lambda key, file: storage.put_file(key, file, sha256=sha256),
        "download": download,
        "remove": lambda key, file: storage.erase(key),
    }


def _s3(client: Any, target: Any) -> Mapping[str, Call]:
    return {
        "upload": lambda key, file: client.upload_file(str(file), target.bucket, key),
        "download": lambda key, file: client.download_file(target.bucket, key, str(file)),
    }


def _gcs(client: Any, target: Any) -> Mapping[str, Call]:
    bucket = client.bucket(target.bucket)
    return {
        "upload": lambda key, file: bucket.blob(key).upload_from_filename(str(file)),
        "download": lambda key, file: bucket.blob(key).download_to_filename(str(file)),
    }


def _azure(client: Any, target: Any) -> Mapping[str, Call]:
    container = client.get_container_client(target.container)

    def upload(key: str, file: Path) -> None:
        with file.open("rb") as stream:
            container.upload_blob(key, stream, max_concurrency=4)

    def download(key: str, file: Path) -> None:
        with file.open("wb") as sink:
            container.download_blob(key, max_concurrency=4).readinto(sink)

    return {"upload": upload, "download": download}


SDK: Mapping[str, Callable[[Any, Any], Mapping[str, Call]]] = {"s3": _s3, "gcs": _gcs, "azure": _azure}

if __name__ == "__main__":
    main(*sys.argv[1:])
