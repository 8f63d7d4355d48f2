"""What is really in the portals, for tests that compare it with what a client got."""

from datetime import UTC, datetime
from typing import Any

from crm_pipeline.sandbox.hubspot.api import PortalApi
from crm_pipeline.sandbox.hubspot.instants import ms_of


class Truth:
    """Look into the portals without their API."""

    def api(self, account: str = "main") -> PortalApi:
        """Return what answers for a portal."""
        raise NotImplementedError

    def count(
        self,
        name: str,
        *,
        include_deleted: bool = False,
        since: datetime | None = None,
        until: datetime | None = None,
        account: str = "main",
    ) -> int:
        """Count records, optionally those last modified in [since, until)."""
        tables = self.api(account).portal.tables
        table, where, params = self._where(name, include_deleted, since, until, account)
        return int(tables.value(f'SELECT count(*) FROM "{table}"{where}', params))

    def rows(
        self,
        name: str,
        *,
        include_deleted: bool = False,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int | None = None,
        account: str = "main",
    ) -> list[dict[str, Any]]:
        """Return records, ordered by id: `id`, `_archived`, and every visible property as text or null."""
        portal = self.api(account).portal
        one = portal.catalog.known(name)
        table, where, params = self._where(name, include_deleted, since, until, account)
        columns = ", ".join(f'{prop.expression} AS "{prop.name}"' for prop in one.visible)
        most = f" LIMIT {int(limit)}" if limit is not None else ""
        return portal.tables.rows(
            f'SELECT _id::VARCHAR AS id, _archived, {columns} FROM "{table}"{where} ORDER BY _id{most}',
            params,
        )

    def identities(self, name: str, *, account: str = "main") -> list[dict[str, Any]]:
        """Return, per contact of the first population, who it really is.

        Each entry has `id`, `person` (the same number for the same human being in every object and
        CRM), `duplicate`, `email_verdict` and `phone_verdict`.

        Raises:
            ValueError: the object does not hold people of the world.
        """
        if name != "contacts":
            raise ValueError(f"'{name}' holds no people; known: contacts")
        return self.api(account).portal.tables.rows(
            "SELECT id::VARCHAR AS id, person, duplicate, email_verdict, phone_verdict FROM truth ORDER BY id"
        )

    def merged(self, name: str, *, account: str = "main") -> dict[str, str]:
        """Return old ids with the id that each leads to since a merge."""
        rows = self.api(account).portal.tables.rows(
            "SELECT old_id::VARCHAR AS old, new_id::VARCHAR AS new FROM merged WHERE object = ?",
            [name],
        )
        return {row["old"]: row["new"] for row in rows}

    def _where(
        self,
        name: str,
        include_deleted: bool,
        since: datetime | None,
        until: datetime | None,
        account: str,
    ) -> tuple[str, str, list[Any]]:
        one = self.api(account).portal.catalog.known(name)
        parts: list[str] = [] if include_deleted else ["NOT _archived"]
        params: list[Any] = []
        for sign, moment in ((">=", since), ("<", until)):
            if moment is not None:
                parts.append(f"_updated {sign} ?")
                params.append(ms_of(moment if moment.tzinfo else moment.replace(tzinfo=UTC)))
        return one.table, f" WHERE {' AND '.join(parts)}" if parts else "", params
