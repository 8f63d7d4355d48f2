"""Open an account with everything it needs: secrets, tokens, rate limiter, clock."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

from crm_pipeline.connectors.base import Account, ConnectorContext
from crm_pipeline.connectors.registry import connector
from crm_pipeline.kernel.clock import Clock, SystemClock
from crm_pipeline.ratelimit.limiter import RateLimiter
from crm_pipeline.settings import Settings
from crm_pipeline.store.landing import Landing
from crm_pipeline.store.postgres.database import Database
from crm_pipeline.store.tokens import TokenStore
from crm_pipeline.store.tokens.state_key import StateKey
from crm_pipeline.wire.retry import RetryPolicy


@contextmanager
def opened(
    settings: Settings,
    name: str,
    database: Database,
    *,
    clock: Clock | None = None,
    retry: RetryPolicy | None = None,
    waits: bool = True,
) -> Iterator[Account]:
    """Open a connection's account; on closing, the counted calls are flushed.

    Args:
        settings: with the connection.
        name: of the connection.
        database: with tokens and rate limits.
        clock: by default the system's.
        retry: by default as long as the settings allow.
        waits: whether calls wait for the rate limiter, and after the vendor throttled one. Otherwise they raise
            `WouldWait` or `Throttled`, logins included.

    Raises:
        UnknownName: there is no such connection.
        ConfigError: the login of the connection cannot work.
    """
    connection = settings.connection(name)
    time = clock or SystemClock()
    limiter = RateLimiter(database, time, waits=waits)
    policy = retry or RetryPolicy(timeout_s=settings.patience_s)
    context = ConnectorContext(
        settings=settings,
        clock=time,
        tokens=TokenStore(database, StateKey.of(settings)),
        limiter=limiter,
        retry=policy if waits else replace(policy, waits_for_limits=False),
        remembered=partial(Landing(settings.data, time).notes, name),
    )
    account = connector(connection.vendor).open(connection, context)
    try:
        yield account
    finally:
        account.close()
        limiter.close()
