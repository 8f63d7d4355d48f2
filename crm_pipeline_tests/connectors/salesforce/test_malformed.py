"""Whatever stands in an answer of Salesforce: right data, or one sentence, never a raw exception."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from crm_pipeline.connectors.salesforce import bulk_results
from crm_pipeline.kernel.clock import FrozenClock, Window
from crm_pipeline.settings import ObjectSettings
from crm_pipeline_tests.connectors.conformance import case_of
from crm_pipeline_tests.connectors.conftest import HarnessOf
from crm_pipeline_tests.connectors.mutated import Kind, Subject, add_up, outcomes
from crm_pipeline_tests.harness import START

ERROR = b'[{"message":5,"errorCode":{},"fields":"x"}]'
NOW = FrozenClock(START).now()
JOB = r"services/data/v\S+/jobs/query"


def queried(subject: Subject) -> object:
    return list(subject.account.query("SELECT Id FROM User", include_deleted=False))


def got(subject: Subject) -> object:
    [first, *_] = sorted(
        subject.account.query("SELECT Id FROM User", include_deleted=True), key=str
    )
    return subject.account.get("User", first["Id"], by=None)


def checked(subject: Subject) -> None:
    subject.account.check()


def rest(subject: Subject) -> object:
    return subject.records("rest")


def bulk(subject: Subject) -> object:
    return subject.records("bulk")


_FIELD = "fields name type label length nillable picklistValues value referenceTo"
_PAGE = "done totalSize records nextRecordsUrl"
KINDS = (
    Kind("versions", r"GET /services/data/\?", checked, "version"),
    Kind("permissions", "UserPermissionAccess", checked, "records PermissionsViewAllData"),
    Kind("limits", r"/limits\?", checked, "DailyApiRequests Max Remaining"),
    Kind("user", "/userinfo", lambda one: one.account.identity(), "user_id organization_id"),
    Kind("objects", r"/sobjects\?", lambda one: one.account.objects(), "sobjects name label"),
    Kind("fields", "/User/describe", lambda one: one.account.describe("User"), _FIELD),
    Kind("count", r"COUNT\(\) ", lambda one: one.account.count(one.plan), "totalSize"),
    Kind(
        "changes",
        r"MAX\(",
        lambda one: one.account.probe_changes(one.plan.schema, NOW),
        "records changed newest",
    ),
    Kind(
        "records",
        "ORDER BY SystemModstamp, Id",
        rest,
        f"{_PAGE} Id IsDeleted SystemModstamp",
        add_up,
    ),
    Kind("query", "SELECT Id FROM User", queried, _PAGE),
    Kind("record", "/sobjects/User/005", got),
    Kind("preview", "LIMIT 2", lambda one: one.account.preview("User", 2)[1], "records"),
    Kind("new job", f"POST /{JOB}", bulk, "id", add_up),
    Kind("state of a job", rf"GET /{JOB}/\w+\?", bulk, "state numberRecordsProcessed", add_up),
    Kind(
        "list of pages", "/resultPages", bulk, "resultPages resultUrl done nextRecordsUrl", add_up
    ),
    Kind("page", r"/results\?", bulk, "", add_up),
    Kind(
        "token",
        "/oauth2/token",
        lambda one: one.account._api.log_in(),
        "access_token instance_url issued_at refresh_token",
    ),
)


@pytest.fixture
def subject(
    quiet: HarnessOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Subject, object]]:
    """An account that reads its users, by pages of five."""
    harness = quiet(case_of("salesforce"))
    harness.emulator.set_bulk(polls=0)
    monkeypatch.setattr(bulk_results, "PAGE_RECORDS", 5)
    with harness.account(attempts=1) as account:
        plan = account.plan(ObjectSettings("User"), Window(None, NOW))
        yield (
            Subject(account, plan, tmp_path, lambda one: one._listed.cache_clear()),
            harness.emulator,
        )


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_no_answer_is_a_raw_exception(subject: tuple[Subject, object], kind: Kind) -> None:
    """Pages of the web, torn, empty and other bodies, each key missing, null and of another type."""
    found = outcomes(*subject, kind, ERROR)
    assert {name: what for name, what in found.items() if what.startswith("WRONG")} == {}
    # The answers of a check-up end in its findings.
    assert "refused" in found.values() or kind.act is checked
