"""Lists of records, which the vendor's pages call segments: searched, and their members page by page.

A list with filters (`DYNAMIC`) is filled once and then changed by an admin: no filter is evaluated here.
Source: https://developers.hubspot.com/docs/guides/api/crm/lists/overview
"""

from collections.abc import Mapping, Sequence
from typing import Any

from crm_sandbox.http import Request, Response, is_number
from crm_sandbox.hubspot import bodies
from crm_sandbox.hubspot.errors import invalid, not_found, unsupported_method
from crm_sandbox.hubspot.instants import iso_of
from crm_sandbox.hubspot.paging import Page, answered, json_of, limit_of
from crm_sandbox.hubspot.portal import Portal
from crm_sandbox.hubspot.schema import ObjectType
from crm_sandbox.hubspot.storage import LISTS, MEMBERS

_DEFAULT, _MOST, _REACH = 20, 500, 10_000
_MOST_MEMBERS = 250
_LONGEST_ID = 18
_ORDERS = {("memberships",): "m.record_id", ("memberships", "join-order"): "m.at, m.record_id"}


class ListHandler:
    """Answers about the lists of one portal, and changes them.

    Args:
        portal: which.
    """

    def __init__(self, portal: Portal) -> None:
        self._portal = portal

    def handle(self, request: Request, parts: tuple[str, ...], page: Page) -> Response:
        """Answer a search of lists, one list, or a page of its members."""
        is_search = parts == ("search",)
        if request.method != ("POST" if is_search else "GET"):
            raise unsupported_method()
        if is_search:
            return self._search(request)
        if not parts or not is_number(parts[0]) or len(parts[0]) > _LONGEST_ID:
            raise not_found()
        row = self.known(int(parts[0]))
        if len(parts) == 1:
            return answered({"list": {**_shown(row), "size": row["size"]}})
        if parts[1:] not in _ORDERS:
            raise not_found()
        return self._members(request, row, _ORDERS[parts[1:]], page)

    def known(self, number: int) -> dict[str, Any]:
        """Return a list with its size.

        Raises:
            ApiError: there is none.
        """
        for row in self._rows("WHERE list_id = ?", [number]):
            return row
        raise not_found(f"List does not exist with ID {number}.")

    def rows(self) -> list[dict[str, Any]]:
        """Return every list with its size, in the order of ids."""
        return self._rows("", [])

    def members(
        self, number: int, order: str = "m.record_id", condition: str = ""
    ) -> list[dict[str, Any]]:
        """Return the id of each living member of a list, and since when it is one."""
        one = self._portal.catalog.known(self.known(number)["object"])
        return self._portal.tables.rows(
            f'SELECT m.record_id AS id, m.at FROM "{MEMBERS}" m JOIN "{one.table}" r '
            f"ON r._id = m.record_id WHERE m.list_id = ? AND NOT r._archived {condition} "
            f"ORDER BY {order}",
            [number],
        )

    def make(self, name: str, one: ObjectType, ids: Sequence[int], processing: str) -> int:
        """Make a list of records and return its id."""
        now = self._portal.now_ms()
        with self._portal.tables.writing():
            highest = self._portal.tables.value(f'SELECT coalesce(max(list_id), 0) FROM "{LISTS}"')
            number = int(highest) + 1
            row = {"list_id": number, "name": name, "object": one.name, "processing": processing}
            self._portal.tables.insert(LISTS, [{**row, "created": now, "updated": now}])
        self.change(number, ids, ())
        return number

    def change(self, number: int, added: Sequence[int], removed: Sequence[int]) -> None:
        """Put records on a list and take others off; its own modification time does not move."""
        now = self._portal.now_ms()
        there = {row["id"] for row in self.members(number)}
        rows = [
            {"list_id": number, "record_id": one, "at": now} for one in added if one not in there
        ]
        with self._portal.tables.writing() as cursor:
            if rows:
                self._portal.tables.insert(MEMBERS, rows)
                cursor.execute(f'UPDATE "{LISTS}" SET added = ? WHERE list_id = ?', [now, number])
            if removed:
                cursor.execute(
                    f'DELETE FROM "{MEMBERS}" WHERE list_id = ? '
                    "AND record_id IN (SELECT unnest(?::BIGINT[]))",
                    [number, list(removed)],
                )
                cursor.execute(f'UPDATE "{LISTS}" SET removed = ? WHERE list_id = ?', [now, number])

    def drop(self, number: int) -> None:
        """Delete a list."""
        self.known(number)
        with self._portal.tables.writing():
            self._portal.tables.remove(MEMBERS, "list_id", [number])
            self._portal.tables.remove(LISTS, "list_id", [number])

    def move(self, one: ObjectType, old: Sequence[int], new: int) -> None:
        """Put the record that a merge made on every list of the merged ones, once."""
        with self._portal.tables.writing() as cursor:
            cursor.execute(
                f'CREATE OR REPLACE TEMP TABLE moved AS SELECT list_id, min(m.at) AS "at" '
                f'FROM "{MEMBERS}" m JOIN "{LISTS}" l USING (list_id) '
                "WHERE l.object = ? AND m.record_id IN (SELECT unnest(?::BIGINT[])) GROUP BY list_id",
                [one.name, list(old)],
            )
            cursor.execute(
                f'DELETE FROM "{MEMBERS}" WHERE list_id IN (SELECT list_id FROM moved) '
                "AND record_id IN (SELECT unnest(?::BIGINT[]))",
                [list(old)],
            )
            cursor.execute(
                f'INSERT INTO "{MEMBERS}" BY NAME SELECT list_id, ? AS record_id, "at" FROM moved',
                [new],
            )
            cursor.execute("DROP TABLE moved")

    def _rows(self, where: str, given: list[Any]) -> list[dict[str, Any]]:
        rows = self._portal.tables.rows(f'SELECT * FROM "{LISTS}" {where} ORDER BY list_id', given)
        for row in rows:
            one = self._portal.catalog.known(row["object"])
            row["type_id"] = one.id
            row["size"] = self._portal.tables.value(
                f'SELECT count(*) FROM "{MEMBERS}" m JOIN "{one.table}" r ON r._id = m.record_id '
                "WHERE m.list_id = ? AND NOT r._archived",
                [row["list_id"]],
            )
        return rows

    def _search(self, request: Request) -> Response:
        body = json_of(request, bodies.ListSearch)
        count = int(body.get("count") or _DEFAULT)
        offset = int(body.get("offset") or 0)
        if not 1 <= count <= _MOST:
            raise invalid(f"count must be between 1 and {_MOST}, but was {count}")
        if offset < 0 or offset + count > _REACH:
            raise invalid(f"offset and count must not reach beyond {_REACH}")
        found = [row for row in self.rows() if _fits(row, body)]
        shown = found[offset : offset + count]
        end = offset + len(shown)
        return answered(
            {
                "offset": end,
                "hasMore": end < len(found),
                "lists": [{**_shown(row), "additionalProperties": _more(row)} for row in shown],
                "total": len(found),
            }
        )

    def _members(
        self, request: Request, row: Mapping[str, Any], order: str, page: Page
    ) -> Response:
        limit = limit_of(request.query, default=100, most=_MOST_MEMBERS)
        token = request.query.get("after", "")
        at, _, record = token.partition("-")
        if token and not (is_number(at) and is_number(record) and len(token) < 2 * _LONGEST_ID):
            raise invalid(f"Invalid value for 'after': {token}")
        after = {"m.record_id": record, "m.at, m.record_id": f"{at}, {record}"}[order]
        beyond = f"AND ({order}) > ({after})" if token else ""
        # One more than is shown says whether there is another page.
        rows = self.members(row["list_id"], f"{order} LIMIT {limit + 1}", beyond)
        shown = rows[:limit]
        results = [
            {"recordId": str(one["id"]), "membershipTimestamp": iso_of(one["at"])} for one in shown
        ]
        last = f"{shown[-1]['at']}-{shown[-1]['id']}" if len(rows) > limit else None
        more = {} if last is None else {"paging": page.paging(last)}
        return answered({"total": row["size"], "results": results, **more})


def _fits(row: Mapping[str, Any], body: Mapping[str, Any]) -> bool:
    ids = {str(one) for one in body.get("listIds") or ()}
    kinds = body.get("processingTypes") or ()
    wanted = str(body.get("objectTypeId") or row["type_id"])
    return (
        str(body.get("query") or "").lower() in row["name"].lower()
        and (not ids or str(row["list_id"]) in ids)
        and (not kinds or row["processing"] in kinds)
        and wanted == row["type_id"]
    )


def _shown(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "listId": str(row["list_id"]),
        "listVersion": 1,
        "name": row["name"],
        "objectTypeId": row["type_id"],
        "processingType": row["processing"],
        "processingStatus": "COMPLETE",
        "createdAt": iso_of(row["created"]),
        "updatedAt": iso_of(row["updated"]),
        "filtersUpdatedAt": iso_of(row["created"]),
    }


def _more(row: Mapping[str, Any]) -> dict[str, str]:
    """Return what a search always tells about a list; empty values are left out."""
    more = {"hs_list_size": row["size"], "hs_list_reference_count": 0}
    more |= {"hs_last_record_added_at": row["added"], "hs_last_record_removed_at": row["removed"]}
    return {name: str(value) for name, value in more.items() if value is not None}
