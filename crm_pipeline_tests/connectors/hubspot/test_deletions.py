"""What HubSpot says of records that its lists do not show any more, and lists that are suddenly empty."""

import json
from dataclasses import replace
from typing import Any

from crm_pipeline.settings import ObjectSettings
from crm_pipeline.stages.raw import Extraction, extract
from crm_pipeline_tests.connectors.hubspot.conftest import Still, emulator
from crm_pipeline_tests.harness import Harness


def read(hub: Harness, obj: str, **changed: Any) -> Extraction:
    with hub.account() as account:
        account.connection = replace(account.connection, **changed)
        return extract(account, ObjectSettings(obj), None, mode="refresh", landing=hub.landing)


def test_owners_who_left(still: Still) -> None:
    """Of an owner HubSpot says it by the id; of one that lives, of nobody, and of pipelines it says nothing."""
    hub = still()
    with hub.account() as account:
        known = {row["id"]: row["archived"] for row in owners(hub)}
        gone = {one for one, is_archived in known.items() if is_archived}
        assert gone
        assert account.confirm_deleted("owners", [*known, "987654"]) == gone  # type: ignore[attr-defined]
        assert account.confirm_deleted("deal_pipelines", ["default"]) == set()  # type: ignore[attr-defined]


def owners(hub: Harness) -> list[dict[str, Any]]:
    with hub.account() as account:
        pages = account.pages(  # type: ignore[arg-type]
            account.plan(ObjectSettings("owners"), None), checkpoint=None
        )
        texts = [text for p in pages for b in p.batches() for text in b["record"].to_pylist()]
    return [json.loads(text) for text in texts]


def test_one_of_two_lists_is_empty(still: Still) -> None:
    """Owners who left are listed apart: that list alone being empty is not believed, however short it is against
    the other; nor is one of pipelines."""
    hub = still()
    for obj in ("owners", "deal_pipelines"):
        read(hub, obj)
    handle = emulator(hub).handle

    def handled(request: Any) -> Any:
        response = handle(request)
        is_apart = "/owners" in request.path and request.query.get("archived") == "true"
        if is_apart or "/pipelines/" in request.path:
            return replace(response.unpacked(), body=b'{"results": []}')
        return response

    emulator(hub).handle = handled
    try:
        hub.clock.advance(900)
        shrinks = {
            obj: read(hub, obj, shrink_rows=1).shrink for obj in ("owners", "deal_pipelines")
        }
    finally:
        del emulator(hub).handle
    found = {obj: (one.part, one.is_empty) for obj, one in shrinks.items() if one is not None}
    assert found == {"owners": ("archived", True), "deal_pipelines": ("", True)}
