"""A session that gives rows as Arrow batches, by ADBC's own bindings.

Its DBAPI layer would import pyarrow.dataset, and that pandas: 45 MB and a third of a second in every process.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

from .faults import unreadable

if TYPE_CHECKING:
    from adbc_driver_manager._reader import AdbcRecordBatchReader

    from .address import Address


class Session:
    """Each statement is a transaction of its own unless one is begun. For one thread at a time."""

    def __init__(self, address: Address) -> None:
        """Raises SourceUnreadable and SourceUnavailable."""
        import adbc_driver_manager
        import adbc_driver_postgresql

        try:
            self._database = adbc_driver_postgresql.connect(address.conninfo())
            try:
                self._connection = adbc_driver_manager.AdbcConnection(self._database)
            except BaseException:
                self._database.close()
                raise
        except adbc_driver_manager.Error as error:
            raise unreadable("connect to", str(address), error) from None

    def close(self) -> None:
        """Ends it; idempotent."""
        self._connection.close()
        self._database.close()

    def execute(self, statement: str) -> None:
        """Runs a statement that gives no rows; raises adbc_driver_manager.Error."""
        import adbc_driver_manager

        with closing(adbc_driver_manager.AdbcStatement(self._connection)) as made:
            made.set_sql_query(statement)
            made.execute_update()

    @contextmanager
    def rows(self, query: str, batch_bytes: int) -> Iterator[AdbcRecordBatchReader]:
        """The rows of a query, in batches of about so many bytes, while the block runs. Raises, and the reader does,
        adbc_driver_manager.Error."""
        import adbc_driver_manager
        from adbc_driver_manager._reader import AdbcRecordBatchReader  # pyarrow's own drops the SQLSTATE of an error

        with closing(adbc_driver_manager.AdbcStatement(self._connection)) as made:
            made.set_options(**{"adbc.postgresql.batch_size_hint_bytes": str(batch_bytes)})
            made.set_sql_query(query)
            stream, _ = made.execute_query()
            with closing(AdbcRecordBatchReader._import_from_c(stream.address)) as reader:
                yield reader
