"""Store the connections' OAuth tokens, encrypted, and refresh each only once for all callers.

The request of a refresh belongs to the connectors, which pass it in as a function.
"""

import contextlib
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import msgspec
import structlog
from psycopg2 import errors
from psycopg2.extensions import cursor as Cursor  # noqa: N812 - a class, whatever its case

from crm_pipeline.kernel.clock import format_instant, parse_instant
from crm_pipeline.kernel.errors import StoreError
from crm_pipeline.kernel.secret import Secret
from crm_pipeline.store.postgres.database import Database
from crm_pipeline.store.tokens.state_key import StateKey

_log = structlog.get_logger(__name__)
_LOCK_TIMEOUT_S = 120.0
_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
LOGIN = "login"
"""The key in a token's `extra` that identifies the secrets of its login; without it the token is renewed."""


@dataclass(frozen=True)
class StoredToken:
    """The tokens of one login.

    Attributes:
        access_token: sent with every call.
        refresh_token: for the next refresh; None where the login has none.
        instance_url: the address for calls.
        issued_at: when the vendor issued it.
        extra: other values of the vendor's response, such as the id of the account.
        version: increases with every save; set by the store.
    """

    access_token: Secret
    refresh_token: Secret | None
    instance_url: str
    issued_at: datetime
    extra: Mapping[str, str] = field(default_factory=dict)
    version: int = 0


class TokenStore:
    """The tokens of all connections; safe with threads and processes.

    Args:
        database: with the table of tokens.
        key: encrypts them, each bound to its connection's name.
        lock_timeout_s: how long to wait for another caller's refresh.
    """

    def __init__(
        self, database: Database, key: StateKey, *, lock_timeout_s: float = _LOCK_TIMEOUT_S
    ) -> None:
        self._database = database
        self._key = key
        self._lock_timeout_s = lock_timeout_s
        self._guard = threading.Lock()
        self._turns: dict[str, threading.Lock] = {}

    def load(self, connection: str) -> StoredToken | None:
        """Return the token of a connection; None where there is none.

        Raises:
            StoreError: it was encrypted with another key.
        """
        row = self._database.done(lambda cursor: _row(cursor, connection))
        return self._opened(connection, *row) if row else None

    def save(self, connection: str, token: StoredToken) -> StoredToken:
        """Store a token in place of any other, and return it with its new version."""

        def work(cursor: Cursor) -> StoredToken:
            version, _ = self._held(cursor, connection)
            return self._write(cursor, connection, replace(token, version=version + 1))

        return self._database.done(work)

    def replaced(
        self, connection: str, make: Callable[[StoredToken | None], StoredToken]
    ) -> StoredToken:
        """Store the token that `make` returns for the stored one, and return it with its new version.

        Args:
            connection: its name.
            make: gets the stored token; called again where the connection to the database breaks.

        Raises:
            StoreError: the stored one was encrypted with another key.
        """

        def work(cursor: Cursor) -> StoredToken:
            version, sealed = self._held(cursor, connection)
            made = make(self._opened(connection, version, sealed))
            return self._write(cursor, connection, replace(made, version=version + 1))

        with self._turn(connection):
            return self._database.done(work)

    def forget(self, connection: str) -> bool:
        """Remove the token; say whether there was one."""

        def work(cursor: Cursor) -> bool:
            version, sealed = self._held(cursor, connection)
            # The row stays, because versions must not restart while a process holds an old token.
            cursor.execute(
                "UPDATE crm_state.tokens SET sealed = NULL, version = %s WHERE connection = %s",
                (version + 1, connection),
            )
            return sealed is not None

        return self._database.done(work)

    def refreshed(
        self,
        connection: str,
        stale: StoredToken | None,
        refresh: Callable[[StoredToken | None], StoredToken],
    ) -> StoredToken:
        """Return a token newer than `stale`: the stored one if it is newer, otherwise the one of `refresh`.

        Of all threads and processes with an expired token, one refreshes and the others wait for it. The new
        token, with a rotated refresh token if the vendor sent one, is committed before it is returned. If `refresh`
        raises, nothing is changed, and the next waiting caller tries.

        Args:
            connection: its name.
            stale: the token that the vendor refused; None to accept any stored one.
            refresh: gets the stored token, None at the first login.

        Raises:
            StoreError: another caller has been refreshing for too long, the key is wrong, or the database
                is unavailable or full.
        """
        fresh: StoredToken | None = None

        def work(cursor: Cursor) -> StoredToken:
            nonlocal fresh
            version, sealed = self._held(cursor, connection)
            stored = self._opened(connection, version, sealed)
            if fresh is None:
                if stored and (stale is None or stored.version > stale.version):
                    return stored
                fresh = replace(refresh(stored), version=version + 1)
            elif stored and stored.version >= fresh.version:
                return stored  # only the response to the commit was lost
            return self._write(cursor, connection, fresh)

        with self._turn(connection):
            try:
                # The vendor has rotated its token by then; if it is lost, a human has to log in again.
                return self._database.done(work)
            except StoreError as error:
                if fresh is not None:
                    error.cure += (
                        f" A new token of '{connection}' could not be stored: if the next run is refused, "
                        f"run `crm-pipeline login {connection}`."
                    )
                raise

    @contextlib.contextmanager
    def _turn(self, connection: str) -> Iterator[None]:
        """Let only one thread of this process wait in the database, on one session."""
        with self._guard:
            turn = self._turns.setdefault(connection, threading.Lock())
        if not turn.acquire(timeout=self._lock_timeout_s):
            raise self._too_long(connection)
        try:
            yield
        finally:
            turn.release()

    def _held(self, cursor: Cursor, connection: str) -> tuple[int, bytes | None]:
        """Lock the row of a connection, made if missing; return its version and its encrypted token."""
        # The session is idle in its transaction while the vendor responds, which may take long. The commit
        # must be on disk before the token is used.
        cursor.execute(
            "SET LOCAL idle_in_transaction_session_timeout = 0;"
            "SET LOCAL synchronous_commit = on;"
            "SELECT set_config('lock_timeout', %s, true)",
            (f"{max(1, int(self._lock_timeout_s * 1000))}ms",),
        )
        try:
            cursor.execute(
                "INSERT INTO crm_state.tokens (connection) VALUES (%s) ON CONFLICT DO NOTHING",
                (connection,),
            )
            cursor.execute(
                "SELECT 1 FROM crm_state.tokens WHERE connection = %s FOR UPDATE", (connection,)
            )
        except errors.LockNotAvailable as error:
            raise self._too_long(connection) from error
        row = _row(cursor, connection)
        assert row is not None
        return row

    def _write(self, cursor: Cursor, connection: str, token: StoredToken) -> StoredToken:
        sealed = self._key.seal(_encoded(token), context=_context(connection))
        cursor.execute(
            "UPDATE crm_state.tokens SET version = %s, sealed = %s, updated_at = clock_timestamp()"
            " WHERE connection = %s",
            (token.version, sealed, connection),
        )
        return token

    def _opened(self, connection: str, version: int, sealed: bytes | None) -> StoredToken | None:
        if sealed is None:
            return None
        try:
            plain = self._key.opened(bytes(sealed), context=_context(connection))
        except StoreError as error:
            error.cure += (
                f" If it is lost, run `crm-pipeline login {connection} --forget`: it takes the token away, and"
                " the next login begins with what the environment holds."
            )
            raise
        token = _decoded(plain, version)
        if token is None:
            _log.warning("the stored token cannot be read and is ignored", connection=connection)
        return token

    def _too_long(self, connection: str) -> StoreError:
        return StoreError(
            f"somebody else has been refreshing the token of connection '{connection}' for more than"
            f" {self._lock_timeout_s:.0f} s.",
            cure="Look for a run that hangs in its login, end it and run again.",
        )


def _context(connection: str) -> str:
    return f"token of connection '{connection}'"


def _row(cursor: Cursor, connection: str) -> tuple[int, bytes | None] | None:
    cursor.execute(
        "SELECT version, sealed FROM crm_state.tokens WHERE connection = %s", (connection,)
    )
    return cursor.fetchone()


def _encoded(token: StoredToken) -> bytes:
    refresh_token = token.refresh_token.reveal() if token.refresh_token else None
    return json.dumps(
        {
            "access_token": token.access_token.reveal(),
            "refresh_token": refresh_token,
            "instance_url": token.instance_url,
            "issued_at": format_instant(token.issued_at),
            "extra": dict(token.extra),
        }
    ).encode()


def _decoded(plain: bytes, version: int) -> StoredToken | None:
    """Return the token that `_encoded` wrote; None where it has no token.

    Another version of the product may have written it, so missing values are allowed.
    """
    try:
        values = msgspec.json.decode(plain, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    access, refresh, instance_url = (
        value if isinstance(value := values.get(name), str) else None
        for name in ("access_token", "refresh_token", "instance_url")
    )
    if access is None and refresh is None:
        return None
    stored = values.get("extra")
    extra = (
        {k: v for k, v in stored.items() if isinstance(v, str)} if isinstance(stored, dict) else {}
    )
    if access is None or instance_url is None:
        extra.pop(LOGIN, None)  # so that the token is renewed
    return StoredToken(
        access_token=Secret(access or ""),
        refresh_token=Secret(refresh) if refresh is not None else None,
        instance_url=instance_url or "",
        issued_at=_instant(values.get("issued_at")),
        extra=extra,
        version=version,
    )


def _instant(text: object) -> datetime:
    try:
        return parse_instant(str(text))
    except (ValueError, OverflowError):
        return _LONG_AGO
