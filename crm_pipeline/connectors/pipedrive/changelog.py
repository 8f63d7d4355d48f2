"""Changes of deals: the changelog of each deal, 20 tokens a deal.

A record is the whole changelog of a deal, oldest change first. `stages` lists the deal's states: the first
one, and one for each change of its stage or amount, with stage, pipeline, amount and currency after the
change. States of a changed stage hold the vendor's whole entry. `changes` lists all entries of other fields.
Source: https://developers.pipedrive.com/docs/api/v1/Deals (getDealChangelog)
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import quote

import msgspec

from crm_pipeline.connectors.metering import Operation
from crm_pipeline.connectors.pipedrive.catalog import ITEMS, Listing
from crm_pipeline.connectors.pipedrive.keys import KeyFields, next_page_of
from crm_pipeline.connectors.pipedrive.line_items import cursor_pages
from crm_pipeline.connectors.pipedrive.lister import Lister
from crm_pipeline.connectors.record_page import RecordReader
from crm_pipeline.kernel.errors import ProtocolError
from crm_pipeline.store.landing.rejects import Reject

_STAGES = ITEMS["stages"].listings[0]
_STAGE = "stage_id"
_STATE = (_STAGE, "value", "currency")
_RECORD = ("id", "add_time", "update_time", _STAGE, "creator_user_id")


@dataclass(frozen=True)
class _LogPage:
    """One page of a changelog: changes, newest first; unreadable ones; the cursor of the next page."""

    changes: list[dict[str, Any]]
    rejected: list[Reject]
    cursor: str | None


class _Change(msgspec.Struct):
    field_key: str | None = None


class _Stage(msgspec.Struct):
    id: int | str
    pipeline_id: int | str | None = None


_READER = RecordReader(
    KeyFields,
    _Change,
    list_name="data",
    id_name="field_key",
    id_of=lambda change: change.field_key or "",
)


class Changelog:
    """Implements `per_deal.RecordBuilder`."""

    what = "the changelog"
    optional: tuple[str, ...] = ()
    deal_fields: tuple[str, ...] = (*_RECORD, "pipeline_id", "value", "currency")
    lookup: Listing | None = _STAGES

    def __init__(self, lister: Lister) -> None:
        self._lister = lister

    def needs_call(self, deal: dict[str, Any]) -> bool:  # noqa: ARG002 - any deal has changes
        """Return True."""
        return True

    def record(self, deal: dict[str, Any]) -> dict[str, Any] | Reject:
        """Return a deal with its changes."""
        changes: list[dict[str, Any]] = []
        for page in _log_pages(self._lister, str(deal["id"])):
            if page.rejected:
                reject = page.rejected[0]
                return Reject(f"{reject.reason}, in what changed", reject.raw, str(deal["id"]))
            changes = [*page.changes[::-1], *changes]
        others = [change for change in changes if change.get("field_key") != _STAGE]
        record = {key: deal[key] for key in _RECORD}
        return {**record, "stages": list(self._states(deal, changes)), "changes": others}

    def _states(
        self, deal: dict[str, Any], changes: list[dict[str, Any]]
    ) -> Iterator[dict[str, Any]]:
        """Yield the first state of a deal, then the state after each change.

        States are numbered because several changes may have the same second. The numbers stay, as a
        changelog only grows.
        """
        moves = [change for change in changes if change.get("field_key") in _STATE]
        state = {key: _initial_value(key, moves, deal) for key in _STATE}
        creation = {
            "field_key": _STAGE,
            "old_value": None,
            "new_value": state[_STAGE],
            "time": deal["add_time"],
            "actor_user_id": deal["creator_user_id"],
        }
        yield {"number": 0, **creation, **self._with_pipeline(state, deal)}
        for number, move in enumerate(moves, 1):
            key = str(move["field_key"])
            state[key] = _text(move.get("new_value"))
            # The values of other fields are listed under `changes`.
            has_values = key == _STAGE
            change = {k: v for k, v in move.items() if has_values or not k.endswith("_value")}
            yield {"number": number, **change, **self._with_pipeline(state, deal)}

    def _with_pipeline(self, state: dict[str, str | None], deal: dict[str, Any]) -> dict[str, Any]:
        """Return a state with the pipeline of its stage; None where the stage no longer exists."""
        stage = state[_STAGE]
        pipeline = self._pipelines.get(stage or "")
        if pipeline is None and stage == _text(deal[_STAGE]):
            pipeline = deal["pipeline_id"]
        return {**state, "pipeline_id": pipeline}

    @cached_property
    def _pipelines(self) -> dict[str, int | str | None]:
        """The pipeline of each stage, requested once."""
        stages = Lister(self._lister.api, ITEMS["stages"])
        params = {"limit": str(self._lister.api.page_records)}
        pipelines: dict[str, int | str | None] = {}
        for page in cursor_pages(stages, _STAGES, params):
            for text in page.batch.column("record").to_pylist():
                stage = msgspec.json.decode(text, type=_Stage)
                pipelines[str(stage.id)] = stage.pipeline_id
        return pipelines


def _initial_value(key: str, moves: list[dict[str, Any]], deal: dict[str, Any]) -> str | None:
    """Return the first value of a deal's field."""
    own_moves = [move for move in moves if move["field_key"] == key]
    return _text(own_moves[0].get("old_value") if own_moves else deal[key])


def _text(value: Any) -> str | None:
    """Return a value in the form of changelogs."""
    return None if value is None else str(value)


def _log_pages(lister: Lister, deal: str) -> Iterator[_LogPage]:
    """Yield the pages of a deal's changelog, newest change first.

    Raises:
        ProtocolError: a page names the same next page again.
        MalformedResponse: a page is not what Pipedrive documents.
    """
    [listing] = lister.item.listings
    operation = Operation(f"list {lister.item.name}", cost=listing.cost)
    params, seen = {"limit": str(lister.api.page_records)}, set[str]()
    path = listing.path.format(id=quote(deal, safe=""))
    while True:
        page = lister.api.ask(
            path, lambda body: _read(body, listing, lister.owner), operation, **params
        )
        yield page
        if not page.cursor:
            return
        if page.cursor in seen:
            raise _broken(lister, "names the same page twice")
        seen.add(page.cursor)
        params["cursor"] = page.cursor


def _read(body: bytes, listing: Listing, owner: str) -> _LogPage:
    page = _READER.read(body, owner=owner, what="an answer with the changes of a deal")
    following = next_page_of(page, listing, owner)
    changes = [msgspec.json.decode(text, type=dict[str, Any]) for text in page.texts]
    return _LogPage(changes, page.rejected, following.next_cursor)


def _broken(lister: Lister, defect: str) -> ProtocolError:
    return ProtocolError(
        f"{lister.owner}: an answer {defect}.",
        cure="Nothing of it was kept. Run again; if it persists, report it to the vendor with the time of "
        "the run.",
    )
