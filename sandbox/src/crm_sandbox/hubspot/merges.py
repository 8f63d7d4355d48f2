"""Merges and permanent deletion, of which the API keeps few traces.

Source: https://developers.hubspot.com/changelog/updated-merge-functionality-for-contacts-and-companies
"""

from typing import Any

from crm_sandbox.http import Request, Response, is_number
from crm_sandbox.hubspot import bodies
from crm_sandbox.hubspot.association_writes import LinkWriter
from crm_sandbox.hubspot.errors import ApiError, invalid, not_found
from crm_sandbox.hubspot.lists import ListHandler
from crm_sandbox.hubspot.paging import answered, json_of
from crm_sandbox.hubspot.portal import Portal
from crm_sandbox.hubspot.reading import RecordReader, shape_of
from crm_sandbox.hubspot.schema import ObjectType
from crm_sandbox.hubspot.storage import history_of
from crm_sandbox.hubspot.writes import Writer

MOST_MERGED = 250


class MergeHandler:
    """Merges and erases records of one portal.

    Args:
        portal: the portal.
        reader: how they are read.
        writer: how they are written.
        links: moves what they are linked to.
        lists: moves them on lists.
    """

    def __init__(
        self,
        portal: Portal,
        reader: RecordReader,
        writer: Writer,
        links: LinkWriter,
        lists: ListHandler,
    ) -> None:
        self._portal = portal
        self._reader = reader
        self._writer = writer
        self._links = links
        self._lists = lists

    def merge(self, request: Request, one: ObjectType) -> Response:
        """Answer a merge with the record that came out of it."""
        body = json_of(request, bodies.Merge)
        ids = [str(body.get(key, "")) for key in ("primaryObjectId", "objectIdToMerge")]
        if not all(is_number(text) for text in ids):
            raise invalid("Some required fields were not set: [primaryObjectId, objectIdToMerge]")
        if not one.mergeable:
            raise invalid(f"Objects of type {one.id} cannot be merged")
        primary, other = (self._reader.resolved(one, int(text)) for text in ids)
        if primary == other:
            raise invalid("An object cannot be merged into itself")
        made = self.join(one, primary, other)
        return answered(self._reader.by_ids(one, [made], shape_of(one, ()))[made])

    def join(self, one: ObjectType, primary: int, other: int, source: str = "API") -> int:
        """Merge a record into another and return the id of the new one that stands for both.

        Raises:
            ApiError: one of them is not there, or 250 were merged already.
        """
        with self._portal.tables.writing() as cursor:
            rows = self._living(one, primary, other)
            merged = _members(rows[primary], primary) + _members(rows[other], other)
            if len(merged) - 1 > MOST_MERGED:
                message = f"at most {MOST_MERGED} records can be merged into one"
                raise ApiError(414, "VALIDATION_ERROR", message)
            values = self._joined(one, rows[primary], rows[other], merged)
            made = self._writer.new_ids(one, 1)[0]
            self._writer.replace(one, primary, made, values)
            for old in (primary, other):
                self._links.move_all(one, old, made)
            self._lists.move(one, (primary, other), made)
            cursor.execute(
                f'UPDATE "{history_of(one.name)}" SET id = ? WHERE id = ?', [made, primary]
            )
            self._writer.erase(one, [other])
            self._remember(one, (primary, other), made)
        moved = sum(
            rows[primary].get(key) is None and value is not None
            for key, value in rows[other].items()
        )
        more = {
            "primaryObjectId": primary,
            "mergedObjectIds": [other],
            "newObjectId": made,
            "numberOfPropertiesMoved": moved,
        }
        self._portal.events.tell(one, made, "merge", more, source)
        return made

    def _living(self, one: ObjectType, primary: int, other: int) -> dict[int, dict[str, Any]]:
        try:
            rows = self._writer.current(one, [primary, other])
        except KeyError as problem:
            raise not_found("resource not found") from problem
        if any(row["_archived"] for row in rows.values()):
            raise not_found("resource not found")
        return rows

    def _remember(self, one: ObjectType, gone: tuple[int, int], made: int) -> None:
        """Let old ids lead to the new one, those of earlier merges too."""
        with self._portal.tables.writing() as cursor:
            cursor.execute(
                "UPDATE merged SET new_id = ? WHERE object = ? AND new_id IN (?, ?)",
                [made, one.name, *gone],
            )
            now = self._portal.now_ms()
            rows = [{"object": one.name, "old_id": old, "new_id": made, "at": now} for old in gone]
            self._portal.tables.insert("merged", rows)

    def erase(self, request: Request, one: ObjectType) -> Response:
        """Answer a permanent deletion, which is accepted for anything."""
        body = json_of(request, bodies.Erasure)
        named = str(body.get("objectId", ""))
        if not named:
            raise invalid("Some required fields were not set: [objectId]")
        if one.name != "contacts":
            raise not_found()
        by = str(body.get("idProperty") or "")
        self.forget(one, named, is_email=by == "email" or "@" in named)
        return Response(204)

    def forget(self, one: ObjectType, named: str, *, is_email: bool) -> None:
        """Remove a contact for ever, in the recycle bin or not, and block its address."""
        column, value = ("lower(email)", named.lower()) if is_email else ("_id", named)
        row = None
        if is_email or is_number(named):
            if not is_email:
                value = str(self._reader.resolved(one, int(named)))
            found = self._portal.tables.rows(
                f'SELECT _id, email FROM "{one.table}" WHERE {column}::VARCHAR = ?', [value]
            )
            row = found[0] if found else None
        email = row["email"] if row else (named if is_email else None)
        with self._portal.tables.writing():
            if row:
                self._writer.erase(one, [row["_id"]])
            if email:
                self._portal.tables.insert("blocked", [{"email": email.lower()}])
        if row:
            for kind in ("privacyDeletion", "deletion"):
                self._portal.events.tell(one, row["_id"], kind, {"changeFlag": "DELETED"})

    def _joined(
        self, one: ObjectType, primary: dict[str, Any], other: dict[str, Any], merged: list[str]
    ) -> dict[str, Any]:
        """Return the values of the new record: the primary's win, the other's fill its gaps."""
        values = {
            prop.column: primary[prop.column] or other[prop.column]
            for prop in one.stored
            if prop.column in primary
        }
        values["hs_merged_object_ids"] = ";".join(merged)
        if one.name == "contacts":
            now = self._portal.now_ms()
            values["hs_calculated_merged_vids"] = ";".join(f"{old}:{now}" for old in merged)
            addresses = [primary["hs_additional_emails"], other["hs_additional_emails"]]
            if other["email"] and other["email"] != values["email"]:
                addresses.append(other["email"])
            values["hs_additional_emails"] = ";".join(filter(None, addresses)) or None
        return values


def _members(row: dict[str, Any], record: int) -> list[str]:
    """Return the ids that a record stands for: its own where it was never merged, else the old ones."""
    known = [text for text in (row.get("hs_merged_object_ids") or "").split(";") if text]
    return [*known, str(record)]
