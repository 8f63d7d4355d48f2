"""Malformed responses of Zoho: the outcome is right data or an explained error, never a raw exception."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from crm_pipeline.kernel.clock import FrozenClock, Window
from crm_pipeline.settings import ObjectSettings
from crm_pipeline_tests.connectors.mutated import Kind, Subject, add_up, outcomes
from crm_pipeline_tests.connectors.zoho.conftest import ZohoHarness
from crm_pipeline_tests.harness import START

ERROR = b'{"code":{"x":1},"details":"none","message":5,"status":"error"}'
NOW = FrozenClock(START).now()
OBJECT = "Campaigns"


def listed(subject: Subject) -> object:
    return subject.records("records")


def queried(subject: Subject) -> object:
    return subject.records("coql")


def exported(subject: Subject) -> object:
    return subject.records("bulk")


def whole(name: str) -> Any:
    """Read a list of settings."""

    def act(subject: Subject) -> object:
        plan = subject.account.plan(ObjectSettings(name), None)
        return Subject(subject.account, plan, subject.folder, subject.forget).records(plan.route)

    return act


def asked(subject: Subject) -> object:
    query = f"select id from {OBJECT} where id > 0 order by id"
    return list(subject.account.query(query, include_deleted=False))


def got(subject: Subject) -> object:
    first = min(asked(subject), key=str)  # type: ignore[call-overload]
    return subject.account.get(OBJECT, first["id"], by=None)


_FIELD = "fields api_name data_type field_label lookup pick_list_values length visible"
_PAGE = "data id info more_records Modified_Time"
_RESULT = "data state result count download_url more_records"
KINDS = (
    Kind("org", r"/org\?", lambda one: one.account.identity(), "org license_details paid_type users_license_purchased"),
    Kind("user", "type=CurrentUser", lambda one: one.account.identity(), "users id email"),
    Kind("modules", "/settings/modules", lambda one: one.account.objects(), "modules api_name api_supported"),
    Kind("fields", "/settings/fields", lambda one: one.account.describe(OBJECT), _FIELD),
    Kind("count", r"count\(id\)", lambda one: one.account.count(one.plan), "data"),
    Kind("changes", "order by Modified_Time desc", lambda one: one.account.probe_changes(one.plan.schema, NOW), _PAGE),
    Kind("list", rf"GET /crm/v8/{OBJECT}\?", listed, _PAGE, add_up),
    Kind("deleted", rf"/{OBJECT}/deleted", listed, "data id info more_records deleted_time"),
    Kind("query", "select Campaign_Name|select id, Modified_Time", queried, _PAGE, add_up),
    Kind("query of a person", "limit 0,2000", asked, "data info more_records"),
    Kind("record", rf"GET /crm/v8/{OBJECT}/\d+\?", got, "data"),
    Kind("users", "type=AllUsers", whole("Users"), "users id Modified_Time info more_records", add_up),
    Kind("layouts", "/settings/layouts", whole("Pipelines"), "layouts id"),
    Kind("pipelines", "/settings/pipeline", whole("Pipelines"), "pipeline actual_value", add_up),
    Kind("currencies", "/org/currencies", whole("Currencies"), "currencies id modified_time", add_up),
    Kind("new export", "POST /crm/bulk/v8/read", exported, "data details id", add_up),
    Kind("state of an export", r"GET /crm/bulk/v8/read/\d+\?", exported, _RESULT, add_up),
    Kind("file", "/result", exported, "", add_up),
)  # fmt: skip


def forget(account: Any) -> None:
    """Clear an account's caches: modules, org, refused columns and unavailable strategies."""
    account._modules.cache_clear()
    api = account._api
    for kept in (api.__dict__, api.probed_schemas, api.refused_columns, *api.unavailable.values()):
        kept.pop("org", None)
        kept.pop(OBJECT, None)


@pytest.fixture
def subject(quiet: ZohoHarness, tmp_path: Path) -> Iterator[tuple[Subject, object]]:
    """An account that reads its campaigns."""
    quiet.emulator.set_bulk(polls=0)
    with quiet.account(attempts=1) as account:
        plan = account.plan(ObjectSettings(OBJECT), Window(None, NOW))
        yield Subject(account, plan, tmp_path, forget), quiet.emulator


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_no_response_is_a_raw_exception(subject: tuple[Subject, object], kind: Kind) -> None:
    """This holds for web pages, truncated and empty bodies, and each key missing, null or of another type."""
    results = outcomes(*subject, kind, ERROR)
    assert {name: what for name, what in results.items() if what.startswith("WRONG")} == {}
    assert "refused" in results.values()
