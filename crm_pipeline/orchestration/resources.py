"""What runs are handed: settings, stores, accounts, a clock, and somebody to tell about progress.

Nothing is opened before it is asked for, so that definitions load with an empty environment.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from crm_pipeline.connectors.base import Account
from crm_pipeline.kernel.clock import Clock, SystemClock
from crm_pipeline.settings import Settings
from crm_pipeline.stages.published import ApiAccounts
from crm_pipeline.stages.raw import opened
from crm_pipeline.store.database import running_database
from crm_pipeline.store.engine import Engine
from crm_pipeline.store.gate import Gate
from crm_pipeline.store.landing import Landing
from crm_pipeline.store.tables import Tables
from crm_pipeline.wire.retry import RetryPolicy

Tell = Callable[[str, int, int | None], None]
"""Told `(step, records so far, records expected)`."""


class Workspace:
    """The one resource of all assets, schedules and sensors; its name in Dagster is `crm`.

    Args:
        tell: is told about progress; by default nobody is.
    """

    def __init__(
        self, settings: Settings, *, clock: Clock | None = None, tell: Tell | None = None
    ) -> None:
        self.settings = settings
        self.clock = clock or SystemClock()
        self.landing = Landing(settings.data, self.clock)
        self.tables = Tables(settings.data)
        self._tell = tell
        # One budget of retries for a connection, whatever the step: after a few steps against a host
        # that is down the others fail at once.
        self._patience: dict[str, RetryPolicy] = {}

    @contextmanager
    def account(self, connection: str) -> Iterator[Account]:
        """Open the account of a connection.

        Raises:
            SecretMissing: one of its environment variables is not set.
            DatabaseUnavailable: PostgreSQL cannot be reached.
        """
        patience = self._patience.setdefault(connection, RetryPolicy())
        with (
            running_database(self.settings) as database,
            opened(
                self.settings, connection, database, clock=self.clock, retry=patience
            ) as account,
        ):
            yield account

    def engine(self) -> Engine:
        """Return a DuckDB engine for one step; use it as a context manager."""
        memory_limit = f"{self.settings.memory_mb}MB"
        return Engine(self.settings.data / "tmp", memory_limit=memory_limit)

    def api_accounts(self) -> ApiAccounts:
        """Return what calls cost by day, and how the vendors' limits stand."""
        with running_database(self.settings) as database, Gate(database, self.clock) as gate:
            return ApiAccounts(gate.usage_by_day(), gate.usage())

    def progress(self, step: str) -> Callable[[int, int | None], None]:
        """Return what a stage calls after each page."""

        def told(records: int, expected: int | None) -> None:
            if self._tell is not None:
                self._tell(step, records, expected)

        return told
