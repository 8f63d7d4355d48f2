"""The route `records`: Get Records, page after page by the vendor's token, without an upper bound.

A token is bound to every parameter, so each list of at most 50 fields has a sequence of its own; records are
put together by their ids. What the sequences disagree about was edited meanwhile: such a record is read by
itself, or left to the next window. Source: zoho.com/crm/developer/docs/api/v8/get-records.html.
"""

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field

import msgspec

from crm_pipeline.connectors.base import Page, Plan
from crm_pipeline.connectors.range_reader import KeyRange, ParallelRangeReader, RangeBatch, missing
from crm_pipeline.connectors.zoho import describe, meter, responses
from crm_pipeline.connectors.zoho.api import Api
from crm_pipeline.connectors.zoho.checkpoints import ReadCheckpoint
from crm_pipeline.connectors.zoho.field_backfill import Completion, chunked
from crm_pipeline.connectors.zoho.responses import ResponsePage
from crm_pipeline.kernel.errors import ProtocolError, ReadLost
from crm_pipeline.store.landing.checkpoint import Checkpoint
from crm_pipeline.store.landing.rejects import Reject

ROUTE = "records"
# Places are numbers of records; nobody reads that many by tokens.
_BEHIND = 1 << 40
_ENDED = "-"


@dataclass
class _Sequence:
    """One list of fields: its parameters, the token of its next page, and what waits for the others.

    Attributes:
        rejected: what cannot be read, and was not taken from here yet.
    """

    names: tuple[str, ...]
    token: str = ""
    seen: set[str] = field(default_factory=set)
    waiting: dict[str, tuple[str | None, bytes | memoryview]] = field(default_factory=dict)
    rejected: list[Reject] = field(default_factory=list)

    @property
    def is_ended(self) -> bool:
        return self.token == _ENDED


class Listing:
    """Reads the window of one plan.

    Args:
        api: the account.
        plan: what is read.
    """

    def __init__(self, api: Api, plan: Plan) -> None:
        self._api = api
        self._plan = plan
        self._owner = f"{api.connection.name}.{plan.object}"
        self._chunks = chunked(plan.schema.names, api.limit("list_fields"))
        self._completion = Completion(api, plan.schema)
        self._given: set[str] = set()
        self._begun: dict[int, list[str]] = {0: [""] * len(self._chunks)}

    def pages(self, checkpoint: Checkpoint) -> Generator[Page]:
        """Yield pages of thousands of records; those that are done in the spool are not read again.

        Raises:
            ReadLost: a token is not known any more, or the read was cut where none was noted.
            Rejected: there are more records than tokens reach.
        """
        noted = ReadCheckpoint(self._api, self._plan, checkpoint)
        done = noted.done()
        noted.begin(ROUTE)
        for facts in done:
            if facts.get("cursor"):
                tokens = msgspec.json.decode(facts["cursor"], type=list[str])
                self._begun[int(facts["high"])] = tokens
        reader = ParallelRangeReader(
            self._read,
            at_once=1,
            owner=self._owner,
            route=ROUTE,
            checkpoint=checkpoint,
            splits=False,
        )
        yield from reader.pages(missing(KeyRange(0, _BEHIND), done))

    def _read(self, key_range: KeyRange) -> Generator[RangeBatch]:
        if key_range.low not in self._begun:
            raise ReadLost(
                f"{self._owner}: the read was cut where the vendor's place in it was not noted.",
                cure="Run it again; the window is read anew.",
            )
        tokens = self._begun[key_range.low]
        sequences = [
            _Sequence(names, token) for names, token in zip(self._chunks, tokens, strict=True)
        ]
        at = key_range.low
        while True:
            asked_at, calls = self._api.now(), self._completion.calls
            going = [one for one in sequences if not one.is_ended]
            for one in going:
                self._fetch(one)
            is_last = all(one.is_ended for one in sequences)
            found = self._whole(sequences, is_last=is_last)
            calls = len(going) + self._completion.calls - calls
            is_even = not any(one.waiting for one in sequences)
            tokens = [one.token for one in sequences]
            cursor = msgspec.json.encode(tokens).decode() if is_even else ""
            places = range(at, at + len(found))
            at += len(found)
            rejected = tuple(found.rejected)
            yield RangeBatch(
                positions=places,
                batch=found.batch(self._owner),
                asked_at=asked_at,
                is_last=is_last,
                calls=calls,
                rejected=rejected,
                cursor="" if is_last else cursor,
            )

    def _fetch(self, one: _Sequence) -> None:
        """Fetch the next page of a sequence into what waits."""
        plan = self._plan
        headers = {}
        if plan.window is not None and plan.window.from_at is not None:
            headers["If-Modified-Since"] = responses.stamp_text(plan.window.from_at)
        params = {
            "fields": ",".join(one.names),
            "per_page": str(self._api.limit("list_page_records")),
        }
        if describe.CONVERTED in plan.schema.by_name:
            params["converted"] = "both"
        if one.token:
            params["page_token"] = one.token
        reader = responses.reading(self._owner)
        page = self._api.ask(f"/{plan.object}", meter.LIST, reader, params, headers)
        if one.token and not page.seen:
            raise ReadLost(
                f"{self._owner}: the vendor answered with nothing, although more was to come.",
                cure="Run it again; the window is read anew.",
            )
        if page.has_more and (not page.token or page.token in one.seen):
            what = "named the same page twice" if page.token else "named no place of the next page"
            raise ProtocolError(
                f"{self._owner}: the vendor {what}, although more are to come.",
                cure="Run again; if it persists, report it to the vendor with the time of the run.",
            )
        one.seen.add(page.token)
        one.token = page.token if page.has_more else _ENDED
        # Where pages shift, one that came already comes again.
        one.rejected += page.rejected
        one.waiting.update(
            (key, (stamp, text)) for key, stamp, text in page.rows() if key not in self._given
        )

    def _whole(self, sequences: list[_Sequence], *, is_last: bool) -> ResponsePage:
        """Return the records of which all parts are here; at the end also those that never met."""
        found = ResponsePage()
        first, *others = sequences
        torn: list[str] = []
        for key in [key for key in first.waiting if all(key in one.waiting for one in others)]:
            parts = [one.waiting.pop(key) for one in sequences]
            self._given.add(key)
            if any(not responses.is_same(part[0], parts[0][0]) for part in parts):
                torn.append(key)
                continue
            text = responses.merged([part[1] for part in parts]) if others else parts[0][1]
            _add(found, key, parts[0][0], text)
        whole = self._completed(self._in_window(found))
        unnamed = dict.fromkeys(key for one in sequences for key in one.waiting) if is_last else {}
        whole.rejected += self._unread(sequences, list(unnamed), is_last=is_last)
        if is_last:
            for one in sequences:
                one.waiting.clear()
        for key in [*torn, *unnamed]:
            whole.add(self._in_window(self._completion.single(key)))
        return whole

    @staticmethod
    def _unread(sequences: list[_Sequence], torn: Sequence[str], *, is_last: bool) -> list[Reject]:
        """Return what cannot be read of records that no sequence could read.

        A part that cannot be read need not say whose it is. Where other parts do, the record is torn, and read by
        itself at the end; so many parts are accounted for then.
        """
        first, *others = sequences
        if others and not is_last:
            return []
        left = [
            len(one.rejected) - sum(key not in one.waiting for key in torn) for one in sequences
        ]
        found = first.rejected[len(first.rejected) - max(0, min(left)) :]
        for one in sequences:
            one.rejected.clear()
        return found

    def _completed(self, page: ResponsePage) -> ResponsePage:
        """Complete rich texts; a record that changed meanwhile is taken as it is now, if it still counts."""
        whole = self._completion.completed(page)
        if whole is not None:
            return whole
        found = ResponsePage()
        for row in page.rows():
            one = ResponsePage([row[0]], [row[1]], [row[2]])
            again = self._completion.completed(one) or self._in_window(
                self._completion.single(row[0])
            )
            found.add(again)
        found.rejected += page.rejected
        return found

    def _in_window(self, page: ResponsePage) -> ResponsePage:
        """Leave out what belongs to the next window."""
        window = self._plan.window
        if window is None:
            return page
        instants = page.instants()
        return page.only(
            [
                at is None
                or (at < window.to_at and (window.from_at is None or at >= window.from_at))
                for at in instants
            ]
        )


def _add(page: ResponsePage, key: str, stamp: str | None, text: bytes | memoryview) -> None:
    page.ids.append(key)
    page.stamps.append(stamp)
    page.texts.append(text)
