"""`crm_pipeline.connect("name")`: an account of connections.yaml, for scripts and notebooks.

Its calls go through the same rate limiter, tokens, retries and errors as those of the pipeline.
"""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from crm_pipeline.configuration import load_settings
from crm_pipeline.connectors.base import ObjectInfo, Usage
from crm_pipeline.model.schema import Schema
from crm_pipeline.stages.raw import opened
from crm_pipeline.store.postgres.database import running_database


class Client:
    """One account; use it as a context manager, or call `close`.

    Args:
        name: of the connection.
        home: the folder with connections.yaml; by default the nearest one upward.
        environ: the environment; by default that of the process and `.env`.

    Raises:
        UnknownName: there is no such connection.
        ConfigError: connections.yaml is wrong, or this login cannot work.
        DatabaseUnavailable: PostgreSQL, which holds tokens and call budgets, cannot be reached.
    """

    def __init__(
        self, name: str, home: Path | None = None, environ: Mapping[str, str] | None = None
    ) -> None:
        settings = load_settings(home, environ)
        settings.connection(name)  # an unknown name is an error before anything is started
        with ExitStack() as stack:
            database = stack.enter_context(running_database(settings))
            self._account = stack.enter_context(opened(settings, name, database))
            self._closing = stack.pop_all()

    @property
    def usage(self) -> Usage:
        """Calls made by this client, and the vendor's own counter as last seen."""
        return self._account.usage

    def objects(self) -> list[ObjectInfo]:
        """Return the objects that this login may see."""
        return self._account.objects()

    def describe(self, obj: str) -> Schema:
        """Return the fields of an object.

        Raises:
            NotPermitted: it is not there for this login; the text lists what is.
        """
        return self._account.describe(obj)

    def query(self, text: str, *, include_deleted: bool = False) -> Iterator[dict[str, Any]]:
        """Yield the records of a query in the vendor's language (Salesforce: SOQL), page by page.

        Raises:
            Rejected: the vendor refuses it, or has no query language.
            ProtocolError: fewer or more records came than the vendor announced.
        """
        return self._account.query(text, include_deleted=include_deleted)

    def get(self, obj: str, record: str, *, by: str | None = None) -> dict[str, Any]:
        """Return one record by id, or by the value of the external id field `by`.

        Raises:
            Rejected: there is no such record.
        """
        return self._account.get(obj, record, by=by)

    def close(self) -> None:
        """Give back connections and permits; stop a PostgreSQL that only this client used."""
        self._closing.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def connect(
    name: str, home: Path | None = None, environ: Mapping[str, str] | None = None
) -> Client:
    """Open an account of connections.yaml; see `Client`."""
    return Client(name, home, environ)
