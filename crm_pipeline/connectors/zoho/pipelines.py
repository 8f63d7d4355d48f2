"""Pipelines with their stages: those of the layouts of deals, or one of our own where the org has none.

A pipeline tells of its stages whether deals in them are open, won or lost (`forecast_type`). The chance of
winning stands only in the layout's field Stage, and is added to the stages from there. In an org without
pipelines that pick list is all there is: its stages become those of the pipeline `default`.

Sources: zoho.com/crm/developer/docs/api/v8/get-pipelines.html, layouts-meta.html. How an org without pipelines
answers is not documented; both a refusal and an empty list are taken for it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import msgspec

from crm_pipeline.connectors.zoho import keys, meter, responses
from crm_pipeline.connectors.zoho.api import Api
from crm_pipeline.connectors.zoho.documents import Layout
from crm_pipeline.connectors.zoho.responses import ResponsePage
from crm_pipeline.kernel.errors import MalformedAnswer, NotPermitted
from crm_pipeline.wire.decoding import UNREADABLE

NAME = "Pipelines"
OWN = "default"
"""The pipeline of deals that name none."""
_NONE = "-None-"
_VALUE = "actual_value"
_CHANCE = "probability"
_WITHOUT = frozenset({"FEATURE_NOT_ENABLED", "FEATURE_NOT_SUPPORTED", "NOT_SUPPORTED"})


class _StageField(msgspec.Struct):
    api_name: Any = None
    pick_list_values: Any = None


class _Section(msgspec.Struct):
    fields: list[_StageField] = []


class _Maps(msgspec.Struct):
    maps: list[dict[str, Any]]


def response_pages(api: Api) -> Iterator[ResponsePage]:
    """Yield the pipelines of each layout, with the chances of their stages.

    Raises:
        MalformedAnswer: the org has no pipelines, and its layouts tell no stages.
    """
    path, metadata, owner = "/settings/layouts", meter.METADATA, f"{api.connection.name}.{NAME}"
    layouts = api.ask(path, metadata, api.listed("layouts", Layout), {"module": "Deals"})
    stages: dict[str, dict[str, Any]] = {}
    seen = 0
    for layout in layouts:
        told = _stages(layout)
        page = _listed(api, layout, owner)
        seen += page.seen
        stages |= told
        yield replace(page, texts=[_with_chances(text, told) for text in page.texts])
    if not seen and not stages:
        raise MalformedAnswer(
            f"{owner}: the org has no pipelines, and its layouts of deals tell no stages.",
            cure="Run again; if it persists, take Pipelines out of connections.yaml.",
        )
    if not seen:
        yield _own([*stages.values()])


def _listed(api: Api, layout: Layout, owner: str) -> ResponsePage:
    reader = responses.reading(owner, rule=keys.SETTINGS[NAME], key="pipeline", is_paged=False)
    params = {"layout_id": str(layout.id)}
    try:
        return api.ask("/settings/pipeline", meter.METADATA, reader, params)
    except NotPermitted as error:
        if error.code not in _WITHOUT:
            raise
        return ResponsePage()


def _stages(layout: Layout) -> dict[str, dict[str, Any]]:
    """Return the stages by name, as the layout's field Stage lists them; none where it cannot be read."""
    try:
        sections = msgspec.json.decode(layout.sections, type=list[_Section])
        fields = [field for section in sections for field in section.fields]
        listed = next((one.pick_list_values for one in fields if one.api_name == "Stage"), None)
        stages = msgspec.convert(listed or [], list[dict[str, Any]])
    except UNREADABLE:
        return {}
    return {str(one[_VALUE]): one for one in stages if one.get(_VALUE) not in {None, _NONE}}


def _own(stages: list[dict[str, Any]]) -> ResponsePage:
    told = {_VALUE: OWN, "display_value": "Default", "default": True, "maps": stages}
    return ResponsePage([OWN], [None], [msgspec.json.encode(told)])


def _with_chances(
    text: bytes | memoryview, stages: Mapping[str, dict[str, Any]]
) -> bytes | memoryview:
    """Return a pipeline whose stages have their chance; one that they tell themselves stays."""
    try:
        maps = msgspec.json.decode(text, type=_Maps).maps
    except UNREADABLE:
        return text  # what it is worth is seen where it is made a table of
    for stage in maps:
        chance = stages.get(str(stage.get(_VALUE)), {}).get(_CHANCE)
        if chance is not None and stage.get(_CHANCE) is None:
            stage[_CHANCE] = chance
    return responses.merged([text, msgspec.json.encode({"maps": maps})])
