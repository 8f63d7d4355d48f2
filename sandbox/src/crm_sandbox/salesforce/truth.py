"""What is really in the org, for tests that compare it with what a client got."""

from datetime import UTC, datetime
from typing import Any

from crm_sandbox.salesforce.ids import make_ids
from crm_sandbox.salesforce.org import Org


class Truth:
    """Look into the org without its API.

    Args:
        org: the org.
    """

    def __init__(self, org: Org) -> None:
        self._org = org

    def count(
        self,
        name: str,
        *,
        include_deleted: bool = False,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> int:
        """Count records, optionally those last touched in [since, until)."""
        where, params = self._where(name, include_deleted, since, until)
        sql = f'SELECT count(*) FROM "{self._org.known(name).name}"{where}'
        row = self._org.cursor().execute(sql, params).fetchone()
        return int(row[0]) if row else 0

    def rows(
        self,
        name: str,
        *,
        include_deleted: bool = False,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int | None = None,
    ) -> list[dict[str, Any]]:
        """Return records with Python values, ordered by id; names as describe shows them."""
        sobject = self._org.known(name)
        where, params = self._where(name, include_deleted, since, until)
        columns = ", ".join(
            f'"{one.stored}" AS "{one.name}"' for one in sobject.fields if not one.is_compound
        )
        most = f" LIMIT {int(limit)}" if limit is not None else ""
        sql = f'SELECT {columns} FROM "{sobject.name}"{where} ORDER BY "Id"{most}'
        result = self._org.cursor().execute(sql, params)
        names = [entry[0] for entry in result.description or []]
        return [dict(zip(names, row, strict=True)) for row in result.fetchall()]

    def identities(self, name: str) -> list[dict[str, Any]]:
        """Return, per Contact or Lead of the first population, who it really is.

        Each entry has `Id`, `person` (the same number for the same human being in every object and
        CRM), `duplicate`, `email_verdict` and `phone_verdict`.

        Raises:
            ValueError: the object does not hold people of the world.
        """
        world = self._org.world
        drawn = {"contact": world.contact_cards, "lead": world.lead_cards}.get(name.lower())
        if drawn is None:
            raise ValueError(f"'{name}' holds no people; known: Contact, Lead")
        cards = drawn("salesforce", world.companies())
        ids = make_ids(self._org.known(name).prefix, cards["i"].to_numpy()).to_pylist()
        known = cards.select(["person", "duplicate", "email_verdict", "phone_verdict"]).to_pylist()
        return [{"Id": record} | truth for record, truth in zip(ids, known, strict=True)]

    def _where(
        self,
        name: str,
        include_deleted: bool,
        since: datetime | None,
        until: datetime | None,
    ) -> tuple[str, list[Any]]:
        sobject = self._org.known(name)
        parts, params = [], []
        if sobject.has_deleted and not include_deleted:
            parts.append('NOT "IsDeleted"')
        for sign, moment in ((">=", since), ("<", until)):
            if moment is not None:
                parts.append(f'"SystemModstamp" {sign} ?')
                naive = moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment
                params.append(naive)
        return (f" WHERE {' AND '.join(parts)}" if parts else ""), params
