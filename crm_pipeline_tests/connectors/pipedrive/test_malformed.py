"""Malformed responses of each kind: the outcome is right data or an explained error."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from crm_pipeline.connectors.base import Account
from crm_pipeline.kernel.clock import Window
from crm_pipeline.kernel.errors import CrmError
from crm_pipeline.settings import ObjectSettings
from crm_pipeline.store.landing.checkpoint import Checkpoint
from crm_pipeline_tests.connectors.malformed import EAGER, Operation, reading, surprises
from crm_pipeline_tests.connectors.pipedrive.conftest import Harness

Prepare = Callable[[Account, Checkpoint], Operation]
RECORD = r"success|data(\.0(\.(id|update_time|modified|is_deleted|active_flag))?)?"
PAGE = rf"{RECORD}|additional_data(\..*)?"
FIELD = r"data(\.0(\.(field_code|key|field_name|name|field_type|options(\.0)?|is_custom_field))?)?"
# Pipedrive counts nothing: a page that is the last, and a record that is not there, look like all there is.
UNCOUNTED = r"additional_data.*|data(\.0)? is (missing|\[\])|success.*"

# v1 may write an empty list as null.
ROWS = r"data.*|additional.*|success.*"
OF_V1 = rf"{UNCOUNTED}|data is null"


def read(obj: str, route: str = "cursor") -> Prepare:
    return lambda account, checkpoint: reading(
        account, ObjectSettings(obj, route=route), checkpoint
    )


def changed(obj: str, route: str) -> Prepare:
    """Read a window of several years."""

    def prepare(account: Account, checkpoint: Checkpoint) -> Operation:
        until = account.vendor_now()
        window = Window(until - timedelta(days=3_000), until)
        return reading(account, ObjectSettings(obj, route=route), checkpoint, window)

    return prepare


def fields_of(obj: str) -> Prepare:
    return lambda account, _: lambda: [field.name for field in account.describe(obj).fields]


def rows_of(obj: str) -> Prepare:
    return lambda account, _: lambda: sorted(str(row) for row in account.preview(obj, 3)[1])


def _person(account: Account, _: Checkpoint) -> Operation:
    record = str(account.preview("persons", 1)[1][0]["id"])
    return lambda: account.get("persons", record, by=None)


def _found(account: Account, _: Checkpoint) -> Operation:
    name = account.preview("persons", 1)[1][0]["name"]
    return lambda: account.get("persons", name, by="name")["id"]


def _query(account: Account, _: Checkpoint) -> Operation:
    return lambda: list(account.query("/api/v2/persons?limit=9", include_deleted=False))


def _newest(account: Account, _: Checkpoint) -> Operation:
    schema, since = account.describe("persons"), account.vendor_now() - timedelta(days=3_000)
    return lambda: account.probe_changes(schema, since)


def _checked(account: Account, _: Checkpoint) -> Operation:
    def check() -> str:
        for finding in account.check().findings:
            if finding.level == "fail":
                raise CrmError(f"pipe: {finding.detail}", cure=finding.cure or "As it says.")
        return "healthy"

    return check


KINDS: dict[str, tuple[str, Prepare, str, str]] = {
    "pages of v2": (r"/api/v2/persons\?", read("persons"), PAGE, UNCOUNTED),
    "what changed": (r"/api/v2/persons\?", changed("persons", "cursor"), PAGE, UNCOUNTED),
    "ranges": (r"/api/v2/persons\?", changed("persons", "windows"), PAGE, UNCOUNTED),
    "deleted deals": (r"/api/v2/deals\?.*deleted", read("deals"), PAGE, UNCOUNTED),
    "pages of v1": (r"/v1/leads\?", read("leads"), PAGE, OF_V1),
    "notes": (r"/v1/notes\?", read("notes"), PAGE, OF_V1),
    "users": (r"/v1/users\?$", read("users"), RECORD, OF_V1),
    "currencies": (r"/v1/currencies", read("currencies"), RECORD, OF_V1),
    "products of deals": (r"/deals/products", read("deal_products"), PAGE, UNCOUNTED),
    # A deal that the list does not name has no products, as far as anybody can see.
    "deals with products": (
        r"/api/v2/deals\?",
        read("deal_products"),
        RECORD,
        rf"{UNCOUNTED}|data\.0\.id.*",
    ),
    "changelogs": (
        r"/changelog",
        read("deal_changes"),
        r"data|data\.0|data\.0\.field_key",
        OF_V1,
    ),
    "participants": (
        r"/participants",
        read("deal_participants"),
        r"data|data\.0|data\.0\.(id|person_id)",
        OF_V1,
    ),
    "roles": (r"/v1/roles", read("users"), r"data|data\.0\.id", OF_V1),
    "teams": (r"/v1/legacyTeams", read("users"), r"data|data\.0\.id", OF_V1),
    "fields of v2": (r"/api/v2/personFields", fields_of("persons"), FIELD, r"data\.0.*"),
    "fields of v1": (r"/v1/leadFields", fields_of("leads"), FIELD, r"data\.0.*"),
    "the user": (
        r"/v1/users/me",
        lambda account, _: account.identity,
        r"data(\.(id|access))?",
        r"data\..*",
    ),
    "newest": (r"/api/v2/persons\?", _newest, PAGE, r"data.*|additional_data.*|success.*"),
    "preview": (r"/api/v2/persons\?", rows_of("persons"), r"data", r"data.*"),
    "first products": (r"/deals/products", rows_of("deal_products"), PAGE, ROWS),
    "first changes": (
        r"/changelog",
        rows_of("deal_changes"),
        PAGE,
        ROWS,
    ),
    "single records": (r"/api/v2/persons/\d+", _person, r"data(\.id)?", r"data.*"),
    "a search": (r"/persons/search", _found, r"data(\.items(\.0(\.item(\.id)?)?)?)?", r"data.*"),
    "queries": (r"/api/v2/persons\?", _query, r"data|additional_data.*", r"data.*|additional.*"),
    "check-up": (r"", _checked, r"data", r"data.*"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_answer(small: Harness, tmp_path: Path, kind: str) -> None:
    """A web page, a truncated body, another type or a missing key: right data, a reject or an explained error."""
    route, prepare, names, silent = KINDS[kind]
    wrong: Any
    with small.account(**EAGER) as account:
        operation = prepare(account, Checkpoint(tmp_path / "spool"))
        wrong, tried = surprises(
            small.company, f"GET .*{route}", operation, names=names, silent=silent, account="pipe"
        )
    assert wrong == []
    assert tried >= 12
