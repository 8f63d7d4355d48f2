"""Reads pipelines with their stages from the layouts of deals, or builds one where the org has none.

A pipeline's stages say whether their deals are open, won or lost (`forecast_type`). The probability is only in
the layout's field Stage and is added to the stages. An org without pipelines has only that pick list: its
stages become those of the pipeline `default`.

Sources: zoho.com/crm/developer/docs/api/v8/get-pipelines.html, layouts-meta.html. The response of an org
without pipelines is not documented; a refusal and an empty list both count as none.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import msgspec

from crm_pipeline.connectors.zoho import keys, meter, responses
from crm_pipeline.connectors.zoho.api import Api
from crm_pipeline.connectors.zoho.documents import Layout
from crm_pipeline.connectors.zoho.responses import ResponsePage
from crm_pipeline.kernel.errors import MalformedResponse, NotPermitted
from crm_pipeline.wire.decoding import UNREADABLE

NAME = "Pipelines"
DEFAULT = "default"
"""The pipeline of deals without one."""
_NONE = "-None-"
_VALUE = "actual_value"
_PROBABILITY = "probability"
_NOT_AVAILABLE = frozenset({"FEATURE_NOT_ENABLED", "FEATURE_NOT_SUPPORTED", "NOT_SUPPORTED"})


class _StageField(msgspec.Struct):
    api_name: Any = None
    pick_list_values: Any = None


class _Section(msgspec.Struct):
    fields: list[_StageField] = []


class _Maps(msgspec.Struct):
    maps: list[dict[str, Any]]


def response_pages(api: Api) -> Iterator[ResponsePage]:
    """Yield the pipelines of each layout, with the probabilities of their stages.

    Raises:
        MalformedResponse: the org has no pipelines, and its layouts have no stages.
    """
    path, metadata, owner = "/settings/layouts", meter.METADATA, f"{api.connection.name}.{NAME}"
    layouts = api.ask(path, metadata, api.listed("layouts", Layout), {"module": "Deals"})
    stages: dict[str, dict[str, Any]] = {}
    seen = 0
    for layout in layouts:
        own_stages = _stages(layout)
        page = _pipelines_of(api, layout, owner)
        seen += page.seen
        stages |= own_stages
        yield replace(page, texts=[_with_probabilities(text, own_stages) for text in page.texts])
    if not seen and not stages:
        raise MalformedResponse(
            f"{owner}: the org has no pipelines, and its layouts of deals tell no stages.",
            cure="Run again; if it persists, take Pipelines out of connections.yaml.",
        )
    if not seen:
        yield _default_pipeline([*stages.values()])


def _pipelines_of(api: Api, layout: Layout, owner: str) -> ResponsePage:
    reader = responses.page_reader(owner, rule=keys.SETTINGS[NAME], key="pipeline", is_paged=False)
    params = {"layout_id": str(layout.id)}
    try:
        return api.ask("/settings/pipeline", meter.METADATA, reader, params)
    except NotPermitted as error:
        if error.code not in _NOT_AVAILABLE:
            raise
        return ResponsePage()


def _stages(layout: Layout) -> dict[str, dict[str, Any]]:
    """Return the stages of the layout's field Stage by name; empty where it cannot be read."""
    try:
        sections = msgspec.json.decode(layout.sections, type=list[_Section])
        fields = [field for section in sections for field in section.fields]
        values = next(
            (field.pick_list_values for field in fields if field.api_name == "Stage"), None
        )
        stages = msgspec.convert(values or [], list[dict[str, Any]])
    except UNREADABLE:
        return {}
    return {str(stage[_VALUE]): stage for stage in stages if stage.get(_VALUE) not in {None, _NONE}}


def _default_pipeline(stages: list[dict[str, Any]]) -> ResponsePage:
    pipeline = {_VALUE: DEFAULT, "display_value": "Default", "default": True, "maps": stages}
    return ResponsePage([DEFAULT], [None], [msgspec.json.encode(pipeline)])


def _with_probabilities(
    text: bytes | memoryview, stages: Mapping[str, dict[str, Any]]
) -> bytes | memoryview:
    """Return a pipeline whose stages have probabilities; a stage's own probability stays."""
    try:
        maps = msgspec.json.decode(text, type=_Maps).maps
    except UNREADABLE:
        return text  # normalization reports the defect
    for stage in maps:
        probability = stages.get(str(stage.get(_VALUE)), {}).get(_PROBABILITY)
        if probability is not None and stage.get(_PROBABILITY) is None:
            stage[_PROBABILITY] = probability
    return responses.merged([text, msgspec.json.encode({"maps": maps})])
