"""For each kind of answer that the connector reads: whatever it is, the outcome is right data or a sentence."""

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from crm_pipeline.connectors.base import Account
from crm_pipeline.kernel.errors import CrmError
from crm_pipeline.settings import ObjectSettings
from crm_pipeline.store.landing.checkpoint import Checkpoint
from crm_pipeline_tests.connectors.hubspot.conftest import emulator
from crm_pipeline_tests.connectors.malformed import EAGER, Operation, reading, surprises
from crm_pipeline_tests.harness import Harness

Prepare = Callable[[Account, Checkpoint], Operation]
RECORD = (
    r"results(\.0(\.(id|updatedAt|archived|archivedAt|properties(\.(hs_)?lastmodifieddate)?))?)?"
)
PAGE = rf"total|paging(\.next(\.after)?)?|{RECORD}"
PROPERTY = r"results(\.0(\.(name|label|type|fieldType|options(\.0)?|hubspotDefined|modificationMetadata))?)?"
LINKS = r"results(\.0(\.(from(\.id)?|to(\.0(\.\w+)?)?))?)?"
# The vendor gives no second source for what these lists hold; that a list goes on stands in `paging` alone.
# A match of a search may have been archived since; the next window has it then.
ONE_VALUE = r"results\.0\.archived is true"
UNCOUNTED = r"paging.*|results(\.0)? is (missing|\[\])"


def read(obj: str, route: str = "auto") -> Prepare:
    return lambda account, checkpoint: reading(
        account, ObjectSettings(obj, route=route), checkpoint
    )


def rows_of(account: Account, obj: str) -> Operation:
    return lambda: sorted(str(row) for row in account.preview(obj, 3)[1])


def _record(account: Account, _: Checkpoint) -> Operation:
    record = account.preview("contacts", 1)[1][0]["hs_object_id"]
    return lambda: account.get("contacts", record, by=None)


def _checked(account: Account, _: Checkpoint) -> Operation:
    def check() -> str:
        for one in account.check().findings:
            if one.level == "fail":
                raise CrmError(f"demo: {one.detail}", cure=one.cure or "As it says.")
        return "healthy"

    return check


KINDS: dict[str, tuple[str, Prepare, str, str]] = {
    "searches": (r"POST .*/contacts/search", read("contacts", "search"), PAGE, ONE_VALUE),
    "lists": (r"GET .*/contacts\?(?!.*archived=true)", read("contacts", "list"), PAGE, ONE_VALUE),
    "archived": (r"GET .*/contacts\?.*archived=true", read("contacts", "search"), PAGE, UNCOUNTED),
    "batches": (r"POST .*/batch/read", read("deals", "search"), RECORD, "(?!)"),
    "associations": (
        r"POST .*/associations/",
        read("contacts", "search"),
        LINKS,
        r".*\.to\..*|.*to is \[\]|.*from\.id.*",
    ),
    "owners": (r"GET .*/owners", read("owners"), PAGE, UNCOUNTED),
    "pipelines": (r"GET .*/pipelines/", read("deal_pipelines"), PAGE, UNCOUNTED),
    "account": (
        r"GET .*/details",
        lambda account, _: account.identity,
        r"portalId|timeZone|accountType|uiDomain",
        r"(portalId|timeZone|accountType|uiDomain) is.*",
    ),
    "properties": (
        r"GET .*/properties/",
        lambda account, _: lambda: [one.name for one in account.describe("contacts").fields],
        PROPERTY,
        r"results\.0.*",
    ),
    "custom objects": (
        r"GET .*/schemas",
        lambda account, _: lambda: [one.name for one in account.objects()],
        r"results|results\.0(\.\w+)?",
        r"results\.0.*",
    ),
    "newest": (
        r"POST .*/search",
        lambda account, _: (
            lambda: account.probe_changes(account.describe("contacts"), account.vendor_now())
        ),
        PAGE,
        r"(total|results).*",
    ),
    "preview": (r"POST .*", lambda account, _: rows_of(account, "contacts"), RECORD, r"results.*"),
    "first owners": (
        r"GET .*/owners",
        lambda account, _: rows_of(account, "owners"),
        RECORD,
        r"results.*",
    ),
    "single records": (r"GET .*/contacts/\d+", _record, r"id|properties", r"(id|properties).*"),
    "queries": (
        r"POST .*/search",
        lambda account, _: (
            lambda: list(account.query('{"object":"contacts","limit":5}', include_deleted=False))
        ),
        PAGE,
        r"(total|results|paging).*",
    ),
    "check-up": (r".*", _checked, r"results", r"results.*"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_answer(small_hub: Harness, tmp_path: Path, kind: str) -> None:
    """A web page, a part, another type, a missing key: right data, set aside, or a sentence."""
    route, prepare, names, silent = KINDS[kind]
    with ExitStack() as stack:
        account = stack.enter_context(small_hub.account(**EAGER))
        checkpoint = Checkpoint(tmp_path / "spool")
        operation = prepare(account, checkpoint)
        if kind in {"account", "custom objects", "check-up"}:

            def operation() -> Any:
                """Ask anew: an account remembers what it was told."""
                with small_hub.account(**EAGER) as other:
                    return prepare(other, checkpoint)()

        found, tried = surprises(emulator(small_hub), route, operation, names=names, silent=silent)
    assert found == []
    assert tried >= 12
