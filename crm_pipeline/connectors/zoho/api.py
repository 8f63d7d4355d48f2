"""Zoho's CRM API for one account."""

import threading
from collections.abc import Callable, Mapping
from functools import cached_property, partial
from pathlib import Path
from typing import Any, TypeVar

import requests

from crm_pipeline.connectors.api import VendorApi
from crm_pipeline.connectors.base import ConnectorContext, VendorLimits
from crm_pipeline.connectors.description import decoded_leniently
from crm_pipeline.connectors.metering import Operation
from crm_pipeline.connectors.zoho import errors, meter
from crm_pipeline.connectors.zoho.data_centres import refuse_unusable
from crm_pipeline.connectors.zoho.documents import NO_BODY, ListPage, Organization, list_form
from crm_pipeline.connectors.zoho.profile import PROFILE
from crm_pipeline.kernel.errors import MalformedResponse, NotPermitted
from crm_pipeline.settings import Connection
from crm_pipeline.store.tokens import StoredToken

T = TypeVar("T")


class Api(VendorApi):
    """Calls of one org.

    Attributes:
        refused_columns: by module, the columns that queries refuse although metadata lists them.
        unavailable: by strategy, the modules that it does not support, with the vendor's text.
        probed_schemas: by module, the fingerprint of the schema whose columns were tried in a query.
    """

    def __init__(
        self, connection: Connection, context: ConnectorContext, limits: VendorLimits
    ) -> None:
        refuse_unusable(connection)
        self._meter = meter.ZohoMeter(connection, context, limits)
        super().__init__(
            connection,
            context,
            limits,
            classify_response=partial(errors.classify_response, connection.name),
            meter=self._meter,
            profile=PROFILE,
            login_limits=self._meter.login_limits(),
        )
        self.refused_columns: dict[str, set[str]] = {}
        self.unavailable: dict[str, dict[str, str]] = {"coql": {}, "bulk": {}}
        self.probed_schemas: dict[str, str] = {}
        self._learning = threading.Lock()

    def authorization(self, token: StoredToken) -> dict[str, str]:
        """Return the authorization header: the vendor has a scheme of its own."""
        return {"Authorization": f"Zoho-oauthtoken {token.access_token.reveal()}"}

    @property
    def base(self) -> str:
        """The path of the pinned API version."""
        return f"/crm/v{self.version.removesuffix('.0')}"

    @property
    def bulk_base(self) -> str:
        """The path of the bulk API of the pinned version."""
        return f"/crm/bulk/v{self.version.removesuffix('.0')}"

    def limit(self, name: str) -> int:
        """Return a limit of the vendor, as configured, reported or published."""
        return self._meter.limit(name)

    def ask(
        self,
        path: str,
        operation: Operation,
        reader: Callable[[requests.Response], T],
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> T:
        """GET a path below the version's path, with retries; return what the reader returns.

        Args:
            path: below the version's path.
            operation: for the cost.
            reader: decodes the response; where it raises MalformedResponse, the request is repeated.
            params: of the query.
            headers: beside the usual ones.
        """
        return self.read(
            "GET",
            self.base + path,
            operation,
            reader,
            params=params or {},
            headers=dict(headers or {}),
        )

    def select(
        self, query: str, operation: Operation, reader: Callable[[requests.Response], T]
    ) -> T:
        """Send a query; it only reads, so it may be repeated."""
        body = {"select_query": query}
        return self.read("POST", f"{self.base}/coql", operation, reader, json=body)

    def create_job(self, body: Mapping[str, Any], reader: Callable[[requests.Response], T]) -> T:
        """Create an export. A repetition after a lost response costs 50 credits more."""
        return self.read("POST", f"{self.bulk_base}/read", meter.JOB, reader, json=body)

    def fetch(self, path: str, to: Path) -> requests.Response:
        """Download an export into a file, bytes as received."""
        return self.download(
            path, to, meter.JOB_RESULT, accept="application/zip", encoding="identity"
        )

    @cached_property
    def org(self) -> Organization:
        """The org; its edition and licences set the limits.

        Raises:
            NotPermitted: the scope ZohoCRM.org.READ is missing.
        """
        org = self.ask("/org", meter.ORG, self.listed("org", Organization, least=1))[0]
        self._meter.learn(org)
        return org

    def learn(self) -> None:
        """Read the org once, which sets the limits; without the scope the published limits stay."""
        with self._learning:
            try:
                self.org  # noqa: B018 - requested once and cached
            except NotPermitted:
                self.__dict__["org"] = Organization()

    def listed(
        self, key: str, kind: type[T], *, least: int = 0
    ) -> Callable[[requests.Response], list[T]]:
        """Return a reader of a response's list; the list is empty where there is no body (204).

        Args:
            key: of the list.
            kind: the type of its entries.
            least: the minimum number of entries.
        """

        def read(response: requests.Response) -> list[T]:
            page = self.paged(key, kind, is_paged=False)(response)
            if len(page.entries) < least:
                raise MalformedResponse(
                    f"{self.connection.name}: an answer of Zoho has nothing under '{key}'.",
                    status=response.status_code,
                )
            return page.entries

        return read

    def paged(
        self, key: str, kind: type[T], *, is_paged: bool = True
    ) -> Callable[[requests.Response], ListPage[T]]:
        """Return a reader of a response's list; `is_paged` responses must say whether more follows."""

        def read(response: requests.Response) -> ListPage[T]:
            if response.status_code in NO_BODY and not response.content:
                return ListPage([])
            what = f"the answer with {key}"
            owner = self.connection.name
            body = decoded_leniently(response.content, list_form(key, kind), owner=owner, what=what)
            more = body.info.more_records if body.info is not None else None
            if is_paged and more is None:
                raise MalformedResponse(f"{owner}: {what} does not say whether more is to come.")
            return ListPage(list(getattr(body, key)), bool(more))

        return read
