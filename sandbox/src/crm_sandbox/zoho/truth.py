"""The records of the orgs behind the API, for tests that compare them with what a client read."""

from datetime import date, datetime
from typing import Any

from crm_sandbox.kernel import truth
from crm_sandbox.kernel.truth import Selection, identified
from crm_sandbox.zoho.org import Org

_PEOPLE = ("Contacts", "Leads")


class Truth(truth.Truth):
    """Look into the orgs without their API."""

    def org(self, account: str) -> Org:
        """Return the org of an account."""
        raise NotImplementedError

    def selection(self, name: str, account: str, *, include_deleted: bool) -> Selection:
        """Return how to read a module; names are those that metadata shows.

        Ids and lookups are texts, stamps naive UTC. With `include_deleted` each row tells under
        `_ended` how it ended, and under `_master` into what it was merged. Records in the recycle bin
        count then, those gone for good never do.
        """
        org = self.org(account)
        module = org.known(name)
        columns = [
            f'"{one.stored}"{"::VARCHAR" if one.is_lookup or one.name == "id" else ""} AS "{one.name}"'
            for one in module.columns
        ]
        if include_deleted:
            columns += ["_ended", "_master::VARCHAR AS _master"]
        living = "_ended IS DISTINCT FROM 'permanent'" if include_deleted else "_ended IS NULL"
        return Selection(
            org.tables,
            f'"{module.stored}" t',
            ", ".join(columns),
            key="t.id",
            modified_at=f'"{module.stamp}"',
            where=(living,),
        )

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
        draw = world.contact_cards if name == "Contacts" else world.lead_cards
        drawn = draw(org.account.crm, world.companies())
        return identified(
            org.ids.many(name, drawn["i"].to_numpy()).to_pylist(), drawn, as_text=True
        )


def plain_value(value: Any) -> Any:
    """Return a stored value as JSON would carry it in the admin API."""
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%dT%H:%M:%S+00:00")
    return value.isoformat() if isinstance(value, date) else value
