"""Waiting for a database server that was there and is gone, and starting it again where it is ours."""

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
    """Makes connections; safe with threads.

    A server that never answered is not waited for: somebody mistyped its name. One that did not come back
    in time is not waited for again until it has been there once more.

    Args:
        server: the embedded one that is connected to; if it was killed it is started again.
        was_there: somebody else has been connected to it just now.
    """

    def __init__(self, server: EmbeddedServer | None = None, *, was_there: bool = False) -> None:
        self.server = server
        self._was_there = threading.Event()
        if was_there:
            self._was_there.set()

    def connected(self, connect: Callable[[], T]) -> T:
        """Return what `connect` returns, as soon as it does.

        Raises:
            psycopg2.OperationalError: it fails for a reason that does not pass, or for too long.
            DatabaseUnavailable, DiskFull: the embedded server was killed and does not start again.
        """
        until = time.monotonic() + (_PATIENCE_S if self._was_there.is_set() else 0.0)
        while True:
            try:
                connection = connect()
            except psycopg2.OperationalError as error:
                if not is_passing(error) or time.monotonic() >= until:
                    self._was_there.clear()
                    raise
                if self.server is not None:
                    self.server.revive()
                time.sleep(_AGAIN_AFTER_S)
            else:
                self._was_there.set()
                return connection
