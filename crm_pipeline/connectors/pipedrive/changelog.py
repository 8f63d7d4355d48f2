"""What changed in a deal: its changelog, 20 tokens a deal.

A deal's record is its whole changelog, oldest first. Under `stages` stand the states that it went through:
the one that it was made in, and one for each change of its stage or amount, with stage, pipeline, amount and
currency after the change. Changes of the stage are the vendor's own, under `changes` stand all others.
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
from crm_pipeline.connectors.pipedrive.keys import KeyFields, behind
from crm_pipeline.connectors.pipedrive.line_items import walk
from crm_pipeline.connectors.pipedrive.lister import Lister
from crm_pipeline.connectors.record_page import RecordReader
from crm_pipeline.kernel.errors import ProtocolError
from crm_pipeline.store.landing.rejects import Reject

_STAGES = ITEMS["stages"].listings[0]
_STAGE = "stage_id"
_STATE = (_STAGE, "value", "currency")
_RECORD = ("id", "add_time", "update_time", _STAGE, "creator_user_id")


@dataclass(frozen=True)
class _Log:
    """One answer with changes: newest first, those of them that cannot be read, and what comes behind."""

    changes: list[dict[str, Any]]
    rejected: list[Reject]
    cursor: str | None


class _Change(msgspec.Struct):
    field_key: str | None = None


class _StageOf(msgspec.Struct):
    id: int | str
    pipeline_id: int | str | None = None


_READER = RecordReader(
    KeyFields, _Change, list_name="data", id_name="field_key", id_of=lambda one: one.field_key or ""
)


class Changelog:
    """Implements `per_deal.Maker`."""

    what = "the changelog"
    optional: tuple[str, ...] = ()
    kept: tuple[str, ...] = (*_RECORD, "pipeline_id", "value", "currency")
    listing: Listing | None = _STAGES

    def __init__(self, lister: Lister) -> None:
        self._lister = lister

    def is_asked(self, deal: dict[str, Any]) -> bool:  # noqa: ARG002 - any deal has changes
        """Return True."""
        return True

    def made(self, deal: dict[str, Any]) -> dict[str, Any] | Reject:
        """Return a deal with its changes."""
        logged: list[dict[str, Any]] = []
        for log in _changelog(self._lister, str(deal["id"])):
            if log.rejected:
                lost = log.rejected[0]
                return Reject(f"{lost.reason}, in what changed", lost.raw, str(deal["id"]))
            logged = [*log.changes[::-1], *logged]
        others = [one for one in logged if one.get("field_key") != _STAGE]
        record = {key: deal[key] for key in _RECORD}
        return {**record, "stages": list(self._states(deal, logged)), "changes": others}

    def _states(
        self, deal: dict[str, Any], logged: list[dict[str, Any]]
    ) -> Iterator[dict[str, Any]]:
        """Yield what the deal was made as, then each state that it changed to.

        Numbers tell apart what changed in one second; a changelog only grows.
        """
        moves = [one for one in logged if one.get("field_key") in _STATE]
        state = {key: _first(key, moves, deal) for key in _STATE}
        begun = {
            "field_key": _STAGE,
            "old_value": None,
            "new_value": state[_STAGE],
            "time": deal["add_time"],
            "actor_user_id": deal["creator_user_id"],
        }
        yield {"number": 0, **begun, **self._placed(state, deal)}
        for number, move in enumerate(moves, 1):
            key = str(move["field_key"])
            state[key] = _text(move.get("new_value"))
            # What is not of the stage stands in full among the others.
            is_told = key == _STAGE
            change = {k: v for k, v in move.items() if is_told or not k.endswith("_value")}
            yield {"number": number, **change, **self._placed(state, deal)}

    def _placed(self, state: dict[str, str | None], deal: dict[str, Any]) -> dict[str, Any]:
        """Return a state with the pipeline of its stage; None where the stage is gone."""
        stage = state[_STAGE]
        pipeline = self._pipelines.get(stage or "")
        if pipeline is None and stage == _text(deal[_STAGE]):
            pipeline = deal["pipeline_id"]
        return {**state, "pipeline_id": pipeline}

    @cached_property
    def _pipelines(self) -> dict[str, int | str | None]:
        """The pipeline of each stage, asked for once."""
        stages = Lister(self._lister.api, ITEMS["stages"])
        params = {"limit": str(self._lister.api.page_records)}
        found: dict[str, int | str | None] = {}
        for page in walk(stages, _STAGES, params):
            for text in page.batch.column("record").to_pylist():
                stage = msgspec.json.decode(text, type=_StageOf)
                found[str(stage.id)] = stage.pipeline_id
        return found


def _first(key: str, moves: list[dict[str, Any]], deal: dict[str, Any]) -> str | None:
    """Return what a field of a deal was in the beginning."""
    changed = [one for one in moves if one["field_key"] == key]
    return _text(changed[0].get("old_value") if changed else deal[key])


def _text(value: Any) -> str | None:
    """Return a value as changelogs write it."""
    return None if value is None else str(value)


def _changelog(lister: Lister, deal: str) -> Iterator[_Log]:
    """Yield the answers with the changes of a deal, newest first.

    Raises:
        ProtocolError: an answer names a page twice.
        MalformedAnswer: an answer is not what Pipedrive documents.
    """
    [log] = lister.item.listings
    operation = Operation(f"list {lister.item.name}", cost=log.cost)
    params, seen = {"limit": str(lister.api.page_records)}, set[str]()
    path = log.path.format(id=quote(deal, safe=""))
    while True:
        found = lister.api.ask(
            path, lambda body: _read(body, log, lister.owner), operation, **params
        )
        yield found
        if not found.cursor:
            return
        if found.cursor in seen:
            raise _broken(lister, "names the same page twice")
        seen.add(found.cursor)
        params["cursor"] = found.cursor


def _read(body: bytes, listing: Listing, owner: str) -> _Log:
    page = _READER.read(body, owner=owner, what="an answer with the changes of a deal")
    told = behind(page, listing, owner)
    changes = [msgspec.json.decode(text, type=dict[str, Any]) for text in page.texts]
    return _Log(changes, page.rejected, told.next_cursor)


def _broken(lister: Lister, what: str) -> ProtocolError:
    return ProtocolError(
        f"{lister.owner}: an answer {what}.",
        cure="Nothing of it was kept. Run again; if it persists, report it to the vendor with the time of "
        "the run.",
    )
