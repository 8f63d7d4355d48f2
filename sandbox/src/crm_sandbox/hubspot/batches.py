"""Batches: up to 100 records read, created, changed, upserted or archived by one request."""

import json
from collections.abc import Callable
from typing import Any

from crm_sandbox.http import Request, Response, is_number
from crm_sandbox.hubspot import bodies
from crm_sandbox.hubspot.errors import ApiError, invalid, not_found, unsupported_method
from crm_sandbox.hubspot.instants import iso_of
from crm_sandbox.hubspot.paging import encoded, flag_of, inputs_of, json_of
from crm_sandbox.hubspot.portal import Portal
from crm_sandbox.hubspot.reading import RecordReader, is_fleeting, shape_of
from crm_sandbox.hubspot.records import RecordHandler
from crm_sandbox.hubspot.schema import ObjectType
from crm_sandbox.hubspot.writes import Writer

MOST = 100
Errors = list[dict[str, Any]]


class BatchHandler:
    """Answers batches of one portal.

    Args:
        portal: holds the records.
        reader: how they are read.
        records: finds them by another property than the id.
        writer: how they are written.
    """

    def __init__(
        self, portal: Portal, reader: RecordReader, records: RecordHandler, writer: Writer
    ) -> None:
        self._portal = portal
        self._reader = reader
        self._records = records
        self._writer = writer

    def answer(self, request: Request, one: ObjectType, action: str, *, strict: bool) -> Response:
        """Answer one batch.

        Args:
            request: the request.
            one: the object type.
            action: `read`, `create`, `update`, `upsert` or `archive`.
            strict: whether the rules for required properties hold.
        """
        actions: dict[str, Callable[..., Response]] = {
            "create": self._create,
            "update": self._update,
            "upsert": self._upsert,
            "archive": self._archive,
        }
        if action not in {"read", *actions}:
            raise not_found()
        if request.method != "POST":
            raise unsupported_method()
        body = json_of(request, bodies.RecordBatch)
        inputs = inputs_of(body, MOST)
        if action == "read":
            return self._read(request, one, body, inputs)
        return actions[action](one, inputs, strict)

    def _read(
        self, request: Request, one: ObjectType, body: dict[str, Any], inputs: list[dict[str, Any]]
    ) -> Response:
        archived = flag_of(request.query, "archived")
        if body.get("propertiesWithHistory") and len(inputs) > MOST // 2:
            raise invalid(
                "The maximum number of inputs supported in a batch request for property histories is "
                f"{MOST // 2}. You attempted to send {len(inputs)} inputs."
            )
        asked = [str(entry.get("id", "")) for entry in inputs]
        history = [str(name) for name in body.get("propertiesWithHistory") or []]
        shape = shape_of(one, [str(name) for name in body.get("properties") or []], history)

        def make() -> bytes:
            ids = self._ids(one, str(body.get("idProperty") or ""), asked, archived=archived)
            found = self._reader.by_ids(one, list(set(ids.values())), shape, archived=archived)
            missing = [name for name in asked if ids.get(name) not in found]
            return encoded([found[key] for key in sorted(found)]) + b"\0" + encoded(missing)

        key = ("read", one.name, archived, request.body)
        kept = make() if is_fleeting(one, shape) else self._portal.kept(key, make)
        results, _, missing = kept.rpartition(b"\0")
        return self._envelope(200, results, self._lost(one, json.loads(missing)))

    def _ids(
        self, one: ObjectType, by: str, asked: list[str], *, archived: bool = False
    ) -> dict[str, int]:
        if by:
            return self._records.keyed(one, by, asked, archived=archived)
        return {name: int(name) for name in asked if is_number(name)}

    def _lost(self, one: ObjectType, missing: list[str]) -> Errors:
        if not missing:
            return []
        message = (
            f"Could not get some {one.singular.upper()} objects, they may be deleted or not exist. "
            "Check that ids are valid."
        )
        return [not_found(message, context={"ids": list(dict.fromkeys(missing))}).entry()]

    def _create(self, one: ObjectType, inputs: list[dict[str, Any]], strict: bool) -> Response:
        traces = [entry.get("objectWriteTraceId") for entry in inputs]
        one_by_one = all(traces) and len(set(traces)) == len(traces)
        made: list[int] = []
        errors: Errors = []
        shown: dict[int, str] = {}
        with self._writer.all_or_nothing(not one_by_one):
            for entry in inputs:
                try:
                    made.append(self._writer.create_one(one, entry, strict=strict))
                    if one_by_one:
                        shown[made[-1]] = str(entry["objectWriteTraceId"])
                except ApiError as refusal:
                    # Without ids of their own one bad input is the end of all, named by the first.
                    if not one_by_one:
                        raise
                    errors.append(_traced(refusal, entry))
        return self._written(one, made, inputs, errors, 201, extra=lambda r: _trace(shown.get(r)))

    def _update(self, one: ObjectType, inputs: list[dict[str, Any]], strict: bool) -> Response:
        by = str(inputs[0].get("idProperty") or "") if inputs else ""
        ids = self._ids(one, by, [str(entry.get("id", "")) for entry in inputs])
        there = self._there(one, list(ids.values()))
        done: list[int] = []
        missing: list[str] = []
        errors: Errors = []
        for entry in inputs:
            name = str(entry.get("id", ""))
            # The old id of a merged record is not taken here, other than by a single change.
            if ids.get(name) not in there:
                missing.append(name)
                continue
            try:
                self._writer.update_one(one, ids[name], entry, strict=strict)
                done.append(ids[name])
            except ApiError as refusal:
                if len(inputs) == 1:
                    raise
                errors.append(_traced(refusal, entry))
        return self._written(one, done, inputs, [*errors, *self._lost(one, missing)], 200)

    def _upsert(self, one: ObjectType, inputs: list[dict[str, Any]], strict: bool) -> Response:
        by = str(inputs[0].get("idProperty") or "") if inputs else ""
        if not by or any(str(entry.get("idProperty") or "") != by for entry in inputs):
            raise invalid("idProperty is required, and must be the same for all inputs")
        is_new: dict[int, bool] = {}
        errors: Errors = []
        for entry in inputs:
            try:
                record, was_made = self._upserted(one, by, entry, strict)
                is_new[record] = was_made
            except ApiError as refusal:
                if len(inputs) == 1:
                    raise
                errors.append(_traced(refusal, entry))
        return self._written(
            one, list(is_new), inputs, errors, 200, extra=lambda record: {"new": is_new[record]}
        )

    def _upserted(
        self, one: ObjectType, by: str, entry: dict[str, Any], strict: bool
    ) -> tuple[int, bool]:
        name = str(entry.get("id") or "")
        found = self._ids(one, by, [name]).get(name)
        if found is not None and self._there(one, [found]):
            self._writer.update_one(one, found, entry, strict=strict)
            return found, False
        properties = {by: name, **(entry.get("properties") or {})}
        made = self._writer.create_one(one, {**entry, "properties": properties}, strict=strict)
        return made, True

    def _archive(self, one: ObjectType, inputs: list[dict[str, Any]], _: bool) -> Response:
        ids = self._ids(one, "", [str(entry.get("id", "")) for entry in inputs])
        self._writer.archive(one, list(ids.values()))
        return Response(204)

    def _there(self, one: ObjectType, ids: list[int]) -> set[int]:
        rows = self._portal.tables.cursor().execute(
            f'SELECT _id FROM "{one.table}" WHERE NOT _archived AND _id IN (SELECT unnest(?::BIGINT[]))',
            [ids],
        )
        return {row[0] for row in rows.fetchall()}

    def _written(
        self,
        one: ObjectType,
        ids: list[int],
        inputs: list[dict[str, Any]],
        errors: Errors,
        status: int,
        *,
        extra: Callable[[int], dict[str, Any]] = lambda _: {},
    ) -> Response:
        names = dict.fromkeys(name for entry in inputs for name in entry.get("properties") or ())
        records = self._reader.by_ids(one, ids, shape_of(one, names))
        results = [records[record] | extra(record) for record in dict.fromkeys(ids)]
        return self._envelope(status, encoded(results), errors)

    def _envelope(self, status: int, results: bytes, errors: Errors) -> Response:
        now = iso_of(self._portal.now_ms())
        times = f'"startedAt":"{now}","completedAt":"{now}"'
        failed = b""
        if errors:
            status = self._portal.settings.partial_status
            failed = b',"numErrors":%d,"errors":%s' % (len(errors), encoded(errors))
        head = b'{"status":"COMPLETE",%s,"results":' % times.encode()
        return Response(status, b"".join((head, results, failed, b"}")))


def _trace(given: str | None) -> dict[str, Any]:
    return {"objectWriteTraceId": given} if given else {}


def _traced(refusal: ApiError, entry: dict[str, Any]) -> dict[str, Any]:
    made = refusal.entry()
    if trace := entry.get("objectWriteTraceId"):
        made["context"] = {**made["context"], "objectWriteTraceId": [str(trace)]}
    elif entry.get("id"):
        made["context"] = {**made["context"], "ids": [str(entry["id"])]}
    return made
