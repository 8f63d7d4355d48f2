"""The read strategy `records`: Get Records, page after page by the vendor's token, without an upper bound.

A token belongs to all parameters, so each chunk of at most 50 fields is a sequence of its own; records are
joined by their ids. A record on which the sequences disagree was edited during the read: it is read singly,
or left to the next window. Source: zoho.com/crm/developer/docs/api/v8/get-records.html.
"""

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field

import msgspec

from crm_pipeline.connectors.base import Page, Plan
from crm_pipeline.connectors.range_reader import KeyRange, ParallelRangeReader, RangeBatch, missing
from crm_pipeline.connectors.zoho import describe, meter, responses
from crm_pipeline.connectors.zoho.api import Api
from crm_pipeline.connectors.zoho.checkpoints import ReadCheckpoint
from crm_pipeline.connectors.zoho.field_backfill import FieldBackfill, chunked
from crm_pipeline.connectors.zoho.responses import ResponsePage
from crm_pipeline.kernel.errors import ProtocolError, ReadLost
from crm_pipeline.store.landing.checkpoint import Checkpoint
from crm_pipeline.store.landing.rejects import Reject

ROUTE = "records"
# Key ranges count records here; tokens reach fewer than these.
_END = 1 << 40
_LAST_PAGE = "-"


@dataclass
class _Sequence:
    """The read of one chunk of fields.

    Attributes:
        names: the fields.
        token: of the next page.
        seen: the tokens of earlier pages.
        waiting: records that wait for the other sequences: time of change and text by id.
        rejected: unreadable records that were not reported yet.
    """

    names: tuple[str, ...]
    token: str = ""
    seen: set[str] = field(default_factory=set)
    waiting: dict[str, tuple[str | None, bytes | memoryview]] = field(default_factory=dict)
    rejected: list[Reject] = field(default_factory=list)

    @property
    def is_ended(self) -> bool:
        return self.token == _LAST_PAGE


class Listing:
    """Reads the window of one plan.

    Args:
        api: the account.
        plan: the planned read.
    """

    def __init__(self, api: Api, plan: Plan) -> None:
        self._api = api
        self._plan = plan
        self._owner = f"{api.connection.name}.{plan.object}"
        self._chunks = chunked(plan.schema.names, api.limit("list_fields"))
        self._backfill = FieldBackfill(api, plan.schema)
        self._joined: set[str] = set()
        self._start_tokens: dict[int, list[str]] = {0: [""] * len(self._chunks)}

    def pages(self, checkpoint: Checkpoint) -> Generator[Page]:
        """Yield pages of thousands of records; finished ones are not read again.

        Raises:
            ReadLost: the vendor no longer knows a token, or no token was stored where the read stopped.
            Rejected: there are more records than tokens reach.
        """
        read_checkpoint = ReadCheckpoint(self._api, self._plan, checkpoint)
        done = read_checkpoint.done()
        read_checkpoint.begin(ROUTE)
        for facts in done:
            if facts.get("cursor"):
                tokens = msgspec.json.decode(facts["cursor"], type=list[str])
                self._start_tokens[int(facts["high"])] = tokens
        reader = ParallelRangeReader(
            self._read,
            at_once=1,
            owner=self._owner,
            route=ROUTE,
            checkpoint=checkpoint,
            splits=False,
        )
        yield from reader.pages(missing(KeyRange(0, _END), done))

    def _read(self, key_range: KeyRange) -> Generator[RangeBatch]:
        if key_range.low not in self._start_tokens:
            raise ReadLost(
                f"{self._owner}: the read stopped where no token of the vendor was stored.",
                cure="Run it again; the window is read anew.",
            )
        tokens = self._start_tokens[key_range.low]
        sequences = [
            _Sequence(names, token) for names, token in zip(self._chunks, tokens, strict=True)
        ]
        at = key_range.low
        while True:
            asked_at, calls = self._api.now(), self._backfill.calls
            unfinished = [sequence for sequence in sequences if not sequence.is_ended]
            for sequence in unfinished:
                self._fetch(sequence)
            is_last = all(sequence.is_ended for sequence in sequences)
            page = self._whole_records(sequences, is_last=is_last)
            calls = len(unfinished) + self._backfill.calls - calls
            is_resumable = not any(sequence.waiting for sequence in sequences)
            tokens = [sequence.token for sequence in sequences]
            cursor = msgspec.json.encode(tokens).decode() if is_resumable else ""
            positions = range(at, at + len(page))
            at += len(page)
            rejected = tuple(page.rejected)
            yield RangeBatch(
                positions=positions,
                batch=page.batch(self._owner),
                asked_at=asked_at,
                is_last=is_last,
                calls=calls,
                rejected=rejected,
                cursor="" if is_last else cursor,
            )

    def _fetch(self, sequence: _Sequence) -> None:
        """Fetch the next page of a sequence into its waiting records."""
        plan = self._plan
        headers = {}
        if plan.window is not None and plan.window.from_at is not None:
            headers["If-Modified-Since"] = responses.instant_text(plan.window.from_at)
        params = {
            "fields": ",".join(sequence.names),
            "per_page": str(self._api.limit("list_page_records")),
        }
        if describe.CONVERTED in plan.schema.by_name:
            params["converted"] = "both"
        if sequence.token:
            params["page_token"] = sequence.token
        reader = responses.page_reader(self._owner)
        page = self._api.ask(f"/{plan.object}", meter.LIST, reader, params, headers)
        if sequence.token and not page.seen:
            raise ReadLost(
                f"{self._owner}: the vendor answered with nothing, although more was to come.",
                cure="Run it again; the window is read anew.",
            )
        if page.has_more and (not page.token or page.token in sequence.seen):
            defect = "named the same page twice" if page.token else "sent no token of the next page"
            raise ProtocolError(
                f"{self._owner}: the vendor {defect}, although more are to come.",
                cure="Run again; if it persists, report it to the vendor with the time of the run.",
            )
        sequence.seen.add(page.token)
        sequence.token = page.token if page.has_more else _LAST_PAGE
        # Where pages shift, the same record comes again.
        sequence.rejected += page.rejected
        sequence.waiting.update(
            (key, (modified, text))
            for key, modified, text in page.rows()
            if key not in self._joined
        )

    def _whole_records(self, sequences: list[_Sequence], *, is_last: bool) -> ResponsePage:
        """Return the records whose parts have all arrived; at the end also those with missing parts."""
        joined = ResponsePage()
        first, *others = sequences
        changed: list[str] = []
        for key in [key for key in first.waiting if all(key in other.waiting for other in others)]:
            parts = [sequence.waiting.pop(key) for sequence in sequences]
            self._joined.add(key)
            if any(not responses.is_same_instant(part[0], parts[0][0]) for part in parts):
                changed.append(key)
                continue
            text = responses.merged([part[1] for part in parts]) if others else parts[0][1]
            _append(joined, key, parts[0][0], text)
        whole = self._backfilled(self._in_window(joined))
        incomplete: dict[str, None] = {}
        if is_last:
            incomplete = dict.fromkeys(key for sequence in sequences for key in sequence.waiting)
        whole.rejected += self._unreadable(sequences, list(incomplete), is_last=is_last)
        if is_last:
            for sequence in sequences:
                sequence.waiting.clear()
        for key in [*changed, *incomplete]:
            whole.extend(self._in_window(self._backfill.single(key)))
        return whole

    @staticmethod
    def _unreadable(
        sequences: list[_Sequence], incomplete: Sequence[str], *, is_last: bool
    ) -> list[Reject]:
        """Return the rejects of records that no sequence could read.

        An unreadable part may have no id. Where other parts of its record are readable, the record is
        incomplete and read singly at the end; the rejects of such parts are not reported.
        """
        first, *others = sequences
        if others and not is_last:
            return []
        remaining = [
            len(sequence.rejected) - sum(key not in sequence.waiting for key in incomplete)
            for sequence in sequences
        ]
        rejects = first.rejected[len(first.rejected) - max(0, min(remaining)) :]
        for sequence in sequences:
            sequence.rejected.clear()
        return rejects

    def _backfilled(self, page: ResponsePage) -> ResponsePage:
        """Return records with whole rich texts; a record that changed is read again, if still in the window."""
        whole = self._backfill.filled(page)
        if whole is not None:
            return whole
        backfilled = ResponsePage()
        for key, modified, text in page.rows():
            record = self._backfill.filled(ResponsePage([key], [modified], [text]))
            backfilled.extend(record or self._in_window(self._backfill.single(key)))
        backfilled.rejected += page.rejected
        return backfilled

    def _in_window(self, page: ResponsePage) -> ResponsePage:
        """Return the records of the window; later ones belong to the next window."""
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


def _append(page: ResponsePage, key: str, modified: str | None, text: bytes | memoryview) -> None:
    page.ids.append(key)
    page.modified.append(modified)
    page.texts.append(text)
