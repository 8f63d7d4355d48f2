"""Reads records by their ids: queries with `Id IN (...)`, as many ids as one address holds.

`queryAll` returns records of the recycle bin, too, and the losers of merges with the id of the winner. Of ids that it
does not return the log of deletions is asked, which has those that were deleted for good in the last 15 days. Fields that
do not fit into one address are read by several queries and joined, if the record has not changed in between.
Sources: SOQL and SOSL Reference, "Comparison Operators"; REST API Developer Guide, "Status Codes" (414).
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any
from urllib.parse import quote

import msgspec
import pyarrow as pa
import requests
import structlog

from crm_pipeline.connectors.asked_ids import AskedIds, Outcome
from crm_pipeline.connectors.base import Page
from crm_pipeline.connectors.json_records import batch_of
from crm_pipeline.connectors.point_batches import PointBatch
from crm_pipeline.connectors.point_pages import NOT_FOUND, outcomes_of, point_page
from crm_pipeline.connectors.record_page import RecordPage
from crm_pipeline.connectors.salesforce import deletions, describe, keys, soql
from crm_pipeline.connectors.salesforce.api import Api
from crm_pipeline.connectors.salesforce.keys import KeyFields, RecordKey
from crm_pipeline.kernel.errors import MalformedResponse, NotPermitted, Rejected
from crm_pipeline.model.schema import Schema
from crm_pipeline.store.landing.rejects import Reject

_log = structlog.get_logger(__name__)
_WHAT = "a query answer"
_ID = re.compile(rb"^(?:" + keys.ID_FORM + rb")\Z")
_SUFFIX = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"
_HOST_BYTES = 512  # host, path and name of the parameter stay below
_ID_BYTES = len(quote("'" + "0" * 18 + "',", safe=""))
_FEWEST_IDS = 100  # of a query; where the fields leave room for fewer, they are split
_ATTEMPTS = 3
_CHANGING = "it changed each time while its fields were read"


def record_id(text: str) -> str:
    """Return an id in its form of 18 characters.

    The last three say which of the others are capitals, so that ids whose case was changed are noticed.

    Raises:
        ValueError: it is no id.
    """
    if not text.isascii() or not _ID.match(text.encode()):
        raise ValueError("it is no id: ids have 15 or 18 letters and digits")
    whole = text[:15] + "".join(_suffix(text[start : start + 5]) for start in (0, 5, 10))
    if len(text) == 18 and text != whole:
        raise ValueError("it is no id: its last three characters do not fit its capitals")
    return whole


def _suffix(part: str) -> str:
    return _SUFFIX[sum(1 << bit for bit, letter in enumerate(part) if letter.isupper())]


def marks(schema: Schema, ids: Sequence[str], *, owner: str, asked_at: datetime) -> Page:
    """Return a page with marks of deleted records, as `queryAll` would return them without a modification time."""
    kind = {"type": schema.object}
    texts = [msgspec.json.encode({"attributes": kind, "Id": one, "IsDeleted": True}) for one in ids]
    batch = batch_of(ids=ids, modified_at=[None] * len(ids), texts=texts, deleted=True, owner=owner)
    return point_page(batch, {}, asked_at=asked_at)


@dataclass
class _Rows:
    """Records by id, each with its keys and its text, and those that cannot be read."""

    found: dict[str, tuple[RecordKey, bytes | memoryview]] = field(default_factory=dict)
    rejected: list[Reject] = field(default_factory=list)

    @property
    def named(self) -> set[str]:
        """The ids of all."""
        return {*self.found, *(reject.source_id for reject in self.rejected)}


class PointReader:
    """Reads records of one object.

    Args:
        api: of the org.
        schema: the fields to read.
    """

    def __init__(self, api: Api, schema: Schema) -> None:
        self._api = api
        self._schema = schema
        self._owner = f"{api.connection.name}.{schema.object}"
        self._cursor_field = describe.cursor_field(schema)
        self._chunks = self._chunked()

    @property
    def batch(self) -> PointBatch:
        """The batches in which records are read."""
        size = min(
            self._api.limits.ceilings["query_page_records"],
            *((self._room(names) // _ID_BYTES) for names in self._chunks),
        )
        return PointBatch(size, len(self._chunks))

    def pages(self, asked: AskedIds) -> Iterator[Page]:
        """Yield the records; see `Account.read`."""
        for ids in asked.chunks(self.batch.records):
            asked_at, before = self._api.now(), self._api.usage.calls
            rows, changing = self._whole(ids)
            missing = [one for one in ids if one not in rows.named and one not in changing]
            gone = self._logged(missing)
            batch = self._batch({**rows.found, **gone.found})
            outcomes = outcomes_of(batch, rows.rejected) | self._merged(rows)
            outcomes |= dict.fromkeys(changing, Outcome("refused", _CHANGING))
            outcomes |= {one: self._absent(rows) for one in missing if one not in gone.found}
            yield point_page(
                batch,
                asked.named(outcomes),
                asked_at=asked_at,
                calls=self._api.usage.calls - before,
                rejected=rows.rejected,
            )

    def _whole(self, ids: Sequence[str]) -> tuple[_Rows, list[str]]:
        """Return records with all fields, and the ids of those that changed between the queries."""
        whole, left = _Rows(), list(ids)
        for _ in range(_ATTEMPTS):
            parts = [self._fetched(left, names) for names in self._chunks]
            left = self._join(whole, parts)
            if not left:
                break
        return whole, left

    def _join(self, whole: _Rows, parts: Sequence[_Rows]) -> list[str]:
        """Add the records of which all parts have the same modification time; return the ids of the others."""
        first, *others = parts
        whole.rejected += first.rejected
        if not others:
            whole.found |= first.found
            return []
        changed = []
        named = [set(part.found) for part in parts]
        for record in set.union(*named):
            texts = [part.found.get(record) for part in parts]
            present = [text for text in texts if text is not None]
            if len(present) == len(parts) and len({self._modified(k) for k, _ in present}) == 1:
                whole.found[record] = present[0][0], _merged_text([text for _, text in present])
            elif not any(record == reject.source_id for reject in whole.rejected):
                changed.append(record)
        return changed

    def _fetched(self, ids: Sequence[str], names: Sequence[str]) -> _Rows:
        """Return records with some fields. The org may cut a page: the rest is requested by the ids that are left."""
        rows, left = _Rows(), list(ids)
        while left:
            condition = f"Id IN ({','.join(soql.text(one) for one in left)})"
            query = soql.select(names, self._schema.object, [condition])
            page = self._api.asked(f"{self._api.base}/queryAll/", self._read, q=query)
            rows.found |= dict(
                zip(
                    (key.Id for key in page.keys),
                    zip(page.keys, page.texts, strict=True),
                    strict=True,
                )
            )
            rows.rejected += page.rejected
            if page.seen >= (page.envelope.total_size or 0):
                break
            before, left = len(left), [one for one in left if one not in rows.named]
            if len(left) == before:
                raise MalformedResponse(
                    f"{self._owner}: {_WHAT} announces records and holds none of them."
                )
        asked = set(ids)
        rows.found = {one: row for one, row in rows.found.items() if one in asked}
        return rows

    def _read(self, response: requests.Response) -> RecordPage[KeyFields, RecordKey]:
        page = keys.reader(self._cursor_field).read(response.content, owner=self._owner, what=_WHAT)
        if page.envelope.total_size is None:
            raise MalformedResponse(
                f"{self._owner}: {_WHAT} does not say how many records there are."
            )
        return page

    def _logged(self, ids: Sequence[str]) -> _Rows:
        """Return marks of those ids that the log of deletions has."""
        times = {one: at for one, at in self._log.items() if one in set(ids)} if ids else {}
        if not times:
            return _Rows()
        name = self._cursor_field
        records = [
            {
                "attributes": {"type": self._schema.object},
                "Id": one,
                "IsDeleted": True,
                **({name: at} if name else {}),
            }
            for one, at in times.items()
        ]
        body = msgspec.json.encode({"records": records})
        page = keys.reader(name).read(body, owner=self._owner, what="the log of deletions")
        rows = zip(page.keys, page.texts, strict=True)
        return _Rows({key.Id: (key, text) for key, text in rows})

    @cached_property
    def _log(self) -> Mapping[str, str]:
        """The log of deletions: the time of each by id; empty where the object has none."""
        if "IsDeleted" not in self._schema.by_name:
            return {}
        try:
            return deletions.log(self._api, self._schema.object)
        except (NotPermitted, Rejected) as error:
            _log.info(
                "no log of deletions", connection=self._api.connection.name, reason=error.message
            )
            return {}

    def _batch(self, rows: Mapping[str, tuple[RecordKey, bytes | memoryview]]) -> pa.RecordBatch:
        return batch_of(
            ids=list(rows),
            modified_at=[self._modified(key) for key, _ in rows.values()],
            texts=[bytes(text) for _, text in rows.values()],
            deleted=[key.is_deleted for key, _ in rows.values()],
            owner=self._owner,
        )

    def _modified(self, key: RecordKey) -> str | None:
        return key.modified_at(self._cursor_field)

    @staticmethod
    def _merged(rows: _Rows) -> dict[str, Outcome]:
        """Return the outcomes of the losers of merges."""
        found = {}
        for record, (key, text) in rows.found.items():
            winner = msgspec.json.decode(text, type=_Master).winner if key.is_deleted else None
            if winner:
                found[record] = Outcome(
                    "merged", f"the vendor says that it is now {winner}", into=winner
                )
        return found

    @staticmethod
    def _absent(rows: _Rows) -> Outcome:
        nameless = sum(not reject.is_named for reject in rows.rejected)
        if nameless:
            return Outcome(
                "refused", f"an answer holds {nameless} records whose ids cannot be read"
            )
        return Outcome("not_found", NOT_FOUND)

    def _room(self, names: Sequence[str]) -> int:
        """Return how many bytes of an address are left for ids."""
        query = soql.select(names, self._schema.object, ["Id IN ()"])
        longest = self._api.limits.ceilings["uri_bytes"] - _HOST_BYTES
        return longest - len(quote(query, safe=""))

    def _chunked(self) -> list[list[str]]:
        """Return the fields by query: mostly all in one."""
        always = [name for name in self._schema.names if name in RecordKey.__struct_fields__]
        chunks = [list(always)]
        for name in self._schema.names:
            if name in always:
                continue
            if self._room([*chunks[-1], name]) < _FEWEST_IDS * _ID_BYTES and chunks[-1] != always:
                chunks.append(list(always))
            chunks[-1].append(name)
        # In one query the fields stay in the order in which all queries have them.
        return [list(self._schema.names)] if len(chunks) == 1 else chunks


class _Master(msgspec.Struct):
    winner: Any = msgspec.field(default=None, name="MasterRecordId")


def _merged_text(texts: Sequence[bytes | memoryview]) -> bytes:
    whole: dict[str, msgspec.Raw] = {}
    for text in texts:
        whole |= msgspec.json.decode(text, type=dict[str, msgspec.Raw])
    return msgspec.json.encode(whole)
