"""Pipelines and their stages: the seeded ones, and the API that shows and changes them."""

import threading
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from crm_sandbox.http import Request, Response
from crm_sandbox.hubspot import bodies
from crm_sandbox.hubspot.credentials import PortalFacts
from crm_sandbox.hubspot.errors import ApiError, not_found, unsupported_method
from crm_sandbox.hubspot.instants import iso_of
from crm_sandbox.hubspot.paging import Page, answered, json_of


@dataclass(frozen=True)
class PipelineStage:
    """One stage; its metadata are texts, numbers and booleans too."""

    id: str
    label: str
    order: int
    metadata: dict[str, str]
    created_ms: int
    updated_ms: int
    archived: bool = False

    @property
    def is_closed(self) -> bool:
        """Whether a record in it is done."""
        return (
            self.metadata.get("isClosed") == "true" or self.metadata.get("ticketState") == "CLOSED"
        )

    @property
    def is_won(self) -> bool:
        """Whether a deal in it was won."""
        return self.is_closed and self.probability == 1.0

    @property
    def probability(self) -> float:
        """How likely a deal in it is won."""
        return float(self.metadata.get("probability", "0"))

    def shown(self) -> dict[str, Any]:
        """Return it as the API does."""
        return {
            "id": self.id,
            "label": self.label,
            "displayOrder": self.order,
            "metadata": self.metadata,
            "createdAt": iso_of(self.created_ms),
            "updatedAt": iso_of(self.updated_ms),
            "archived": self.archived,
            "writePermissions": "CRM_PERMISSIONS_ENFORCEMENT",
        }


@dataclass(frozen=True)
class Pipeline:
    """One pipeline."""

    id: str
    label: str
    order: int
    stages: tuple[PipelineStage, ...]
    created_ms: int
    updated_ms: int
    archived: bool = False

    def stage(self, stage: str) -> PipelineStage | None:
        """Return a stage that is not archived."""
        for one in self.stages:
            if one.id == stage and not one.archived:
                return one
        return None

    def shown(self) -> dict[str, Any]:
        """Return it as the API does."""
        return {
            "id": self.id,
            "label": self.label,
            "displayOrder": self.order,
            "stages": [one.shown() for one in self.stages if not one.archived],
            "createdAt": iso_of(self.created_ms),
            "updatedAt": iso_of(self.updated_ms),
            "archived": self.archived,
        }


_DEALS = (
    ("appointmentscheduled", "Appointment Scheduled", "0.2"),
    ("qualifiedtobuy", "Qualified To Buy", "0.4"),
    ("presentationscheduled", "Presentation Scheduled", "0.6"),
    ("decisionmakerboughtin", "Decision Maker Bought-In", "0.8"),
    ("contractsent", "Contract Sent", "0.9"),
    ("139821734", "Negotiation", "0.95"),
    ("closedwon", "Closed Won", "1.0"),
    ("closedlost", "Closed Lost", "0.0"),
)
_RENEWALS = {
    "main": ("75e28846-ad0d-4be2-a027-5e1da6590b98", "Renewals", 1_044_001),
    "second": ("88120045", "Partnergeschäft", 2_288_001),
}
_TICKETS = (("1", "New"), ("2", "Waiting on contact"), ("3", "Waiting on us"), ("4", "Closed"))
_LEADS = ("new", "attempting", "connected", "qualified", "unqualified")


def seeded(portal: PortalFacts, since_ms: int) -> dict[str, list[Pipeline]]:
    """Return the pipelines that a portal begins with, by object type."""
    other, label, first = _RENEWALS[portal.name]
    deals = [(one, name, _chance(chance)) for one, name, chance in _DEALS]
    renewals = [
        (str(first + k), name, _chance(chance)) for k, (_, name, chance) in enumerate(_DEALS)
    ]
    tickets = [
        (
            one,
            name,
            {
                "ticketState": "CLOSED" if one == "4" else "OPEN",
                "isClosed": str(one == "4").lower(),
            },
        )
        for one, name in _TICKETS
    ]
    leads = [
        (
            f"{one}-stage-id",
            one.capitalize(),
            {"leadState": one.upper(), "isClosed": str(one in _LEADS[3:]).lower()},
        )
        for one in _LEADS
    ]
    return {
        "deals": [
            _pipeline("default", "Sales Pipeline", 0, deals, since_ms),
            _pipeline(other, label, 1, renewals, since_ms),
        ],
        "tickets": [_pipeline("0", "Support Pipeline", 0, tickets, since_ms)],
        "leads": [_pipeline("lead-pipeline-id", "Lead pipeline", 0, leads, since_ms)],
    }


def _chance(probability: str) -> dict[str, str]:
    return {"isClosed": str(probability in {"1.0", "0.0"}).lower(), "probability": probability}


def _pipeline(
    id_: str, label: str, order: int, stages: list[tuple[str, str, dict[str, str]]], at_ms: int
) -> Pipeline:
    made = tuple(
        PipelineStage(one, name, number, metadata, at_ms, at_ms)
        for number, (one, name, metadata) in enumerate(stages)
    )
    return Pipeline(id_, label, order, made, at_ms, at_ms)


class PipelineStore:
    """The pipelines of one portal.

    Args:
        pipelines: by object type.
    """

    def __init__(self, pipelines: dict[str, list[Pipeline]]) -> None:
        self.lock = threading.RLock()
        self._pipelines = pipelines

    def of(self, name: str) -> list[Pipeline]:
        """Return the pipelines of an object type, archived ones too."""
        return list(self._pipelines.get(name, ()))

    def find(self, name: str, pipeline: str) -> Pipeline:
        """Return a pipeline.

        Raises:
            ApiError: there is none.
        """
        for one in self.of(name):
            if one.id == pipeline:
                return one
        raise not_found(f"Unable to find pipeline with ID {pipeline}", context={"id": [pipeline]})

    def stage(self, name: str, stage: str) -> tuple[Pipeline, PipelineStage] | None:
        """Return a stage by its id alone."""
        for pipeline in self.of(name):
            found = pipeline.stage(stage)
            if found is not None and not pipeline.archived:
                return pipeline, found
        return None

    def put(self, name: str, one: Pipeline) -> None:
        """Add a pipeline, or replace the one with its id."""
        with self.lock:
            kept = self._pipelines.setdefault(name, [])
            for position, other in enumerate(kept):
                if other.id == one.id:
                    kept[position] = one
                    return
            kept.append(one)


class PipelineHandler:
    """Answers about pipelines.

    Args:
        pipelines: of the portal.
        now_ms: the present.
    """

    def __init__(self, pipelines: PipelineStore, now_ms: Any) -> None:
        self._pipelines = pipelines
        self._now_ms = now_ms

    def handle(self, request: Request, name: str, parts: tuple[str, ...], page: Page) -> Response:
        """Answer for the pipelines of one object type."""
        if parts[-1:] == ("audit",):
            return answered({"results": []})
        if not parts:
            return self._all(request, name, page)
        pipeline = self._pipelines.find(name, parts[0])
        if len(parts) == 1:
            return self._pipeline(request, name, pipeline, page)
        if parts[1] != "stages" or len(parts) > 3:
            raise not_found()
        if len(parts) == 2:
            return self._stages(request, name, pipeline)
        return self._stage(request, name, pipeline, parts[2])

    def _all(self, request: Request, name: str, page: Page) -> Response:
        if request.method == "GET":
            shown = [one.shown() for one in self._pipelines.of(name) if not one.archived]
            return page.of(shown, None)
        if request.method != "POST":
            raise unsupported_method()
        body, now = json_of(request, bodies.Pipeline), self._now_ms()
        stages = [
            self._made_stage(one, number) for number, one in enumerate(body.get("stages") or ())
        ]
        order = _order(body, len(self._pipelines.of(name)))
        made = Pipeline(_new_id(), _label(body), order, tuple(stages), now, now)
        self._pipelines.put(name, made)
        return answered(made.shown(), 201)

    def _pipeline(self, request: Request, name: str, one: Pipeline, page: Page) -> Response:
        if request.method == "GET":
            return page.single(one.shown())
        now = self._now_ms()
        if request.method == "DELETE":
            self._pipelines.put(name, replace(one, archived=True, updated_ms=now))
            return Response(204)
        if request.method not in {"PATCH", "PUT"}:
            raise unsupported_method()
        body = json_of(request, bodies.Pipeline)
        stages = one.stages
        if request.method == "PUT":
            stages = tuple(self._made_stage(s, k) for k, s in enumerate(body.get("stages") or ()))
        changed = replace(
            one,
            label=body.get("label") or one.label,
            order=_order(body, one.order),
            archived=bool(body.get("archived") or False) if "archived" in body else one.archived,
            stages=stages,
            updated_ms=now,
        )
        self._pipelines.put(name, changed)
        return answered(changed.shown())

    def _stages(self, request: Request, name: str, pipeline: Pipeline) -> Response:
        if request.method == "GET":
            return answered({"results": [s.shown() for s in pipeline.stages if not s.archived]})
        if request.method != "POST":
            raise unsupported_method()
        made = self._made_stage(json_of(request, bodies.Stage), len(pipeline.stages))
        self._pipelines.put(name, replace(pipeline, stages=(*pipeline.stages, made)))
        return answered(made.shown(), 201)

    def _stage(self, request: Request, name: str, pipeline: Pipeline, stage: str) -> Response:
        found = pipeline.stage(stage)
        if found is None:
            raise not_found(f"Unable to find stage with ID {stage}", context={"id": [stage]})
        if request.method == "GET":
            return answered(found.shown())
        now = self._now_ms()
        if request.method == "DELETE":
            changed = replace(found, archived=True, updated_ms=now)
        elif request.method in {"PATCH", "PUT"}:
            body = json_of(request, bodies.Stage)
            metadata = {**found.metadata, **_texts(body.get("metadata") or {})}
            order, label = _order(body, found.order), body.get("label") or found.label
            changed = replace(found, label=label, order=order, metadata=metadata, updated_ms=now)
        else:
            raise unsupported_method()
        stages = tuple(changed if one.id == stage else one for one in pipeline.stages)
        self._pipelines.put(name, replace(pipeline, stages=stages))
        return Response(204) if request.method == "DELETE" else answered(changed.shown())

    def _made_stage(self, body: Mapping[str, Any], order: int) -> PipelineStage:
        now = self._now_ms()
        metadata = _texts(body.get("metadata") or {})
        given = str(body.get("stageId") or _new_id())
        return PipelineStage(given, _label(body), _order(body, order), metadata, now, now)


def _order(body: Mapping[str, Any], default: int) -> int:
    order = body.get("displayOrder")
    return default if order is None else int(order)


def _texts(metadata: Mapping[str, Any]) -> dict[str, str]:
    return {str(key): str(value) for key, value in metadata.items()}


def _label(body: Mapping[str, Any]) -> str:
    label = body.get("label")
    if not isinstance(label, str) or not label:
        raise ApiError(400, "VALIDATION_ERROR", "Some required fields were not set: [label]")
    return label


def _new_id() -> str:
    return str(uuid.uuid4().int % 10**9)
