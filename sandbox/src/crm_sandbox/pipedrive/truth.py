"""The records of a company behind the API, for tests that compare them with what a client read."""

from typing import Any

import pyarrow as pa

from crm_sandbox.kernel import truth
from crm_sandbox.kernel.truth import Selection, identified
from crm_sandbox.pipedrive.company import Companies, Company, known
from crm_sandbox.pipedrive.schema import Entity


class Truth(truth.Truth):
    """Look into the companies without their API.

    Args:
        companies: all of them.
    """

    def __init__(self, companies: Companies) -> None:
        self._seen = companies

    def selection(self, name: str, account: str, *, include_deleted: bool) -> Selection:
        """Return how to read an object; custom fields stand under their keys.

        Deleted records count for 30 days; after that they are gone. Archived deals and leads count too.
        """
        company, entity = self._seen[account], known(name)
        where, params = _living(company, entity, include_deleted=include_deleted)
        return Selection(
            company.tables,
            f'"{entity.name}"',
            "*",
            key='"id"',
            modified_at='"update_time"',
            where=where,
            params=params,
        )

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
            return identified((row["id"] for row in ids), leads)
        if entity.name != "persons":
            raise ValueError(f"'{name}' holds no people; known: persons, leads")
        contacts = world.contact_cards(crm, companies)
        drawn = pa.concat_tables([contacts, leads.filter(company.strangers(contacts, leads))])
        return identified(range(1, drawn.num_rows + 1), drawn)

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


def _living(
    company: Company, entity: Entity, *, include_deleted: bool
) -> tuple[list[str], list[Any]]:
    if entity.is_binned and include_deleted:
        return ['(NOT "is_deleted" OR "deleted_at" >= ?)'], [company.purged_before()]
    if entity.is_binned:
        return ['NOT "is_deleted"'], []
    if entity.column("active_flag") and entity.name == "notes" and not include_deleted:
        return ['"active_flag"'], []
    return [], []
