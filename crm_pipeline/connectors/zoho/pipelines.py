"""Pipelines with their stages: those of the layouts of deals, or one of our own where the org has none.

A pipeline tells of its stages whether deals in them are open, won or lost (`forecast_type`). The chance of
winning stands only in the pick list of the field Stage, and is added to the stages from there. In an org without
pipelines that pick list is all there is: its stages become those of the pipeline `default`.

Sources: zoho.com/crm/developer/docs/api/v8/get-pipelines.html, field-meta.html. How an org without pipelines
answers is not documented; both a refusal and an empty list are taken for it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Required, TypedDict

import msgspec
import requests

from crm_pipeline.connectors.described import entries
from crm_pipeline.connectors.zoho import keys, meter, sheet
from crm_pipeline.connectors.zoho.api import Api
from crm_pipeline.connectors.zoho.documents import NO_BODY, Layout
from crm_pipeline.connectors.zoho.sheet import Sheet
from crm_pipeline.kernel.errors import NotPermitted
from crm_pipeline.wire.decoding import UNREADABLE

NAME = "Pipelines"
OWN = "default"
"""The pipeline of deals that name none."""
_NONE = "-None-"
_VALUE = "actual_value"
_CHANCE = "probability"
_WITHOUT = frozenset({"FEATURE_NOT_ENABLED", "FEATURE_NOT_SUPPORTED", "NOT_SUPPORTED"})


class _StageField(TypedDict, total=False):
    api_name: Required[str]
    pick_list_values: list[dict[str, Any]] | None


class _Fields(msgspec.Struct):
    fields: list[msgspec.Raw]


class _Maps(msgspec.Struct):
    maps: list[dict[str, Any]]


def sheets(api: Api) -> Iterator[Sheet]:
    """Yield the pipelines of each layout, with the chances of their stages."""
    stages = _stages(api)
    chances = {str(one[_VALUE]): one.get(_CHANCE) for one in stages}
    seen = 0
    for page in _listed(api):
        seen += page.seen
        yield replace(page, texts=[_with_chances(text, chances) for text in page.texts])
    if not seen:
        yield _own(stages)


def _listed(api: Api) -> Iterator[Sheet]:
    path, metadata = "/settings/layouts", meter.METADATA
    reader = sheet.reading(
        f"{api.connection.name}.{NAME}", rule=keys.SETTINGS[NAME], key="pipeline", is_paged=False
    )
    for layout in api.ask(path, metadata, api.listed("layouts", Layout), {"module": "Deals"}):
        try:
            yield api.ask("/settings/pipeline", metadata, reader, {"layout_id": str(layout.id)})
        except NotPermitted as error:
            if error.code not in _WITHOUT:
                raise


def _stages(api: Api) -> list[dict[str, Any]]:
    """Return the stages as the pick list of deals has them."""

    def read(response: requests.Response) -> list[_StageField]:
        if response.status_code in NO_BODY:
            return []
        body, owner = response.content, api.connection.name
        what = "the fields of Deals"
        return entries(body, _Fields, _StageField, list_name="fields", owner=owner, what=what).rows

    params = {"module": "Deals", "type": "all"}
    listed = api.ask("/settings/fields", meter.METADATA, read, params)
    field = next((one for one in listed if one["api_name"] == "Stage"), None)
    stages = (field.get("pick_list_values") if field else None) or []
    return [stage for stage in stages if stage.get(_VALUE) not in {None, _NONE}]


def _own(stages: list[dict[str, Any]]) -> Sheet:
    told = {_VALUE: OWN, "display_value": "Default", "default": True, "maps": stages}
    return Sheet([OWN], [None], [msgspec.json.encode(told)])


def _with_chances(text: bytes | memoryview, chances: Mapping[str, Any]) -> bytes | memoryview:
    """Return a pipeline whose stages have their chance; one that they tell themselves stays."""
    try:
        maps = msgspec.json.decode(text, type=_Maps).maps
    except UNREADABLE:
        return text  # what it is worth is seen where it is made a table of
    for stage in maps:
        chance = chances.get(str(stage.get(_VALUE)))
        if chance is not None and stage.get(_CHANCE) is None:
            stage[_CHANCE] = chance
    return sheet.merged([text, msgspec.json.encode({"maps": maps})])
