"""Connections of Dagster's storage that survive a killed or restarted PostgreSQL.

Dagster connects through SQLAlchemy, and this module listens to its events: a connection that died while idle
is replaced before use, a server that is gone is waited for or started again, and a permanent error is one
sentence of ours instead of pages of SQL.
"""

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import dagster as dg
from psycopg2.extensions import connection as Connection  # noqa: N812 - a class, whatever its case
from sqlalchemy import Engine, event
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.pool import Pool

from crm_pipeline.kernel.errors import DatabaseUnavailable
from crm_pipeline.store.postgres.database import is_quiet
from crm_pipeline.store.postgres.embedded import EmbeddedServer
from crm_pipeline.store.postgres.outages import foreseen
from crm_pipeline.store.postgres.reconnection import Reconnection

# Methods of storages with these prefixes may be called twice: they read, or write the same again. An event that is
# stored twice, because only the response was lost, does no harm.
_REPEATABLE = (
    *("get_", "has_", "fetch_", "all_", "check_", "claim_", "assign_", "free_", "initialize_"),
    *("store_event", "handle_run_event", "add_run_tags"),
)


def repeat(instance: dg.DagsterInstance) -> None:
    """Make the storages of an instance repeat a call that failed because the connection was lost."""
    for storage in (instance.event_log_storage, instance.run_storage, instance.schedule_storage):
        for name in dir(storage):
            if name.startswith(_REPEATABLE) and callable(method := getattr(storage, name)):
                setattr(storage, name, _again(method))


def remember_schema(instance: dg.DagsterInstance) -> None:
    """Ask the database once whether a table or a column is there; Dagster asks at nearly every event.

    What is there stays there while a process works with it. What is missing is asked for again.
    """
    storage: Any = instance.event_log_storage
    for name, place in (("_has_asset_key_col_on_connection", 1), ("has_table", 0)):
        if (method := getattr(storage, name, None)) is not None:
            setattr(storage, name, _once_true(method, place))


def _once_true(method: Callable[..., bool], place: int) -> Callable[..., bool]:
    """Return a method that is not asked again about an argument for which it said yes; `place` is that argument's."""
    known: set[Any] = set()

    @functools.wraps(method)
    def called(*arguments: Any) -> bool:
        if arguments[place] not in known and method(*arguments):
            known.add(arguments[place])
        return arguments[place] in known

    return called


def _again(method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    def called(*arguments: Any, **options: Any) -> Any:
        try:
            return method(*arguments, **options)
        except DatabaseUnavailable:
            return method(*arguments, **options)

    return called


@contextmanager
def steadfast(server: EmbeddedServer | None) -> Iterator[None]:
    """Make the connections of this process through SQLAlchemy survive outages, within the block.

    Args:
        server: the embedded server, if the connections go there.
    """
    reconnection = Reconnection(server, was_reached=True)

    def connect(dialect: Any, _record: Any, arguments: Any, options: Any) -> Any:
        return reconnection.connected(lambda: dialect.connect(*arguments, **options))

    def check_out(connection: Any, _record: Any, _proxy: Any) -> None:
        if isinstance(connection, Connection) and not is_quiet(connection):
            raise DisconnectionError

    def explain(context: ExceptionContext) -> BaseException | None:
        state = server.folder if server is not None else None
        return foreseen(context.original_exception, state)

    listeners = (
        (Engine, "do_connect", connect),
        (Pool, "checkout", check_out),
        (Engine, "handle_error", explain),
    )
    for target, name, listener in listeners:
        event.listen(target, name, listener)
    try:
        yield
    finally:
        for target, name, listener in listeners:
            event.remove(target, name, listener)
