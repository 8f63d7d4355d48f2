"""The vendor's own Python SDK (zohocrmsdk8-0), unmodified, over TLS to the vendor's hosts through the
sandbox as a proxy, by the environment alone. It reads every answer with a class of its own and an answer
that is not what the vendor documents raises or comes back empty."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Iterator

import pytest
from zohocrmsdk.src.com.zoho.api.authenticator import OAuthToken
from zohocrmsdk.src.com.zoho.api.authenticator.store import FileStore
from zohocrmsdk.src.com.zoho.crm.api import (
    HeaderMap,
    Initializer,
    ParameterMap,
    SDKConfig,
    bulk_read,
    bulk_write,
    coql,
    fields,
    layouts,
    modules,
    notifications,
    org,
    pipeline,
    record,
    related_records,
    users,
)
from zohocrmsdk.src.com.zoho.crm.api.dc import EUDataCenter, USDataCenter
from zohocrmsdk.src.com.zoho.crm.api.modules import MinifiedModule
from zohocrmsdk.src.com.zoho.crm.api.util import Choice, StreamWrapper

from crm_sandbox import SandboxServer
from crm_sandbox.clock import SandboxClock
from crm_sandbox.zoho.credentials import BY_ACCOUNT
from crm_sandbox_tests.conftest import NOW, through_proxy

pytestmark = pytest.mark.client("zohocrmsdk8-0")
CENTRES = {"main": USDataCenter, "second": EUDataCenter}


@pytest.fixture(scope="module")
def served(authority) -> Iterator[SandboxServer]:
    """The sandbox that the official client reads and writes."""
    with SandboxServer(
        contacts=60,
        seed=3,
        now=NOW,
        clock=SandboxClock(NOW),
        authority=authority,
        vendors=["zoho"],
    ) as running:
        # The client asks for a token in every test.
        running.emulations["zoho"].set_token_limits(requests=1_000, most_access=1_000)  # type: ignore[attr-defined]
        yield running


@pytest.fixture(params=["main"])
def account(request, served, monkeypatch, tmp_path) -> str:
    """The client logged in to one org, by its refresh token."""
    through_proxy(served, monkeypatch)
    monkeypatch.chdir(tmp_path)
    one = BY_ACCOUNT[request.param]
    Initializer.initialize(
        environment=CENTRES[request.param].PRODUCTION(),
        token=OAuthToken(
            client_id=one.client_id,
            client_secret=one.client_secret,
            refresh_token=one.refresh_token,
            find_user=False,
        ),
        store=FileStore(str(tmp_path / "tokens")),
        sdk_config=SDKConfig(auto_refresh_fields=False, pick_list_validation=False),
        resource_path=str(tmp_path),
    )
    return request.param


def params(kind: type, **given) -> ParameterMap:
    made = ParameterMap()
    for name, value in given.items():
        made.add(getattr(kind, name), value)
    return made


def shown(answer, status: int = 200):
    """The object of an answer, after a look at its status."""
    found = answer.get_object()
    problem = getattr(found, "get_details", lambda: None)()
    assert answer.get_status_code() == status, problem
    return found


@pytest.mark.parametrize("account", ["main", "second"], indirect=True)
def test_walk_by_tokens(served, account) -> None:
    """Statements 1, 7: the client logs in at its data centre and walks a module by page tokens."""
    truth = {row["id"]: row for row in served.emulations["zoho"].rows("Contacts", account=account)}
    asked = {
        "fields": "Last_Name,Email,Owner,Account_Name,Modified_Time,Interests,Tag",
        "per_page": 25,
    }
    seen = {}
    while True:
        answer = record.RecordOperations("Contacts").get_records(
            params(record.GetRecordsParam, **asked), HeaderMap()
        )
        page = shown(answer)
        for row in page.get_data():
            seen[str(row.get_id())] = row
        if not page.get_info().get_more_records():
            break
        asked["page_token"] = page.get_info().get_next_page_token()
    assert set(seen) == set(truth)
    for number, row in seen.items():
        assert row.get_key_value("Email") == truth[number]["Email"]
        assert str(row.get_key_value("Owner").get_id()) == truth[number]["Owner"]
        stamp = row.get_modified_time()
        assert (
            stamp.timestamp()
            == truth[number]["Modified_Time"].replace(tzinfo=NOW.tzinfo).timestamp()
        )


def test_one_record_and_an_external_one(served, account) -> None:
    """A single record comes with its sub-form; a record is found by its external field."""
    quote = served.emulations["zoho"].rows("Quotes")[0]["id"]
    answer = record.RecordOperations("Quotes").get_record(int(quote), ParameterMap(), HeaderMap())
    found = shown(answer).get_data()[0]
    lines = found.get_key_value("Quoted_Items")
    assert sum(line.get_key_value("Net_Total") for line in lines) == found.get_key_value(
        "Grand_Total"
    )
    header = HeaderMap()
    header.add(record.GetRecordUsingExternalIDHeader.x_external, "Contacts.External_Key")
    answer = record.RecordOperations("Contacts").get_record_using_external_id(
        "C-3", ParameterMap(), header
    )
    assert shown(answer).get_data()[0].get_key_value("External_Key") == "C-3"


def test_mistakes_are_the_clients_own_exceptions(account) -> None:
    """Statement 6: a refusal is read as the client's APIException with code and details."""
    answer = record.RecordOperations("Contacts").get_records(
        params(record.GetRecordsParam, fields="id", page=11), HeaderMap()
    )
    refusal = shown(answer, 400)
    assert refusal.get_code().get_value() == "DISCRETE_PAGINATION_LIMIT_EXCEEDED"
    assert refusal.get_details()["limit"] == 2000


def test_empty_answers(account) -> None:
    """Statement 9: 204 and 304 reach the caller as statuses without an object."""
    answer = record.RecordOperations("Contacts").get_record(1, ParameterMap(), HeaderMap())
    assert (answer.get_status_code(), answer.get_object()) == (204, None)
    header = HeaderMap()
    header.add(record.GetRecordsHeader.if_modified_since, NOW.replace(hour=13))
    answer = record.RecordOperations("Contacts").get_records(
        params(record.GetRecordsParam, fields="id"), header
    )
    assert (answer.get_status_code(), answer.get_object()) == (304, None)


def test_deleted_and_counted(served, account) -> None:
    """Statement 15: deleted records are read; records are counted."""
    zoho = served.emulations["zoho"]
    gone = zoho.create("Products", Product_Name="to go")
    zoho.delete("Products", gone)
    answer = record.RecordOperations("Products").get_deleted_records(
        params(record.GetDeletedRecordsParam, type="recycle"), HeaderMap()
    )
    rows = {str(row.get_id()): row for row in shown(answer).get_data()}
    assert rows[gone].get_display_name() == "to go"
    counted = record.RecordOperations("Contacts").record_count(ParameterMap())
    assert int(shown(counted).get_count()) == zoho.count("Contacts")


def test_query(served, account) -> None:
    """Statement 11: the client sends COQL and reads its rows."""
    body = coql.BodyWrapper()
    body.set_select_query(
        "select Last_Name, Account_Name.Account_Name from Contacts where id is not null"
    )
    page = shown(coql.CoqlOperations().get_records(body))
    assert page.get_info().get_count() == len(page.get_data())
    assert len(page.get_data()) == served.emulations["zoho"].count("Contacts")
    body.set_select_query("select Nope from Contacts where id is not null")
    refusal = shown(coql.CoqlOperations().get_records(body), 400)
    assert refusal.get_code().get_value() == "INVALID_QUERY"


def test_set_up(served, account) -> None:
    """Modules, fields, layouts, pipelines, users and the org are read with the client's classes."""
    listed = shown(
        modules.ModulesOperations().get_modules(ParameterMap(), HeaderMap())
    ).get_modules()
    kinds = {one.get_api_name(): one.get_generated_type().get_value() for one in listed}
    assert kinds["Service_Contracts"] == "custom"
    described = fields.FieldsOperations().get_fields(
        params(fields.GetFieldsParam, module="Contacts")
    )
    types = {one.get_api_name(): one.get_data_type() for one in shown(described).get_fields()}
    assert (types["Interests"], types["Owner"]) == ("multiselectpicklist", "ownerlookup")
    none = fields.FieldsOperations().get_fields(params(fields.GetFieldsParam, module="Visits"))
    assert none.get_status_code() == 204
    found = layouts.LayoutsOperations().get_layouts(params(layouts.GetLayoutsParam, module="Deals"))
    (layout,) = shown(found).get_layouts()
    lines = shown(pipeline.PipelineOperations(layout.get_id()).get_pipelines()).get_pipeline()
    assert [one.get_display_value() for one in lines] == ["Standard (Standard)", "Renewals"]
    assert [step.get_forecast_type() for step in lines[0].get_maps()][-2:] == [
        "Closed Won",
        "Closed Lost",
    ]
    people = users.UsersOperations().get_users(
        params(users.GetUsersParam, type="ActiveUsers"), HeaderMap()
    )
    assert all(one.get_status() == "active" for one in shown(people).get_users())
    (company,) = shown(org.OrgOperations().get_organization()).get_org()
    assert company.get_time_zone()


def test_stage_history(served, account) -> None:
    """The client reads the related list with a deal's stages."""
    deal = served.emulations["zoho"].rows("Deals")[0]
    operations = related_records.RelatedRecordsOperations("Stage_History", "Deals")
    answer = operations.get_related_records(
        int(deal["id"]),
        params(related_records.GetRelatedRecordsParam, fields="Stage,Moved_To__s,Modified_Time"),
        HeaderMap(),
    )
    rows = shown(answer).get_data()
    assert rows[0].get_key_value("Stage").get_value() == deal["Stage"]


def test_bulk_read(served, account) -> None:
    """Statement 12: the client begins a job, looks after it and downloads its ZIP."""
    module = MinifiedModule()
    module.set_api_name("Contacts")
    query = bulk_read.Query()
    query.set_module(module)
    query.set_fields(["Last_Name", "Email"])
    body = bulk_read.BodyWrapper()
    body.set_query(query)
    body.set_file_type("csv")
    operations = bulk_read.BulkReadOperations()
    (made,) = shown(operations.create_bulk_read_job(body), 201).get_data()
    number = int(made.get_details()["id"])
    for _ in range(10):
        (job,) = shown(operations.get_bulk_read_job_details(number)).get_data()
        if job.get_state().get_value() == "COMPLETED":
            break
    assert job.get_result().get_count() == served.emulations["zoho"].count("Contacts")
    stream = shown(operations.download_result(number)).get_file().get_stream()
    with zipfile.ZipFile(io.BytesIO(stream.content)) as packed:
        text = packed.read(packed.namelist()[0]).decode()
    assert len(list(csv.DictReader(io.StringIO(text)))) == job.get_result().get_count()


def contact(**values) -> record.Record:
    made = record.Record()
    for name, value in values.items():
        made.add_key_value(name, value)
    return made


def body_of(*records: record.Record, keys: list[str] | None = None) -> record.BodyWrapper:
    made = record.BodyWrapper()
    made.set_data(list(records))
    if keys:
        made.set_duplicate_check_fields(keys)
    return made


def test_writes(served, account) -> None:
    """Statement 13: the client inserts, updates, upserts and deletes, and reads what became of each record."""
    zoho = served.emulations["zoho"]
    operations = record.RecordOperations("Contacts")
    good, bad = contact(Last_Name="sdk", Email="sdk@example.org"), contact(Last_Name="x", Visits=1)
    bad.add_key_value("External_Key", "C-3")
    answer = operations.create_records(body_of(good, bad), HeaderMap())
    first, second = shown(answer, 207).get_data()
    assert first.get_status().get_value() == "success"
    assert second.get_code().get_value() == "DUPLICATE_DATA"
    number = int(first.get_details()["id"])
    answer = operations.update_record(number, body_of(contact(Title="T")), HeaderMap())
    (updated,) = shown(answer).get_data()
    assert updated.get_message().get_value() == "record updated"
    answer = operations.upsert_records(
        body_of(contact(Last_Name="changed", Email="sdk@example.org"), keys=["Email"]), HeaderMap()
    )
    (upserted,) = shown(answer).get_data()
    assert (upserted.get_action().get_value(), upserted.get_duplicate_field()) == (
        "update",
        "Email",
    )
    row = next(row for row in zoho.rows("Contacts") if row["id"] == str(number))
    assert (row["Last_Name"], row["Title"]) == ("changed", "T")
    answer = operations.delete_records(
        params(record.DeleteRecordsParam, ids=str(number)), HeaderMap()
    )
    assert shown(answer).get_data()[0].get_message().get_value() == "record deleted"
    assert str(number) not in {row["id"] for row in zoho.rows("Contacts")}


def test_notifications(served, account) -> None:
    """Statement 16: the client opens a channel, reads the expiry that it really got, and ends it."""
    channel = notifications.Notification()
    channel.set_channel_id("1006800212")
    channel.set_events(["Deals.all", "Contacts.edit"])
    channel.set_token("t")
    channel.set_notify_url("https://example.org/hook")
    body = notifications.BodyWrapper()
    body.set_watch([channel])
    operations = notifications.NotificationsOperations()
    (made,) = shown(operations.enable_notifications(body), 201).get_watch()
    events = made.get_details()["events"]
    assert [one.get_resource_name() for one in events] == ["Deals", "Contacts"]
    assert (events[0].get_channel_expiry() - NOW).total_seconds() == 3600
    listed = operations.get_notifications(
        params(notifications.GetNotificationsParam, channel_id=1006800212)
    )
    assert len(shown(listed).get_watch()) == 2
    ended = operations.delete_notification(
        params(notifications.DeleteNotificationParam, channel_ids="1006800212")
    )
    assert {one.get_status().get_value() for one in shown(ended).get_watch()} == {"success"}


def test_bulk_write(served, account) -> None:
    """The client uploads a file, begins a bulk write, and reads its counts."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("Leads.csv", "Last_Name,Company\nsdk one,x\n,y\n")
    packed.seek(0)
    body = bulk_write.FileBodyWrapper()
    body.set_file(StreamWrapper("Leads.zip", packed))
    header = HeaderMap()
    header.add(bulk_write.UploadFileHeader.feature, "bulk-write")
    header.add(bulk_write.UploadFileHeader.x_crm_org, served.emulations["zoho"].org("main").org_id)
    operations = bulk_write.BulkWriteOperations()
    uploaded = shown(operations.upload_file(body, header))
    module = MinifiedModule()
    module.set_api_name("Leads")
    resource = bulk_write.Resource()
    resource.set_type(Choice("data"))
    resource.set_module(module)
    resource.set_file_id(str(uploaded.get_details()["file_id"]))
    request = bulk_write.RequestWrapper()
    request.set_operation(Choice("insert"))
    request.set_resource([resource])
    made = shown(operations.create_bulk_write_job(request), 201)
    number = str(made.get_details()["id"])
    for _ in range(10):
        job = shown(operations.get_bulk_write_job_details(number))
        if job.get_status() == "COMPLETED":
            break
    file = job.get_resource()[0].get_file()
    assert (file.get_added_count(), file.get_skipped_count()) == (1, 1)
    assert "sdk one" in {row["Last_Name"] for row in served.emulations["zoho"].rows("Leads")}
