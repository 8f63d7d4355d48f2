"""Error responses: the class of the error and its cure."""

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from crm_pipeline.connectors.base import Account
from crm_pipeline.kernel.errors import (
    AuthFailed,
    BudgetExhausted,
    CrmError,
    Fatal,
    MalformedResponse,
    NotPermitted,
    Rejected,
    Throttled,
    Unavailable,
    UnknownField,
)
from crm_pipeline_tests.connectors.pipedrive.conftest import Harness, HarnessMaker

HTML = {"Content-Type": "text/html; charset=UTF-8"}
FIELDS = "/api/v2/personFields"
LEFT = "x-daily-ratelimit-token-remaining"
MORE = '{{"success":true,"data":{data},"additional_data":{{"pagination":{{"more_items_in_collection":true}}}}}}'


def body(error: str, **more: Any) -> str:
    return json.dumps({"success": False, "error": error, "data": None, **more})


@pytest.fixture(scope="module")
def reader(still_company: Harness) -> Iterator[Account]:
    """An account without retries."""
    with still_company.account(attempts=1) as account:
        yield account


def met(harness: Harness, reader: Account, fault: dict[str, Any], *, times: int = 1) -> CrmError:
    """Return the error of a read for an ordered response."""
    kind = fault.get("kind", "status")
    details = {name: value for name, value in fault.items() if name != "kind"}
    reader.describe("persons")
    harness.sandbox.faults.order(kind, times=times, **details)
    try:
        with pytest.raises(CrmError) as caught:
            reader.describe("persons")
    finally:
        harness.sandbox.faults.clear()
    return caught.value


@pytest.mark.parametrize(
    ("status", "text", "kind", "words"),
    [
        (402, body("Company account is not open"), NotPermitted, "Settings, Billing"),
        (403, body("Scope and URL mismatch"), NotPermitted, "the scope 'contacts:read'"),
        (403, body("You do not have permissions to do this."), NotPermitted, "permission set"),
        (
            403,
            body("Limit reached", code="feature_capping_deals_limit"),
            NotPermitted,
            "business rule",
        ),
        (404, body("Unknown method ."), Fatal, "retired or unknown"),
        (405, body("Method not allowed"), Rejected, ""),
        (410, body("This endpoint is not supported any more"), Fatal, "retired or unknown"),
        (415, body("Feature is not enabled"), NotPermitted, "plan does not have this feature"),
        (
            400,
            body("Validation failed: limit: x", code="ERR_SCHEMA_VALIDATION_FAILED"),
            Rejected,
            "",
        ),
        (
            400,
            body("include_fields: 'x' is not a valid value", code="ERR_SCHEMA_VALIDATION_FAILED"),
            UnknownField,
            "run again",
        ),
        (422, body("Unprocessable"), Rejected, ""),
        (501, body("Not implemented"), Rejected, ""),
        (500, "", Unavailable, "Try again"),
        (503, body("Service unavailable"), Unavailable, "Try again"),
        (524, "<html>", Unavailable, "Try again"),
    ],
)
def test_statuses(
    still: Harness, reader: Account, status: int, text: str, kind: type[CrmError], words: str
) -> None:
    """Every documented status raises our error class, with a cure."""
    error = met(still, reader, {"status": status, "body": text, "path": "Fields"}, times=2)
    assert type(error) is kind
    assert words in error.cure
    assert error.message.startswith("pipe: Pipedrive answered")


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ({"kind": "html_login"}, "a web page where data was expected"),
        ({"kind": "empty_body", "status": 204}, "it is empty"),
        ({"kind": "empty_body", "status": 200}, "it is empty"),
        (
            {"status": 200, "body": '{"success": true, "data": null}'},
            "Expected `array`, got `null`",
        ),
        ({"status": 200, "body": '{"success": true, "data": []}'}, "answered with no fields"),
        ({"status": 200, "body": '{"success": tru'}, "it ends in its middle"),
    ],
)
def test_a_200_without_data(
    still: Harness, reader: Account, fault: dict[str, Any], words: str
) -> None:
    """A web page, an empty or truncated body, or null is never an empty list."""
    error = met(still, reader, {**fault, "path": "Fields"})
    assert isinstance(error, MalformedResponse)
    assert words in error.message
    assert error.cure


@pytest.mark.parametrize(
    "text",
    [
        body("Something broke"),
        '{"data": [], "error": "Something broke", "success" : false}',
        '{"additional_data": {"success": true}, "success":\n false, "error": "Something broke"}',
    ],
)
def test_a_200_that_says_it_failed(still: Harness, reader: Account, text: str) -> None:
    """`success: false` is a refusal, with any status and at any position."""
    error = met(still, reader, {"status": 200, "body": text, "path": "Fields"})
    assert isinstance(error, Rejected)
    assert "says that it failed: Something broke" in error.message


def test_a_field_called_success_is_no_failure(harness: Harness) -> None:
    """A field of a record that is called success is data."""
    text = '{"data":[{"id":1,"name":"a","success":false}],"success":true}'
    harness.sandbox.faults.order("status", status=200, body=text, path="/activityTypes")
    assert harness.extract("activityTypes").read == 1


@pytest.mark.parametrize(
    ("obj", "text"),
    [
        ("leads", '{"success":true,"data":{}}'),
        ("users", '{"success":true,"data":{}}'),
        ("leads", MORE.format(data="null")),
        ("leads", MORE.format(data="[]")),
        ("persons", '{"success":true,"data":null}'),
    ],
)
def test_malformed_lists(harness: Harness, obj: str, text: str) -> None:
    """An object, null from v2, and an empty list with a next page are errors."""
    harness.sandbox.faults.order("status", status=200, body=text, path=rf"/{obj}(\?|$)", times=3)
    with pytest.raises(MalformedResponse, match=f"pipe.{obj}: an answer"):
        harness.extract(obj, snapshot=True)
    assert harness.landing.windows("pipe", obj) == []


@pytest.mark.parametrize("obj", ["leads", "users", "leadLabels"])
def test_a_null_of_v1_deletes_nothing(harness: Harness, obj: str) -> None:
    """Null from v1 is an empty list, with or without paging; a suddenly empty list deletes nothing."""
    there = harness.extract(obj, snapshot=True)
    assert there.records > 0
    harness.advance(900)
    text = '{"success":true,"data":null}'
    harness.sandbox.faults.order(
        "status", status=200, body=text, path=rf"/v1/{obj}(/archived)?(\?|$)", times=9
    )
    done = harness.extract(obj, snapshot=True)
    assert (done.read, done.deleted) == (0, 0)
    assert done.shrink is not None
    assert done.shrink.is_empty


def test_an_empty_list_of_v1_may_be_null(harness: Harness) -> None:
    """Null is v1's form of an empty list."""
    with harness.company.companies["main"].tables.writing() as cursor:
        cursor.execute("DELETE FROM notes")
    extraction = harness.extract("notes")
    assert extraction.read == 0
    entries = harness.sandbox.journal.entries(path="/v1/notes$")
    assert [entry.status for entry in entries] == [200]


@pytest.mark.parametrize(
    ("headers", "kind"),
    [
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1", LEFT: "900"}, Throttled),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1"}, Throttled),
        ({"x-ratelimit-remaining": "19", "x-ratelimit-reset": "1", LEFT: "0"}, BudgetExhausted),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1", LEFT: "0"}, BudgetExhausted),
        ({"x-ratelimit-remaining": "19", "x-ratelimit-reset": "1", LEFT: "7"}, BudgetExhausted),
        # By the time that the headers are made the window may have room again.
        ({"x-ratelimit-remaining": "1", "x-ratelimit-reset": "1", LEFT: "900"}, Throttled),
        ({}, Throttled),
    ],
)
def test_two_kinds_of_429(
    still: Harness, reader: Account, headers: dict[str, str], kind: type[CrmError]
) -> None:
    """Headers distinguish a burst, which passes, from used-up daily tokens."""
    fault = {"status": 429, "body": body("request over limit"), "headers": headers, "path": FIELDS}
    error = met(still, reader, fault)
    assert type(error) is kind
    if isinstance(error, Throttled):
        assert error.retry_after_s == (1.0 if headers else 2.0)
    if isinstance(error, BudgetExhausted):
        now = still.clock.now()
        midnight = (now + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
        assert error.wait_s == pytest.approx((midnight - now).total_seconds())
        assert "the company's API tokens of the day" in error.message


def test_a_429_that_outlasts_its_window(still: Harness) -> None:
    """Without headers, refusals over ten windows mean used-up daily tokens."""
    still.sandbox.faults.order("status", status=429, body="", path=FIELDS, times=3)
    try:
        with still.account(attempts=1) as account:
            for _ in range(2):
                with pytest.raises(Throttled):
                    account.describe("persons")
            still.clock.sleep(21)
            with pytest.raises(BudgetExhausted):
                account.describe("persons")
    finally:
        still.sandbox.faults.clear()


def test_an_epoch_is_no_wait(still: Harness, reader: Account) -> None:
    """x-ratelimit-reset is in relative seconds; an epoch value there must not cause a wait of years."""
    headers = {"x-ratelimit-reset": "1790000000", "x-ratelimit-remaining": "0"}
    error = met(still, reader, {"status": 429, "body": "", "headers": headers, "path": FIELDS})
    assert isinstance(error, Throttled)
    assert error.retry_after_s == 2.0


def test_shut_out_by_the_proxy(still: Harness, reader: Account) -> None:
    """A web page with 403 is no missing permission: the error names the proxy, the reason and the wait."""
    page = "<html><title>Attention Required! | Cloudflare</title></html>"
    error = met(still, reader, {"status": 403, "body": page, "headers": HTML, "path": FIELDS})
    assert isinstance(error, Throttled)
    assert error.retry_after_s == 60.0
    assert "Cloudflare" in error.message
    assert "keeps calling after refusals" in error.cure


def test_a_refused_token(harness: Harness) -> None:
    """The cure says where to copy the token; the token is in no text."""
    harness.settings.environ["PIPE_TOKEN"] = "0" * 40  # type: ignore[index]
    with harness.account() as account, pytest.raises(AuthFailed, match="401") as caught:
        account.describe("persons")
    assert "Personal preferences, API) into PIPE_TOKEN" in caught.value.cure
    assert "0" * 40 not in repr(caught.value) + str(caught.value)


def test_metadata_for_admins_only(make_harness: HarnessMaker) -> None:
    """An app without the admin scope reads the fields of activities from v1."""
    with make_harness(kind="refresh_token") as harness:
        harness.company.grant(["base", "activities:read"])
        with harness.account() as account:
            names = account.describe("activities").names
        assert "subject" in names
        asked = harness.sandbox.journal.entries(path="activityFields")
        assert [(entry.path, entry.status) for entry in asked] == [
            ("/api/v2/activityFields", 403),
            ("/v1/activityFields", 200),
        ]
