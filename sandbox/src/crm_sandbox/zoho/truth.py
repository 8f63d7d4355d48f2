"""What is really in the orgs, for tests that compare it with what a client got."""

from datetime import UTC, date, datetime
from typing import Any

from crm_sandbox.zoho.org import Org
from crm_sandbox.zoho.schema import Module

_PEOPLE = ("Contacts", "Leads")


class Truth:
    """Look into the orgs without their API."""

    def org(self, account: str) -> Org:
        """Return the org of an account."""
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
        """Count records, optionally those last modified in [since, until).

        Records in the recycle bin count with `include_deleted`, those gone for good never do.
        """
        org = self.org(account)
        where, params = _where(org.known(name), include_deleted, since, until)
        sql = f'SELECT count(*) FROM "{org.known(name).stored}" WHERE {where}'
        return int(org.tables.value(sql, params))

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
        """Return records with Python values, ordered by id; names as metadata shows them.

        Ids and lookups are texts, stamps naive UTC. With `include_deleted` each row tells under
        `_ended` how it ended, and under `_master` into what it was merged.
        """
        org = self.org(account)
        module = org.known(name)
        where, params = _where(module, include_deleted, since, until)
        columns = [
            f'"{one.stored}"{"::VARCHAR" if one.is_lookup or one.name == "id" else ""} AS "{one.name}"'
            for one in module.columns
        ]
        if include_deleted:
            columns += ["_ended", "_master::VARCHAR AS _master"]
        most = f" LIMIT {int(limit)}" if limit is not None else ""
        sql = f'SELECT {", ".join(columns)} FROM "{module.stored}" t WHERE {where} ORDER BY t.id{most}'
        return org.tables.rows(sql, params)

    def identities(self, name: str, *, account: str = "main") -> list[dict[str, Any]]:
        """Return, per Contact or Lead of the first population, who it really is.

        Each entry has `id`, `person` (the same number for the same human being in every object and
        CRM), `duplicate`, `email_verdict` and `phone_verdict`.

        Raises:
            ValueError: the module does not hold people of the world.
        """
        org = self.org(account)
        world = org.world
        if name not in _PEOPLE:
            raise ValueError(f"'{name}' holds no people; known: {', '.join(_PEOPLE)}")
        drawn = world.contact_cards if name == "Contacts" else world.lead_cards
        cards = drawn(org.account.crm, world.companies())
        ids = org.ids.many(name, cards["i"].to_numpy()).to_pylist()
        known = cards.select(["person", "duplicate", "email_verdict", "phone_verdict"]).to_pylist()
        return [{"id": str(record)} | truth for record, truth in zip(ids, known, strict=True)]


def plain_value(value: Any) -> Any:
    """Return a stored value as JSON would carry it in the admin API."""
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%dT%H:%M:%S+00:00")
    return value.isoformat() if isinstance(value, date) else value


def _where(
    module: Module, include_deleted: bool, since: datetime | None, until: datetime | None
) -> tuple[str, list[Any]]:
    parts, params = ["_ended IS NULL"], list[Any]()
    if include_deleted:
        parts = ["_ended IS DISTINCT FROM 'permanent'"]
    for sign, moment in ((">=", since), ("<", until)):
        if moment is not None:
            parts.append(f'"{module.stamp}" {sign} ?')
            params.append(moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment)
    return " AND ".join(parts), params
