"""Connections to PostgreSQL: the choice of server, a pool, transactions.

The embedded server is in `embedded.py`, the migrations of our schema in `migrations.py`. The contents of the
tables belong to the modules that use them (`tokens.py`, `limiter.py` and so on).
"""

import contextlib
import os
import re
import select
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

import psycopg2
from psycopg2.extensions import connection as Connection  # noqa: N812 - a class, whatever its case
from psycopg2.extensions import cursor as Cursor  # noqa: N812

from crm_pipeline.kernel.errors import DatabaseUnavailable, DiskFull, StoreError
from crm_pipeline.kernel.secret import redacted
from crm_pipeline.store.files.disk import disk_full, is_full
from crm_pipeline.store.postgres.embedded import EmbeddedServer
from crm_pipeline.store.postgres.migrations import apply_migrations
from crm_pipeline.store.postgres.reconnection import Reconnection

URL_VARIABLE = "CRM_DATABASE_URL"
_SCHEME = re.compile(r"\Apostgres(?:ql)?(?:\+[a-z0-9]+)?://")
_CONNECT_TIMEOUT_S = 10
_IDLE_UNPROVEN_S = 30.0
_IDLE_KEPT = 10
_ROOM = "run it again: PostgreSQL goes on by itself"
T = TypeVar("T")
_CURE = (
    f"Start the embedded server with `crm-pipeline db start`, or mend {URL_VARIABLE} (name, password,"
    " network, firewall) if you use a server of yours."
)


class DatabaseSettings(Protocol):
    """The part of the settings that names the database."""

    @property
    def data(self) -> Path:
        """The data folder."""

    @property
    def environ(self) -> Mapping[str, str]:
        """The environment, `.env` included."""


class Database:
    """A pool of connections to one database; opened at first use, safe with threads.

    At most ten idle connections are kept. The number of open ones has no bound but the number of threads: a
    transaction may wait for code that needs a connection, too (a token refresh asks the limiter). A forked process
    opens connections of its own.

    Args:
        url: `postgresql://`, `postgres://` or SQLAlchemy's `postgresql+psycopg2://`.
        server: the embedded server with this URL; it is started again if it is killed.
    """

    def __init__(self, url: str, *, server: EmbeddedServer | None = None) -> None:
        if not _SCHEME.match(url):
            raise StoreError(
                "the database URL does not begin with postgresql://.",
                cure=f"Write {URL_VARIABLE} as postgresql://user:password@host:5432/database.",
            )
        self._dsn = _SCHEME.sub("postgresql://", url)
        self._reconnection = Reconnection(server)
        self._lock = threading.Lock()
        self._reset()

    def _reset(self) -> None:
        self._pid = os.getpid()
        self._idle: list[tuple[Connection, float]] = []

    def __repr__(self) -> str:
        return f"Database({redacted(self._dsn)!r})"

    def __enter__(self) -> "Database":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextlib.contextmanager
    def transaction(self) -> Iterator[Cursor]:
        """Yield a cursor; commit at the end, roll back on any exception.

        A connection that broke while idle (the server was restarted) is replaced. One that breaks later is not,
        because the statements sent may have been executed. `done` tries again.

        Raises:
            DatabaseUnavailable: the server cannot be reached, or the connection broke on the way.
            DiskFull: the server has no room to write.
            StoreError: the server failed, although the statements are correct.
        """
        connection = self._checked_out()
        try:
            with connection.cursor() as cursor:
                yield cursor
            connection.commit()
        except psycopg2.Error as error:
            if _is_broken(connection):
                raise self._lost(error) from error
            if isinstance(error, psycopg2.OperationalError | psycopg2.InternalError):
                raise self._unable(error) from error
            raise
        finally:
            self._check_in(connection)

    @contextlib.contextmanager
    def autocommit(self) -> Iterator[Cursor]:
        """Yield a cursor outside of transactions, for statements that no transaction may hold.

        Raises:
            DatabaseUnavailable: the server cannot be reached.
        """
        connection = self._connected()
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                yield cursor
        finally:
            connection.close()

    def done(self, work: Callable[[Cursor], T]) -> T:
        """Run `work` in a transaction, once more where the connection broke; return its result.

        For work that may run twice: if only the response to the commit was lost, it has run already.

        Raises:
            DatabaseUnavailable, DiskFull, StoreError: as `transaction`.
        """
        try:
            with self.transaction() as cursor:
                return work(cursor)
        except DatabaseUnavailable as error:
            if not error.on_the_way:
                raise
        with self.transaction() as cursor:
            return work(cursor)

    def migrate(self) -> list[str]:
        """Bring the schema `crm_state` up to date; return the names of what was applied.

        Raises:
            StoreError: a migration failed, or one that was applied has been edited since.
        """
        with self.transaction() as cursor:
            return apply_migrations(cursor)

    def close(self) -> None:
        """Close the idle connections; the next transaction opens new ones."""
        with self._lock:
            idle, self._idle = self._idle, []
        for connection, _ in idle:
            connection.close()

    def _checked_out(self) -> Connection:
        while True:
            with self._lock:
                # Two processes on one connection would read each other's results.
                if self._pid != os.getpid():
                    self._reset()
                connection, since = self._idle.pop() if self._idle else (None, 0.0)
            if connection is None:
                return self._connected()
            if _is_alive(connection, idle_s=time.monotonic() - since):
                return connection
            connection.close()

    def _check_in(self, connection: Connection) -> None:
        if not _is_broken(connection):
            with contextlib.suppress(psycopg2.Error):
                connection.rollback()
        with self._lock:
            kept = not _is_broken(connection) and len(self._idle) < _IDLE_KEPT
            if kept and self._pid == os.getpid():
                self._idle.append((connection, time.monotonic()))
                return
        connection.close()

    def _connected(self) -> Connection:
        try:
            return self._reconnection.connected(self._connected_at_once)
        except psycopg2.OperationalError as error:
            raise self._unreachable(error) from error

    def _connected_at_once(self) -> Connection:
        try:
            return psycopg2.connect(
                self._dsn,
                connect_timeout=_CONNECT_TIMEOUT_S,
                application_name="crm-pipeline",
                keepalives_idle=30,
            )
        except psycopg2.ProgrammingError:
            # Its text holds the URL with the password, so it must not be the cause either.
            raise StoreError(
                "the database URL cannot be read.",
                cure=f"Write {URL_VARIABLE} as postgresql://user:password@host:5432/database, special"
                " characters of the password percent-encoded.",
            ) from None

    def _unreachable(self, error: Exception) -> StoreError:
        if is_full(error):
            return self._unable(error)
        reason = _words(error).partition(" Is the server running")[0]
        return DatabaseUnavailable(
            f"PostgreSQL at {redacted(self._dsn)} cannot be reached: {reason}.", cure=_CURE
        )

    def _unable(self, error: Exception) -> StoreError:
        """Return the error for a failure of the server."""
        failure = f"PostgreSQL at {redacted(self._dsn)} could not do its work: {_words(error)}"
        if not is_full(error):
            return StoreError(
                f"{failure}.", cure="Run it again; if it persists, the server's log says more."
            )
        if (server := self._reconnection.server) is not None:
            return disk_full(failure, server.folder, _ROOM)
        return DiskFull(
            f"{failure}.", cure=f"Free some space on the disk of that server and {_ROOM}."
        )

    def _lost(self, error: Exception) -> DatabaseUnavailable:
        lost = DatabaseUnavailable(
            f"the connection to PostgreSQL at {redacted(self._dsn)} broke in the middle of a"
            f" transaction: {_words(error)}.",
            cure="It is rolled back unless it was just being committed; run the step again. "
            + _CURE,
        )
        lost.on_the_way = True
        return lost


def database_url(settings: DatabaseSettings) -> str | None:
    """Return the URL of the database in SQLAlchemy's form; None where no server is named or runs.

    `CRM_DATABASE_URL` comes first, then a running embedded server of the data folder.
    """
    given = settings.environ.get(URL_VARIABLE, "").strip()
    if given:
        return _SCHEME.sub("postgresql+psycopg2://", given)
    return EmbeddedServer(settings.data).url()


@dataclass
class _Opened:
    """A database that blocks of this process use at the same time, and what ends with the last of them."""

    database: Database
    server: EmbeddedServer | None
    ends: contextlib.ExitStack
    users: int = 1


_opened: dict[tuple[int, str], _Opened] = {}
_opened_lock = threading.Lock()


@contextlib.contextmanager
def running_database(settings: DatabaseSettings) -> Iterator[Database]:
    """Yield the database with its schema up to date; start the embedded server if needed.

    A server that was started here is stopped once no process uses it in this way any more. A block inside another one
    gets the same database: the steps of a run do not connect and look for migrations again.

    Raises:
        StoreError, DatabaseUnavailable: see `EmbeddedServer.start` and `Database.migrate`.
    """
    url = settings.environ.get(URL_VARIABLE, "").strip()
    key = (os.getpid(), url or str(settings.data.absolute()))
    opened = _joined(key)
    if opened is None:
        opened = _open(settings, url)
        with _opened_lock:
            _opened.setdefault(key, opened)
    try:
        yield opened.database
    finally:
        with _opened_lock:
            opened.users -= 1
            is_last = opened.users == 0
            if is_last and _opened.get(key) is opened:
                del _opened[key]
        if is_last:
            opened.ends.close()


def _joined(key: tuple[int, str]) -> _Opened | None:
    """Return what an outer block of this process has open, unless its server was stopped meanwhile."""
    with _opened_lock:
        opened = _opened.get(key)
        if opened is None or (opened.server is not None and not opened.server.is_running()):
            return None
        opened.users += 1
        return opened


def _open(settings: DatabaseSettings, url: str) -> _Opened:
    with contextlib.ExitStack() as stack:
        server = None if url else EmbeddedServer(settings.data)
        if server is not None:
            url = stack.enter_context(server.borrowed())
        database = stack.enter_context(Database(url, server=server))
        database.migrate()
        return _Opened(database, server, stack.pop_all())


def _words(error: Exception) -> str:
    return " ".join(redacted(str(error)).split()).rstrip(".")


def _is_broken(connection: Connection) -> bool:
    return bool(connection.closed)


def is_quiet(connection: Connection) -> bool:
    """Say whether an idle connection has no unread data; a server that went away has sent some."""
    if connection.closed:
        return False
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN | select.POLLHUP | select.POLLERR)
    return not poll.poll(0)


def _is_alive(connection: Connection, idle_s: float) -> bool:
    if not is_quiet(connection):
        return False
    if idle_s < _IDLE_UNPROVEN_S:
        return True
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        connection.rollback()
    except psycopg2.Error:
        return False
    return True
