"""The records of the org behind the API, for tests that compare them with what a client read."""

from typing import Any

from crm_sandbox.kernel import truth
from crm_sandbox.kernel.truth import Selection, identified
from crm_sandbox.salesforce.ids import make_ids
from crm_sandbox.salesforce.org import Org


class Truth(truth.Truth):
    """Look into the org without its API.

    Rows have Python values, and names as describe shows them.

    Args:
        org: the org.
    """

    def __init__(self, org: Org) -> None:
        self._org = org

    def selection(self, name: str, account: str, *, include_deleted: bool) -> Selection:
        """Return how to read an object; there is one account."""
        if account != "main":
            raise ValueError(f"unknown account '{account}'; known: main")
        sobject = self._org.known(name)
        columns = ", ".join(
            f'"{one.stored}" AS "{one.name}"' for one in sobject.fields if not one.is_compound
        )
        is_hiding = sobject.has_deleted and not include_deleted
        return Selection(
            self._org,
            f'"{sobject.name}"',
            columns,
            key='"Id"',
            modified_at='"SystemModstamp"',
            where=('NOT "IsDeleted"',) if is_hiding else (),
        )

    def identities(self, name: str) -> list[dict[str, Any]]:
        """Return, per Contact or Lead of the first population, who it really is.

        Each entry has `Id`, `person` (the same number for the same human being in every object and
        CRM), `duplicate`, `email_verdict` and `phone_verdict`.

        Raises:
            ValueError: the object does not hold people of the world.
        """
        world = self._org.world
        draw = {"contact": world.contact_cards, "lead": world.lead_cards}.get(name.lower())
        if draw is None:
            raise ValueError(f"'{name}' holds no people; known: Contact, Lead")
        drawn = draw("salesforce", world.companies())
        ids = make_ids(self._org.known(name).prefix, drawn["i"].to_numpy()).to_pylist()
        return identified(ids, drawn, "Id")
