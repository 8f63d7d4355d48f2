"""What is really in a company, for tests that compare it with what a client got."""

from datetime import UTC, datetime
from typing import Any

from crm_sandbox.pipedrive.company import Companies, Company, known
from crm_sandbox.pipedrive.schema import Entity

_CARDS = ("person", "duplicate", "email_verdict", "phone_verdict")


class Truth:
    """Look into the companies without their API.

    Args:
        companies: all of them.
    """

    def __init__(self, companies: Companies) -> None:
        self._seen = companies

    def count(
        self,
        name: str,
        *,
        include_deleted: bool = False,
        since: datetime | None = None,
        until: datetime | None = None,
        account: str = "main",
    ) -> int:
        """Count records, optionally those last changed in [since, until).

        Deleted ones count for 30 days; after that they are gone. Archived deals and leads count too.
        """
        company, entity = self._seen[account], known(name)
        where, params = _where(company, entity, include_deleted, since, until)
        return int(company.tables.value(f'SELECT count(*) FROM "{entity.name}"{where}', params))

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
        """Return records with Python values, ordered by id; custom fields by their keys."""
        company, entity = self._seen[account], known(name)
        where, params = _where(company, entity, include_deleted, since, until)
        most = f" LIMIT {int(limit)}" if limit is not None else ""
        sql = f'SELECT * FROM "{entity.name}"{where} ORDER BY "id"{most}'
        return company.tables.rows(sql, params)

    def identities(self, name: str, *, account: str = "main") -> list[dict[str, Any]]:
        """Return, per person or lead of the first population, who it really is.

        Each entry has `id`, `person` (the same number for the same human being in every object and
        CRM), `duplicate`, `email_verdict` and `phone_verdict`.

        Raises:
            ValueError: the object does not hold people of the world.
        """
        company, entity = self._seen[account], known(name)
        world, crm = company.world, company.plan.crm
        companies = world.companies()
        leads = world.lead_cards(crm, companies)
        if entity.name == "leads":
            ids = company.tables.rows(
                f"SELECT lead_uuid(i) AS id FROM range({leads.num_rows}) t(i)"
            )
            cards = leads.select(list(_CARDS)).to_pylist()
        elif entity.name == "persons":
            contacts = world.contact_cards(crm, companies)
            strangers = company.strangers(contacts, leads)
            cards = contacts.select(list(_CARDS)).to_pylist()
            cards += leads.filter(strangers).select(list(_CARDS)).to_pylist()
            ids = [{"id": number} for number in range(1, len(cards) + 1)]
        else:
            raise ValueError(f"'{name}' holds no people; known: persons, leads")
        return [record | truth for record, truth in zip(ids, cards, strict=True)]

    def fields(self, name: str, *, account: str = "main") -> list[dict[str, Any]]:
        """Return the custom fields of an object: key, name, type, options."""
        return [
            {
                "code": one.code,
                "name": one.name,
                "type": one.type,
                "options": {option.id: option.label for option in one.options},
            }
            for one in self._seen[account].fields(known(name).name)
        ]


def _where(
    company: Company,
    entity: Entity,
    include_deleted: bool,
    since: datetime | None,
    until: datetime | None,
) -> tuple[str, list[Any]]:
    parts: list[str] = []
    params: list[Any] = []
    if entity.is_binned and include_deleted:
        parts.append('(NOT "is_deleted" OR "deleted_at" >= ?)')
        params.append(company.purged_before())
    elif entity.is_binned:
        parts.append('NOT "is_deleted"')
    elif entity.column("active_flag") and entity.name == "notes" and not include_deleted:
        parts.append('"active_flag"')
    for sign, moment in ((">=", since), ("<", until)):
        if moment is not None:
            parts.append(f'"update_time" {sign} ?')
            params.append(moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment)
    return (f" WHERE {' AND '.join(parts)}" if parts else ""), params
