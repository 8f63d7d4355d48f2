"""Zoho's CRM API for one account."""

import threading
from collections.abc import Mapping
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import requests

from crm_pipeline.connectors.api import VendorApi, as_mapping
from crm_pipeline.connectors.base import Tools, VendorLimits
from crm_pipeline.connectors.metering import Operation
from crm_pipeline.connectors.zoho import answers, meter
from crm_pipeline.connectors.zoho.centres import refuse_unusable
from crm_pipeline.connectors.zoho.dialect import DIALECT
from crm_pipeline.kernel.errors import NotPermitted, ProtocolError
from crm_pipeline.settings import Connection
from crm_pipeline.store.tokens import StoredToken


class Api(VendorApi):
    """Calls of one org.

    Attributes:
        refused: by module, columns that queries do not take although metadata lists them; learned.
        closed: by route, modules that it does not offer, with the vendor's words; learned.
        tried: by module, the schema whose columns were tried in a query.
    """

    def __init__(self, connection: Connection, tools: Tools, limits: VendorLimits) -> None:
        refuse_unusable(connection)
        self._meter = meter.ZohoMeter(connection, tools, limits)
        super().__init__(
            connection,
            tools,
            limits,
            judge=partial(answers.judge, connection.name),
            meter=self._meter,
            dialect=DIALECT,
            login_limits=self._meter.login_limits(),
        )
        self.refused: dict[str, set[str]] = {}
        self.closed: dict[str, dict[str, str]] = {"coql": {}, "bulk": {}}
        self.tried: dict[str, str] = {}
        self._learning = threading.Lock()

    def authorization(self, token: StoredToken) -> dict[str, str]:
        """Return the header that says who we are; the vendor has a scheme of its own."""
        return {"Authorization": f"Zoho-oauthtoken {token.access_token.reveal()}"}

    @property
    def base(self) -> str:
        """The path of the pinned API version."""
        return f"/crm/v{self.version.removesuffix('.0')}"

    @property
    def bulk_base(self) -> str:
        """The path of the bulk API of the pinned version."""
        return f"/crm/bulk/v{self.version.removesuffix('.0')}"

    def ceiling(self, name: str) -> int:
        """Return a ceiling of the vendor, as configured, told or published."""
        return self._meter.ceiling(name)

    def ask(
        self,
        path: str,
        operation: Operation,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> requests.Response:
        """GET a path below the version's."""
        return self.request(
            "GET", self.base + path, operation, params=params or {}, headers=dict(headers or {})
        )

    def select(self, query: str, operation: Operation) -> requests.Response:
        """Send a query; it reads only, so it may be sent twice."""
        return self.request("POST", f"{self.base}/coql", operation, json={"select_query": query})

    def create_job(self, body: Mapping[str, Any]) -> requests.Response:
        """Create an export. Repeated after a lost answer, it costs 50 credits more."""
        return self.request("POST", f"{self.bulk_base}/read", meter.JOB, json=body)

    def fetch(self, path: str, to: Path) -> requests.Response:
        """GET an export into a file, bytes as received."""
        return self.download(
            path, to, meter.JOB_RESULT, accept="application/zip", encoding="identity"
        )

    @cached_property
    def org(self) -> Mapping[str, Any]:
        """What the org tells of itself; the ceilings follow from its edition and licences.

        Raises:
            NotPermitted: the scope ZohoCRM.org.READ is missing.
        """
        found = self.entries(self.ask("/org", meter.ORG), "org")
        if not found:
            raise ProtocolError(f"{self.connection.name}: Zoho tells nothing about the org.")
        self._meter.learn(found[0])
        return found[0]

    def learn(self) -> None:
        """Ask once for what the ceilings follow from; without the scope the published ones stay."""
        with self._learning:
            try:
                self.org  # noqa: B018 - asked for once and kept
            except NotPermitted:
                self.__dict__["org"] = {}

    def entries(self, response: requests.Response, key: str) -> list[dict[str, Any]]:
        """Return the list of an answer; empty where it has no body (204).

        Raises:
            ProtocolError: the answer is none that the vendor documents.
        """
        if response.status_code in {204, 304}:
            return []
        found = as_mapping(response, self.connection.name).get(key)
        if not isinstance(found, list):
            raise ProtocolError(
                f"{self.connection.name}: an answer of Zoho lacks the list '{key}'.",
                status=response.status_code,
                cure="Run again; if it persists, report it to the vendor with the time of the run.",
            )
        return found
