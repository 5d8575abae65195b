"""What is being built at an address, and removed unless it is finished: the base of both destinations."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import ExitStack
from typing import Literal, Protocol

from ...core.errors import DestinationUnsuitable
from ..placing import Closing
from ..port import TableSource
from .address import Address
from .loading import Loading


class Reopen(Protocol):
    """Makes a source of what was built: a database, or only ``schemas`` of one."""

    def __call__(self, address: Address, *, schemas: Collection[str] | None = None) -> TableSource: ...


class Unfinished(Closing):
    """Use it as a context manager, or call ``close``.

    ``reopen`` makes the source that ``finish`` hands on to be proven. ``loaders`` are sessions that load rows, and
    that make indexes. ``altered`` says that rows were changed on their way (a masked backup, erasures): then foreign
    keys that rows break are a warning, not ParityFailed. Roles and tablespaces that the server lacks are refused, or
    with ``missing_roles="report"`` left out and told. ``warnings`` is filled by ``prepare`` and ``finish``.
    """

    def __init__(
        self,
        address: Address,
        *,
        reopen: Reopen,
        loaders: int = 2,
        altered: bool = False,
        missing_roles: Literal["fail", "report"] = "fail",
    ) -> None:
        self._address, self._reopen, self._altered = address, reopen, altered
        self._missing_ok = missing_roles == "report"
        self._ending = ExitStack()  # what removes what is unfinished
        self._loading: Loading | None = None
        self.loaders = loaders
        self.warnings: list[str] = []

    def close(self) -> None:
        """Removes what is not finished; idempotent. Raises DestinationUnsuitable when it cannot."""
        self._loading = None
        self._ending.close()

    def _load_into(self, address: Address) -> Loading:
        """From now on rows can be loaded there."""
        self._loading = Loading(address)
        self._ending.callback(self._loading.close)
        return self._loading

    def _open(self, verb: str, subject: str) -> Loading:
        if self._loading is None:
            raise DestinationUnsuitable(verb, subject, "nothing is being built")
        return self._loading
