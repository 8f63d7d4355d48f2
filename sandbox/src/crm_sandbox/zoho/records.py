"""One record with everything that lists leave out, and the list of deleted records.

https://www.zoho.com/crm/developer/docs/api/v8/get-records.html and `get-deleted-records.html`.
"""

import json
from typing import Any

from crm_sandbox.http import Request, Response, json_response
from crm_sandbox.zoho.columns import Column, Columns
from crm_sandbox.zoho.conditions import moment_of
from crm_sandbox.zoho.errors import invalid_data
from crm_sandbox.zoho.ids import id_of
from crm_sandbox.zoho.listing import names_of, page_of, per_page_of
from crm_sandbox.zoho.org import Org
from crm_sandbox.zoho.paging import info_of, listed
from crm_sandbox.zoho.rendering import json_value, record
from crm_sandbox.zoho.schema import Field, Module

_DELETED = {"all": "true", "recycle": "t._ended = 'recycle'", "permanent": "t._ended = 'permanent'"}
_MOST_ROWS = 200


class RecordHandler:
    """Answers single records and deleted ones.

    Args:
        org: holds the records.
    """

    def __init__(self, org: Org) -> None:
        self._org = org

    def one(self, request: Request, module: Module, key: str) -> Response:
        """Return one record by its id, or by an external field; 204 where there is none."""
        number = self.number_of(request, module, key)
        shown = None if number is None else self.shown(module, number)
        if shown is None:
            return Response(204)
        wanted = names_of(request.query, "fields")
        if wanted:
            shown = {k: v for k, v in shown.items() if k in {*wanted, "id"}}
        return json_response({"data": [shown]})

    def number_of(self, request: Request, module: Module, key: str) -> int | None:
        """Return the id of a record that an address names; None where there is none.

        Raises:
            ZohoError: `X-EXTERNAL` names no external field of the module.
        """
        external = request.header("x-external")
        if not external:
            return id_of(key)
        name = external.split(".")[-1]
        one = module.find(name)
        if one is None or not one.external:
            raise invalid_data("the external field given is invalid", header_name="X-EXTERNAL")
        sql = f'SELECT id FROM "{module.stored}" WHERE "{one.stored}" = ? AND _ended IS NULL'
        found: int | None = self._org.tables.value(sql, [key])
        return found

    def shown(self, module: Module, number: int) -> dict[str, Any] | None:
        """Return a living record with its sub-forms and several lookups."""
        columns = Columns(self._org, module)
        found = [columns.find(one.name) for one in module.visible_fields if one.is_stored]
        entries = [
            (one.key, json_value(columns, one, whole=True)) for one in found if one is not None
        ]
        sql = f"SELECT {record(entries)} FROM {columns.source} WHERE t.id = ? AND t._ended IS NULL"
        text = self._org.tables.value(sql, [number])
        if text is None:
            return None
        shown: dict[str, Any] = json.loads(text)
        more: dict[str, bool] = {}
        for one in module.visible_fields:
            if one.is_stored:
                continue
            rows = self._rows(one, number)
            shown[one.name] = rows[:_MOST_ROWS]
            more[one.name] = len(rows) > _MOST_ROWS
        system = {"$approval_state": "approved", "$editable": True, "$has_more": more}
        return shown | (system if module.kind in {"default", "custom"} else {})

    def _rows(self, one: Field, number: int) -> list[dict[str, Any]]:
        module = self._org.behind(one.rows)
        columns = Columns(self._org, module)
        parent = "Parent_Id" if one.type == "subform" else module.fields[1].stored
        found = [columns.find(field.name) for field in module.fields]
        entries: list[tuple[str, str]] = [("id", "t.id::VARCHAR")]
        if one.type == "subform":
            entries += [
                (c.key, json_value(columns, c))
                for c in found
                if c is not None and _is_of_row(c, parent)
            ]
        else:
            assert found[2] is not None
            entries.append((one.name, json_value(columns, found[2])))
        sql = (
            f"SELECT {record(entries)} FROM {columns.source} "
            f'WHERE t."{parent}" = ? AND t._ended IS NULL ORDER BY t.id LIMIT {_MOST_ROWS + 1}'
        )
        return [
            json.loads(row[0])
            for row in self._org.tables.cursor().execute(sql, [number]).fetchall()
        ]

    def deleted(self, request: Request, module: Module) -> Response:
        """Return one page of deleted records; those gone for good have lost their names.

        Raises:
            ZohoError: a parameter is invalid.
        """
        query = request.query
        kind = query.get("type", "all")
        if kind not in _DELETED:
            raise invalid_data("the type given is invalid", param_name="type")
        page, per_page = page_of(query), per_page_of(query)
        parts, params = ["t._ended IS NOT NULL", _DELETED[kind]], list[Any]()
        since = request.header("if-modified-since")
        if since:
            try:
                params.append(moment_of(since))
            except ValueError as problem:
                raise invalid_data(
                    "the If-Modified-Since given is invalid", header_name="If-Modified-Since"
                ) from problem
            parts.append("t._ended_at >= ?")
        binned = "CASE WHEN t._ended = 'recycle' THEN {} END"
        owner = "Owner" if module.has("Owner") else ""
        who = "{'name': u.full_name, 'id': u.id::VARCHAR}" if owner else "NULL"
        join = f' LEFT JOIN "Users" u ON u.id = t."{owner}"' if owner else ""
        entries = [
            ("deleted_by", binned.format(who)),
            ("id", "t.id::VARCHAR"),
            ("display_name", binned.format(f't."{module.title_column}"::VARCHAR')),
            ("type", "t._ended"),
            ("created_by", binned.format(who)),
            ("deleted_time", "zoho_moment(t._ended_at)"),
        ]
        sql = (
            f'SELECT {record(entries)} FROM "{module.stored}" t{join} WHERE {" AND ".join(parts)} '
            f"ORDER BY t._ended_at DESC, t.id DESC LIMIT {per_page + 1} OFFSET {(page - 1) * per_page}"
        )
        texts = [row[0] for row in self._org.tables.cursor().execute(sql, params).fetchall()]
        return listed(texts[:per_page], info_of(page, per_page, texts))


def _is_of_row(column: Column, parent: str) -> bool:
    return column.field.stored not in {parent, "id"}
