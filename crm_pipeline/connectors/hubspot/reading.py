"""The pages of a plan: live records in parallel by list, search or both, and archived records at the same time."""

from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import Any

import structlog

from crm_pipeline.connectors.base import Page, Plan
from crm_pipeline.connectors.hubspot import search
from crm_pipeline.connectors.hubspot.api import Api
from crm_pipeline.connectors.hubspot.archive import Archive
from crm_pipeline.connectors.hubspot.estimate import BOUND_CALLS, Load
from crm_pipeline.connectors.hubspot.listing import ListReader
from crm_pipeline.connectors.hubspot.record_assembly import RecordAssembly, StaleIndexHits
from crm_pipeline.connectors.hubspot.search import TOP, SearchReader
from crm_pipeline.connectors.hubspot.selection import Selection
from crm_pipeline.connectors.merged_streams import merged
from crm_pipeline.connectors.range_reader import KeyRange, ParallelRangeReader, RangeBatch, missing
from crm_pipeline.kernel.errors import ReadLost
from crm_pipeline.kernel.identity import fingerprint
from crm_pipeline.store.landing.checkpoint import Checkpoint

_log = structlog.get_logger(__name__)
_LIVE, _ARCHIVED = "live", "archived"
_NEAR = 0.05


@dataclass(frozen=True)
class _Division:
    """The division of a read: the list below the id `bound`, searches from there to `high`; `low` is the first id.

    `archive` holds how archived records are read, see `Archive.facts`.
    """

    route: str
    low: int
    bound: int
    high: int
    workers: int
    archive: Mapping[str, Any] = field(default_factory=dict)

    def request(self) -> dict[str, Any]:
        """Return the division as checkpoints hold it; `lanes` is what the workers were called first."""
        request = dict(vars(self))
        return {"lanes": request.pop("workers"), **request}

    @classmethod
    def of(cls, request: Mapping[str, Any]) -> "_Division":
        """Return the division that a checkpoint holds."""
        values = dict(request)
        if "lanes" in values:
            values["workers"] = values.pop("lanes")
        return cls(**values)

    def key_ranges(self) -> list[KeyRange]:
        first = max(self.low, self.bound)
        searched = missing(KeyRange(first, self.high), [], parts=max(1, self.workers))
        if self.bound:
            return [*missing(KeyRange(0, self.bound), []), *searched]
        return [KeyRange(0, searched[0].high), *searched[1:]] if searched else []


def pages(
    api: Api,
    plan: Plan,
    checkpoint: Checkpoint,
    *,
    stale_hits: StaleIndexHits,
    archive: Archive | None,
) -> Iterator[Page]:
    """Yield the pages of a plan that the checkpoint does not have.

    Raises:
        ReadLost: the checkpoint is of another plan.
        VendorError: a part cannot be read.
    """
    selection = Selection.of(api, plan)
    kept = None if plan.complete else checkpoint
    division = _resumed(plan, selection, kept) if kept else None
    before = list(checkpoint.all_done()) if division else []
    done = [page.facts for page in before]
    stale_hits.add_read(sum(page.read for page in before if page.counted))
    if division is None:
        division = _divided(api, plan, selection)
        if archive is not None:
            division = replace(division, archive=archive.facts())
        if kept:
            kept.begin({"plan": _mark(plan, selection), **division.request()})
    live = _live(
        api, selection, division, done=_part(done, _LIVE), checkpoint=kept, stale_hits=stale_hits
    )
    if plan.complete or plan.keys_only:
        yield from live
        return
    archived = _archived(
        api, selection, division, done=_part(done, _ARCHIVED), checkpoint=checkpoint
    )
    yield from merged(live, archived)


def _live(
    api: Api,
    selection: Selection,
    division: _Division,
    *,
    done: Sequence[Mapping[str, Any]],
    checkpoint: Checkpoint | None,
    stale_hits: StaleIndexHits,
) -> Generator[Page]:
    by_list = RecordAssembly(api, selection, not selection.fits_list(api), stale_hits)
    by_search = RecordAssembly(api, selection, not selection.fits_search(api), stale_hits)
    cursors = _cursors(done)
    listed = ListReader(api, selection, by_list, cursors)
    searched = SearchReader(api, selection, by_search)
    anywhere = division.route == "list" and division.workers > 1

    def read(key_range: KeyRange) -> Generator[RangeBatch]:
        is_list = division.bound > 0 and key_range.low in cursors
        return listed(key_range) if is_list or anywhere else searched(key_range)

    workers = ParallelRangeReader(
        read,
        at_once=max(1, division.workers + (division.route == "both")),
        owner=by_list.owner,
        route=division.route,
        checkpoint=checkpoint,
        splits=division.workers > 1 or division.route == "both",
        note={"part": _LIVE},
    )
    gaps = missing(KeyRange(0, division.high), done) if done else division.key_ranges()
    with closing(workers.pages(gaps)) as pages:
        for page in pages:
            # Counted here and not per response, because workers leave out records that another has read.
            rows = sum(batch.num_rows for batch in page.batches())
            stale_hits.add_read(rows + len(page.rejected))
            yield page


def _archived(
    api: Api,
    selection: Selection,
    division: _Division,
    *,
    done: Sequence[Mapping[str, Any]],
    checkpoint: Checkpoint,
) -> Generator[Page]:
    archive, seen = Archive.kept(division.archive), _seen(done)
    wanted = archive.selection(selection)
    assembly = RecordAssembly(
        api, wanted, archive.by_id(api, wanted), stale_hits=StaleIndexHits(), archived=True
    )
    workers = ParallelRangeReader(
        ListReader(api, wanted, assembly, _cursors(done)),
        at_once=1,
        owner=assembly.owner,
        route=division.route,
        checkpoint=checkpoint,
        splits=False,
        counted=False,
        note={"part": _ARCHIVED},
    )
    for page in workers.pages(missing(KeyRange(0, TOP), done)) if archive.is_due else ():
        seen += _seen([page.facts])
        yield page
    bounds = api.connection.shrink_bounds
    to_at = selection.window.to_at if selection.window else None
    if archive.is_due and archive.is_short(seen, bounds, to_at):
        _log.warning(
            "the list of archived records has lost too many records to be plausible",
            connection=api.connection.name,
            object=selection.name,
            before=archive.size,
            now=seen,
            cure="No record becomes live again; the next refresh reads all records archived since.",
        )
    yield Page(
        shape="json",
        route=division.route,
        batches=lambda: iter(()),
        extracted_at=api.now(),
        counted=False,
        notes=archive.notes(to_at, seen, bounds),
    )


def _divided(api: Api, plan: Plan, selection: Selection) -> _Division:
    """Return the division of a plan's read."""
    load = Load.of(api, selection, plan.vendor_count or 0)
    cursors = api.meter.limit("list_cursors")
    if plan.route == "list" and cursors == 1:
        return _Division("list", low=0, bound=TOP, high=TOP, workers=1)
    if plan.route == "search" and load.search_workers == 1:
        return _Division("search", low=0, bound=0, high=TOP, workers=1)
    ids = search.edges(api, selection)
    if plan.route == "list":
        return _Division("list", ids.low, bound=ids.high, high=ids.high, workers=cursors)
    bound = _bound(api, selection, load, ids) if plan.route == "both" else 0
    return _Division(plan.route, ids.low, bound, ids.high, load.search_workers)


def _bound(api: Api, selection: Selection, load: Load, ids: KeyRange) -> int:
    """Return an id below which about as many records are as the list should read."""
    wanted, below = load.part_by_list * load.records, 0
    low, high, least, most = ids.low, ids.high, 0, load.records
    for attempt in range(BOUND_CALLS):
        # Interpolation and bisection in turn, as ids are dense in some ranges and sparse in others.
        part = (wanted - least) / max(1, most - least) if attempt % 2 == 0 else 0.5
        middle = min(high, max(low + 1, low + int((high - low) * part)))
        below = search.count(api, selection, below=middle)
        if abs(below - wanted) <= _NEAR * load.records or high - low < 2:
            return middle
        if below < wanted:
            low, least = middle, below
        else:
            high, most = middle, below
    return high


def _resumed(plan: Plan, selection: Selection, checkpoint: Checkpoint) -> _Division | None:
    request = dict(checkpoint.request or {})
    if not request:
        return None
    if request.pop("plan", "") != _mark(plan, selection):
        raise ReadLost(
            f"{plan.object}: the read of an earlier run has another plan.",
            cure="Nothing to do: it is read from its beginning.",
        )
    return _Division.of(request)


def _mark(plan: Plan, selection: Selection) -> str:
    parts = [selection.name, selection.cursor_field, *selection.others, str(plan.window)]
    return fingerprint([*parts, plan.schema.fingerprint])


def _part(done: Sequence[Mapping[str, Any]], part: str) -> list[Mapping[str, Any]]:
    return [facts for facts in done if facts["part"] == part]


def _seen(done: Sequence[Mapping[str, Any]]) -> int:
    return sum(int(facts.get("seen", 0)) for facts in done)


def _cursors(done: Sequence[Mapping[str, Any]]) -> Mapping[int, str]:
    """Return the cursors at which a list can be resumed, by id; 0 is its beginning."""
    return {0: "", **{int(facts["high"]): facts["cursor"] for facts in done if "cursor" in facts}}
