"""A fifth vendor for `test_fifth_vendor.py`: a folder that is copied among the connectors, and no more.

It serves one object, `People`, as JSON pages of two records: GET <login_url>/people?after=<id>.
"""

import json
from datetime import UTC, datetime

import msgspec

from crm_pipeline.connectors.asked_ids import AskedIds, Outcome, number
from crm_pipeline.connectors.base import (
    Abilities,
    Checkup,
    Finding,
    LoginKind,
    ObjectInfo,
    Plan,
    ReadStrategy,
    Usage,
    published_limits,
)
from crm_pipeline.connectors.json_keys import keys_of
from crm_pipeline.connectors.json_records import batch_of
from crm_pipeline.connectors.oauth.login import FixedToken
from crm_pipeline.connectors.point_pages import NOT_FOUND, point_page
from crm_pipeline.connectors.range_reader import KeyRange, ParallelRangeReader, RangeBatch
from crm_pipeline.connectors.record_page import RecordReader
from crm_pipeline.connectors.strategies import planned
from crm_pipeline.connectors.upkeep import Upkeep
from crm_pipeline.kernel.clock import format_instant
from crm_pipeline.model.mapping import FieldMap, ObjectMap
from crm_pipeline.model.schema import Field, Schema
from crm_pipeline.ratelimit.limits import Limit
from crm_pipeline.wire.session import HttpSession

_PEOPLE = Schema(
    "People",
    "People",
    (
        Field("id", "Number", "integer", "integer"),
        Field("name", "Full name", "text"),
        Field("shoe", "Shoe size", "text", custom=True),
        Field("changed", "Changed", "instant", "timestamp"),
    ),
)


class _Person(msgspec.Struct):
    id: int
    changed: str


class _People(msgspec.Struct):
    people: list[msgspec.Raw]


_READER = RecordReader(
    _People,
    _Person,
    list_name="people",
    id_of=lambda key: str(key.id),
    modified_of=lambda key: key.changed,
)


class ToyKeys:
    version = 1

    def needed(self, obj):
        return frozenset(_Person.__struct_fields__)

    def copies(self, obj, field):
        return ()

    def of(self, obj, schema, raw, *, shape, route, origin, deleted):
        return keys_of(
            raw,
            lambda body: _READER.read(body, owner=obj),
            list_name="people",
            id_of=lambda key: str(key.id),
            deleted_of=lambda *_: False,
        )


class ToyAccount:
    def __init__(self, connection, context, limits):
        self.connection = connection
        self._context = context
        self._limit = Limit("calls", limits.ceilings["calls"], 1.0)
        self._login = FixedToken(context.settings, connection, context.clock)
        self._http = HttpSession(
            connection.name, classify_response=lambda _: None, allow_http=connection.sandbox
        )

    day_limit = None

    def upkeep(self, obj):
        return Upkeep(probe=1, refresh=2)

    @property
    def usage(self):
        return Usage(self._http.calls, None, None)

    def close(self):
        self._http.close()

    def check(self):
        return Checkup(self.connection.name, (Finding("ok", "login", self.identity()),))

    def identity(self):
        return "a toy"

    def objects(self):
        return [ObjectInfo("People", "People", custom=False, queryable=True)]

    def describe(self, obj):
        return _PEOPLE

    def cursor_field(self, schema):
        return "changed"

    def vendor_now(self):
        return self._context.clock.now().replace(microsecond=0)

    def count(self, plan):
        return self._ask(0, plan.window.to_at)["total"]

    def plan(self, obj, window):
        plan = Plan(
            object=obj.name,
            window=window,
            route="pages",
            reason="",
            schema=_PEOPLE,
            cursor_field="changed",
            complete=False,
            vendor_count=None,
            calls=0,
        )
        found = self.count(plan)
        route = ReadStrategy("pages", found // 2 + 1, found // 2 + 1, 0.1, "two at a time")
        counted = Plan(**{**vars(plan), "vendor_count": found})
        return planned(counted, (route,), asked=obj.route, remaining=None)

    def pages(self, plan, checkpoint):
        def read(span: KeyRange):
            after = span.low
            while True:
                answer = self._ask(after, plan.window.to_at)
                rows = answer["people"]
                batch = self._batch(rows)
                places = [row["id"] for row in rows]
                yield RangeBatch(places, batch, self.vendor_now(), is_last=not answer["more"])
                if not answer["more"]:
                    return
                after = places[-1] + 1

        workers = ParallelRangeReader(read, at_once=2, owner=self.connection.name, route="pages")
        return workers.pages([KeyRange(0, 1_000)])

    def read(self, obj, ids, schema=None):
        asked = AskedIds.of(ids, number)
        rows, outcomes = [], dict(asked.malformed)
        for one in asked.ids:
            # The list starts at this id, or at the next one where there is no such person.
            answer = self._ask(int(one), self._context.clock.now())
            row = next((row for row in answer["people"] if str(row["id"]) == one), None)
            rows += [row] if row else []
            outcomes |= asked.named(
                {one: Outcome("read") if row else Outcome("not_found", NOT_FOUND)}
            )
        if outcomes:
            batch = self._batch(rows)
            yield point_page(batch, outcomes, asked_at=self.vendor_now(), calls=len(asked.ids))

    def forget(self, checkpoint):
        pass

    def probe_changes(self, schema, since):
        return 0, datetime(2026, 1, 1, tzinfo=UTC)

    def _batch(self, rows):
        return batch_of(
            ids=[str(row["id"]) for row in rows],
            modified_at=[row["changed"] for row in rows],
            texts=[json.dumps(row) for row in rows],
            owner=self.connection.name,
        )

    def _ask(self, after, until):
        name = self.connection.name
        with self._context.limiter.permit(self.connection.limit_group, [self._limit], member=name):
            self._context.limiter.record(self.connection.limit_group, "people", member=name)
            token = self._login().access_token.reveal()
            params = {"after": str(after), "until": format_instant(until)}
            place = f"{self.connection.login_url}/people"
            headers = {"Authorization": f"Bearer {token}"}
            return self._http.request("GET", place, params=params, headers=headers).json()


class ToyConnector:
    vendor = "toy_vendor"
    abilities = Abilities(
        bulk_read=False, counts=True, deleted_flag=False, keeps_locator_over_login=True
    )
    logins = (LoginKind("token", "a token from the toy's settings"),)
    callback_url = "http://localhost:8401/"
    address_example = "https://toy.example"
    has_one_address = True
    mapping = (
        ObjectMap(
            "People",
            "contacts",
            (
                FieldMap("id", "source_id"),
                FieldMap("name", "full_name"),
                FieldMap("changed", "modified_at"),
            ),
        ),
    )
    snapshot_objects = frozenset()
    default_objects = ("People",)
    keys = ToyKeys()

    @property
    def limits(self):
        return published_limits(__package__)

    def vet(self, connection):
        pass

    def open(self, connection, context):
        return ToyAccount(connection, context, self.limits)


connector = ToyConnector()
