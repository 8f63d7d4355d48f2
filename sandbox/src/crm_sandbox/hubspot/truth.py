"""The records of portals behind the API, for tests that compare them with what a client read."""

from typing import Any

from crm_sandbox.hubspot.api import PortalApi
from crm_sandbox.hubspot.instants import ms_of
from crm_sandbox.hubspot.schema import ObjectType
from crm_sandbox.kernel import truth
from crm_sandbox.kernel.truth import Selection


class Truth(truth.Truth):
    """Look into the portals without their APIs."""

    def api(self, account: str = "main") -> PortalApi:
        """Return what answers for one portal.

        Raises:
            ValueError: there is none of this name.
        """
        raise NotImplementedError

    def selection(self, name: str, account: str, *, include_deleted: bool) -> Selection:
        """Return how to read an object type: `id`, `_archived`, visible properties as text or null."""
        portal = self.api(account).portal
        one = portal.catalog.known(name)
        return Selection(
            portal.tables,
            f'"{one.table}"',
            _columns(one),
            key="_id",
            modified_at="greatest(_updated, coalesce(_archived_at, 0))",
            where=() if include_deleted else ("NOT _archived",),
            moment=ms_of,
        )

    def identities(self, name: str, *, account: str = "main") -> list[dict[str, Any]]:
        """Return, per contact of the first population, who it really is.

        Each entry has `id`, `person` (the same number for the same human being in every object and
        CRM), `duplicate`, `email_verdict` and `phone_verdict`. A lead is who its contact is.

        Raises:
            ValueError: the object does not hold people of the world.
        """
        portal = self.api(account).portal
        one = portal.catalog.known(name)
        known = "person, duplicate, email_verdict, phone_verdict"
        if one.name == "contacts":
            return portal.tables.rows(
                f"SELECT id::VARCHAR AS id, {known} FROM truth ORDER BY truth.id"
            )
        if one.name == "leads":
            return portal.tables.rows(
                f"SELECT l._id::VARCHAR AS id, {known} FROM leads l "
                "JOIN truth t ON t.id = TRY_CAST(l.hs_primary_contact_id AS BIGINT) ORDER BY l._id"
            )
        raise ValueError(f"'{name}' holds no people; known: contacts, leads")

    def merged(self, name: str, *, account: str = "main") -> dict[str, str]:
        """Return what each old id of a merge leads to."""
        portal = self.api(account).portal
        one = portal.catalog.known(name)
        rows = portal.tables.rows("SELECT old_id, new_id FROM merged WHERE object = ?", [one.name])
        return {str(row["old_id"]): str(row["new_id"]) for row in rows}

    def lists(self, *, account: str = "main") -> list[dict[str, Any]]:
        """Return the lists: `list_id`, `name`, `object`, `processing`, `size` and moments in milliseconds."""
        return self.api(account).lists.rows()

    def members(self, number: str, *, account: str = "main") -> dict[str, int]:
        """Return the living members of a list, and since when each is one, in milliseconds."""
        rows = self.api(account).lists.members(int(number))
        return {str(row["id"]): row["at"] for row in rows}

    def links(self, name: str, other: str, *, account: str = "main") -> set[tuple[str, str, int]]:
        """Return every link between living records: both ids and the kind."""
        portal = self.api(account).portal
        one, two = portal.catalog.known(name), portal.catalog.known(other)
        found = portal.tables.cursor().execute(
            f'SELECT from_id::VARCHAR, to_id::VARCHAR, type_id FROM "link:{one.name}:{two.name}" '
            f'WHERE from_id IN (SELECT _id FROM "{one.table}" WHERE NOT _archived) '
            f'AND to_id IN (SELECT _id FROM "{two.table}" WHERE NOT _archived)'
        )
        return set(found.fetchall())


def _columns(one: ObjectType) -> str:
    visible = "".join(f', {prop.expression} AS "{prop.name}"' for prop in one.visible)
    return f"_id::VARCHAR AS id, _archived{visible}"
