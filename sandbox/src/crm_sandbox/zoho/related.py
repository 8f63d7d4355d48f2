"""Related lists of one record: the stage history of a deal, the members of a campaign, and the like.

https://www.zoho.com/crm/developer/docs/api/v8/get-related-records.html
"""

from dataclasses import dataclass

from crm_sandbox.http import Request, Response
from crm_sandbox.zoho.columns import Columns
from crm_sandbox.zoho.errors import ZohoError, ambiguous
from crm_sandbox.zoho.ids import id_of
from crm_sandbox.zoho.listing import (
    PagingLimits,
    check_number,
    fields_of,
    page_of,
    per_page_of,
)
from crm_sandbox.zoho.org import Org
from crm_sandbox.zoho.page_tokens import PageTokens, Position
from crm_sandbox.zoho.paging import info_of, listed
from crm_sandbox.zoho.rendering import json_value, record
from crm_sandbox.zoho.schema import Module


@dataclass(frozen=True)
class Link:
    """How the records of a related list are found.

    Attributes:
        table: holds the records.
        columns: lookups of theirs that name the parent; any of them does.
        through: a table between the two, with the columns for the parent and for the record.
        extra: what the table between adds to each record, as key and SQL.
    """

    table: str
    columns: tuple[str, ...] = ()
    through: tuple[str, str, str] = ("", "", "")
    extra: tuple[str, str] = ("", "")


_ABOUT = {
    "Notes": Link("Notes", ("Parent_Id",)),
    "Tasks": Link("Tasks", ("What_Id", "Who_Id")),
    "Events": Link("Events", ("What_Id", "Who_Id")),
    "Calls": Link("Calls", ("What_Id", "Who_Id")),
}
_STATUS = ("Member_Status", "m.status")
# Leads that were converted are left out unless they are asked for.
_CONVERTED = {
    "false": ' AND NOT t."Converted__s"',
    "true": ' AND t."Converted__s"',
    "both": "",
}


def _members(table: str, parent: str, own: str) -> Link:
    return Link(table, through=("Campaign_Members", parent, own), extra=_STATUS)


RELATED: dict[str, dict[str, Link]] = {
    "Leads": _ABOUT | {"Campaigns": _members("Campaigns", "lead_id", "campaign_id")},
    "Contacts": _ABOUT
    | {
        "Deals": Link("Deals", ("Contact_Name",)),
        "Cases": Link("Cases", ("Related_To",)),
        "Quotes": Link("Quotes", ("Contact_Name",)),
        "Campaigns": _members("Campaigns", "contact_id", "campaign_id"),
    },
    "Accounts": _ABOUT
    | {
        "Contacts": Link("Contacts", ("Account_Name",)),
        "Deals": Link("Deals", ("Account_Name",)),
        "Cases": Link("Cases", ("Account_Name",)),
        "Quotes": Link("Quotes", ("Account_Name",)),
    },
    "Deals": _ABOUT
    | {
        "Stage_History": Link("DealHistory", ("Potential_Name",)),
        "Contact_Roles": Link(
            "Contacts",
            through=("Deal_Contacts", "deal_id", "contact_id"),
            extra=("Contact_Role", "{'name': m.role, 'id': '1'}"),
        ),
        "Quotes": Link("Quotes", ("Deal_Name",)),
    },
    "Campaigns": {
        "Leads": _members("Leads", "campaign_id", "lead_id"),
        "Contacts": _members("Contacts", "campaign_id", "contact_id"),
        "Deals": Link("Deals", ("Campaign_Source",)),
    },
    "Cases": _ABOUT,
    "Quotes": _ABOUT,
    "Products": _ABOUT,
}


class RelatedHandler:
    """Answers related lists.

    Args:
        org: holds the records.
        tokens: makes page tokens.
        limits: how far page numbers reach.
    """

    def __init__(self, org: Org, tokens: PageTokens, limits: PagingLimits) -> None:
        self._org = org
        self._tokens = tokens
        self._limits = limits

    def answer(
        self, request: Request, module: Module, parent: str, name: str, *, needs_fields: bool = True
    ) -> Response:
        """Return one page of a related list; 204 where it is empty.

        Raises:
            ZohoError: the module has no such list, or the parent is none of its records.
        """
        lists = RELATED.get(module.stored, {})
        link = next((one for key, one in lists.items() if key.lower() == name.lower()), None)
        if link is None:
            raise ZohoError(400, "INVALID_DATA", "the relation name given seems to be invalid", {})
        number = id_of(parent)
        alive = f'SELECT 1 FROM "{module.stored}" WHERE id = ? AND _ended IS NULL'
        if number is None or self._org.tables.value(alive, [number]) is None:
            raise ZohoError(400, "INVALID_DATA", "the related id given seems to be invalid", {})
        target = self._org.behind(link.table)
        fields = fields_of(target, request.query, must=needs_fields)
        columns = Columns(self._org, target)
        found = [columns.find(one.name) for one in fields]
        entries = [(one.key, json_value(columns, one)) for one in found if one is not None]
        if all(key != "id" for key, _ in entries):
            entries.append(("id", "t.id::VARCHAR"))
        between, where, order = "", "", "t.id DESC"
        if link.through[0]:
            table, its_parent, own = link.through
            between = f' JOIN "{table}" m ON m.{own} = t.id'
            where = f"m.{its_parent} = ?"
            entries.append((link.extra[0], link.extra[1]))
        else:
            where = f"? IN ({', '.join(f't.{literal_name(one)}' for one in link.columns)})"
        if target.stored == "Leads":
            where += _CONVERTED[request.query.get("converted", "false")]
        sql = (
            f'SELECT {record(entries)} FROM "{target.stored}" t{between} {" ".join(columns.joins)} '
            f"WHERE {where} AND t._ended IS NULL ORDER BY {order}"
        )
        return self._page(request, f"{module.stored}/{parent}/{name}", sql, number)

    def _page(self, request: Request, place: str, sql: str, number: int) -> Response:
        """Return the page that is asked for, with the token of the next one."""
        query, per_page = request.query, per_page_of(request.query)
        if "page_token" in query and "page" in query:
            raise ambiguous("page_token", "page")
        page = page_of(query)
        owner = f"{self._org.account.key}/{place}"
        bound = f"{per_page} {query.joined('fields')} {query.get('converted', '')}"
        if "page_token" in query:
            start = self._tokens.read(query["page_token"], owner, bound).served
        else:
            start = (page - 1) * per_page
            check_number(start, self._limits)
        paged = f"{sql} LIMIT {per_page + 1} OFFSET {start}"
        rows = self._org.tables.cursor().execute(paged, [number]).fetchall()
        texts = [row[0] for row in rows]
        more: dict[str, str | None] = dict.fromkeys(
            ("next_page_token", "page_token_expiry", "previous_page_token")
        )
        if len(texts) > per_page:
            token, until = self._tokens.make(owner, bound, Position(served=start + per_page))
            more |= {"next_page_token": token, "page_token_expiry": until.isoformat()}
        return listed(texts[:per_page], info_of(page, per_page, texts) | more)


def literal_name(column: str) -> str:
    """Return a column's name in quotes."""
    return f'"{column}"'
