"""Writing records over HTTP: bodies, statuses, prices.

https://www.zoho.com/crm/developer/docs/api/v8/insert-records.html, `update-records.html`,
`upsert-records.html`, `delete-records.html`. All failed is 400, some failed is 207.
"""

from typing import Any

from crm_sandbox.http import Request, Response, json_response
from crm_sandbox.zoho.conditions import moment_of
from crm_sandbox.zoho.errors import (
    invalid_data,
    limit_exceeded,
    missing_param,
    no_such_address,
    wrong_method,
)
from crm_sandbox.zoho.limits import Meter, write_cost
from crm_sandbox.zoho.records import RecordHandler
from crm_sandbox.zoho.schema import Module
from crm_sandbox.zoho.writes import Writer, records_of

MOST = 100


class WriteHandler:
    """Answers writes.

    Args:
        writer: does them.
        records: finds records by external fields.
        meter: counts their credits.
    """

    def __init__(self, writer: Writer, records: RecordHandler, meter: Meter) -> None:
        self._writer = writer
        self._records = records
        self._meter = meter
        # Only an If-Modified-Since of reads is described; which header guards a write is not confirmed.
        self.guard = "if-unmodified-since"

    def answer(self, request: Request, module: Module, rest: list[str]) -> Response:
        """Answer one write; `rest` is the path behind the module.

        Raises:
            ZohoError: the request as a whole is refused.
        """
        if not module.creatable:
            raise wrong_method()
        if request.method == "DELETE":
            return self._delete(request, module, rest)
        if request.method not in {"POST", "PUT"}:
            raise wrong_method()
        taken = {"POST": rest in ([], ["upsert"]), "PUT": len(rest) <= 1}
        if not taken[request.method]:
            raise no_such_address()
        body = _body(request)
        records = records_of(body, MOST)
        self._meter.charge(write_cost(len(records)))
        if request.method == "PUT":
            return self._update(request, module, rest, records)
        if rest == ["upsert"]:
            keys = body.get("duplicate_check_fields")
            if keys is not None and not isinstance(keys, list):
                path = "$.duplicate_check_fields"
                raise invalid_data("invalid data", expected_data_type="jsonarray", json_path=path)
            return _answered(self._writer.upsert(module, records, keys), 200)
        return _answered(self._writer.insert(module, records), 201)

    def _update(
        self, request: Request, module: Module, rest: list[str], records: list[Any]
    ) -> Response:
        if rest:
            number = self._records.number_of(request, module, rest[0])
            # What is no object is refused together with the other records that are none.
            records = [
                {**one, "id": str(number or rest[0])} if isinstance(one, dict) else one
                for one in records[:1]
            ]
        since = request.header(self.guard) if self.guard else ""
        try:
            moment = moment_of(since) if since else None
        except ValueError as problem:
            raise invalid_data("invalid data", header_name=self.guard) from problem
        shown = self._writer.update(module, records, moment)
        if any(one["code"] == "ALREADY_MODIFIED" for one in shown):
            return json_response({"data": shown}, 412)
        return _answered(shown, 200)

    def _delete(self, request: Request, module: Module, rest: list[str]) -> Response:
        if len(rest) > 1:
            raise no_such_address()
        ids = rest or [one for one in request.query.joined("ids").split(",") if one]
        if rest:
            number = self._records.number_of(request, module, rest[0])
            ids = [str(number)] if number is not None else rest
        if not ids:
            raise missing_param("ids")
        if len(ids) > MOST:
            raise limit_exceeded(
                "the number of ids exceeds the limit", limit=MOST, param_name="ids"
            )
        self._meter.charge(1)
        return _answered(self._writer.delete(module, ids), 200)


def _body(request: Request) -> Any:
    try:
        return request.json()
    except ValueError as problem:
        raise invalid_data("body", expected_data_type="jsonobject") from problem


def _answered(shown: list[dict[str, Any]], status: int) -> Response:
    failed = sum(one["status"] == "error" for one in shown)
    if failed:
        status = 400 if failed == len(shown) else 207
    return json_response({"data": shown}, status)
