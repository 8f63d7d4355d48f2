"""Wait for a database server that went away, and start it again if it is the embedded one."""

import threading
import time
from collections.abc import Callable
from typing import TypeVar

import psycopg2

from crm_pipeline.store.postgres.embedded import EmbeddedServer, is_passing

T = TypeVar("T")
_PATIENCE_S = 15.0  # a restart takes seconds
_AGAIN_AFTER_S = 0.2


class Reconnection:
    """Opens connections, with waiting; safe with threads.

    It does not wait for a server that was never reached, because its name may be wrong. Nor does it wait again
    for a server that did not come back in time, until a connection succeeds.

    Args:
        server: the embedded server, which is started again if it was killed.
        was_reached: another caller has just been connected to it.
    """

    def __init__(self, server: EmbeddedServer | None = None, *, was_reached: bool = False) -> None:
        self.server = server
        self._was_reached = threading.Event()
        if was_reached:
            self._was_reached.set()

    def connected(self, connect: Callable[[], T]) -> T:
        """Return the connection of `connect` as soon as that succeeds.

        Raises:
            psycopg2.OperationalError: it fails for a permanent reason, or for too long.
            DatabaseUnavailable, DiskFull: the embedded server was killed and does not start again.
        """
        until = time.monotonic() + (_PATIENCE_S if self._was_reached.is_set() else 0.0)
        while True:
            try:
                connection = connect()
            except psycopg2.OperationalError as error:
                if not is_passing(error) or time.monotonic() >= until:
                    self._was_reached.clear()
                    raise
                if self.server is not None:
                    self.server.revive()
                time.sleep(_AGAIN_AFTER_S)
            else:
                self._was_reached.set()
                return connection
