"""Single requests to an org: modules, fields, queries, records, previews, probes, check-ups."""

import json
from datetime import timedelta

import pytest

from crm_pipeline.kernel.errors import NotPermitted, Rejected
from crm_pipeline_tests.connectors.zoho.conftest import ZohoHarness


def test_modules_and_settings_are_listed(quiet: ZohoHarness) -> None:
    """Custom modules are marked, modules without an API are left out, settings are added."""
    with quiet.account() as account:
        infos = {info.name: info for info in account.objects()}
    assert infos["Service_Contracts"].custom
    assert not infos["Contacts"].custom
    assert {"Users", "Pipelines", "Currencies"} <= set(infos)
    assert not {"Home", "Dashboards", "Feeds"} & set(infos)


def test_a_developer_org_lists_fewer(harness: ZohoHarness) -> None:
    """A module that the environment does not list is refused by name, with a cure."""
    harness.emulator.set_developer(on=True)
    with harness.account() as account:
        with pytest.raises(NotPermitted, match="module Campaigns does not exist"):
            account.describe("Campaigns")
        with pytest.raises(NotPermitted, match="Did you mean 'Contacts'"):
            account.describe("Contcats")


def test_fields(quiet: ZohoHarness) -> None:
    """Fields have labels, types, choices and look-ups; those that lists lack are left out."""
    with quiet.account() as account:
        contacts = account.describe("Contacts").by_name
        deals = account.describe("Deals").by_name
        events = account.describe("Tasks").by_name
    assert contacts["id"].common_type == "string"
    assert contacts["Account_Name"].path == ("Account_Name", "id")
    assert contacts["Account_Name"].reference_to == ("Accounts",)
    assert contacts["Owner"].reference_to == ("Users",)
    assert contacts["Modified_Time"].common_type == "timestamp"
    assert contacts["Email_Opt_Out"].common_type == "boolean"
    assert contacts["Lead_Source"].values
    assert "Interested_Products" not in contacts
    assert "Deal_Team" not in deals
    assert deals["Amount"].common_type == "decimal"
    assert deals["Pipeline"].values
    assert "$se_module" in events
    several = [field for field in contacts.values() if field.type == "multiselectpicklist"]
    assert all(field.multiple == "json" for field in several)


def test_a_renamed_label_is_a_change(harness: ZohoHarness) -> None:
    """A field keeps its API name when its label changes; the change is reported."""
    harness.extract("Contacts")
    harness.emulator.rename_field("Contacts", "Title", "Rank")
    harness.advance(60)
    done = harness.extract("Contacts", mode="refresh")
    assert any("Rank" in change.text for change in done.schema_changes)


def test_queries(quiet: ZohoHarness) -> None:
    """COQL without a LIMIT is read to its end, page by page; with a LIMIT it is sent unchanged."""
    quiet.emulator.set_coql(most_rows=2_000)
    with quiet.account() as account:
        text = "select id, Last_Name from Contacts where id is not null"
        records = list(account.query(text, include_deleted=False))
        some = list(account.query(f"{text} limit 7", include_deleted=False))
        none = list(account.query("select id from Contacts where id = 1", include_deleted=False))
        with pytest.raises(Rejected, match="never show deleted"):
            list(account.query(text, include_deleted=True))
        with pytest.raises(Rejected, match="SYNTAX_ERROR"):
            list(account.query("select id from Contacts", include_deleted=False))
    assert len(records) == quiet.emulator.count("Contacts")
    assert (len(some), none) == (7, [])


def test_one_record(quiet: ZohoHarness) -> None:
    """A record is found by its id, with sub-forms, or by an external field; a missing one is refused."""
    row = quiet.emulator.rows("Quotes")[0]
    contact = next(row for row in quiet.emulator.rows("Contacts") if row["External_Key"])
    with quiet.account() as account:
        assert account.get("Quotes", row["id"], by=None)["Quoted_Items"]
        record = account.get("Contacts", contact["External_Key"], by="External_Key")
        assert record["id"] == contact["id"]
        with pytest.raises(Rejected, match="no Contacts with id"):
            account.get("Contacts", "1", by=None)


def test_preview(quiet: ZohoHarness) -> None:
    """A preview has the newest records with all names of the schema, also of settings."""
    with quiet.account() as account:
        schema, rows = account.preview("Contacts", 3)
        assert [set(row) for row in rows] == [set(schema.names)] * 3
        changes = [row["Modified_Time"] for row in rows]
        assert changes == sorted(changes, reverse=True)
        assert len(account.preview("Pipelines", 1)[1]) == 1


@pytest.mark.parametrize("queries", [True, False])
def test_one_call_probes_for_changes(harness: ZohoHarness, *, queries: bool) -> None:
    """A probe returns how many records changed, and the last change, in one call: by query, or else by list."""
    now = harness.clock.now()
    for row in harness.emulator.rows("Contacts")[:3]:
        harness.emulator.edit("Contacts", row["id"], stamp=now, Title="New")
    with harness.account() as account:
        schema = account.describe("Contacts")
        if not queries:
            account._api.unavailable["coql"]["Contacts"] = "no"  # type: ignore[attr-defined]
        before = account.usage.calls
        assert account.probe_changes(schema, now - timedelta(seconds=1)) == (3, now)
        assert account.probe_changes(schema, now + timedelta(seconds=1)) == (0, None)
        assert account.usage.calls - before == 2


def test_more_changes_than_a_page(quiet: ZohoHarness) -> None:
    """If more records changed than a page holds, the number shows it without a full count."""
    quiet.extract("Contacts")
    with quiet.account() as account:
        schema = account.describe("Contacts")
        changed, last_change = account.probe_changes(
            schema, quiet.clock.now() - timedelta(days=9_000)
        )
    assert changed == min(quiet.emulator.count("Contacts"), 201)
    assert last_change is not None


def test_a_healthy_org_passes(quiet: ZohoHarness) -> None:
    """The check-up of a healthy org finds login, identity, edition, scopes, budget and objects ok."""
    with quiet.account() as account:
        checkup = account.check()
    findings = {finding.topic: finding for finding in checkup.findings}
    assert checkup.is_healthy
    assert {"login", "identity", "edition", "scope", "budget", "objects"} <= set(findings)
    assert "user0@sandbox.example" in findings["identity"].detail
    assert "enterprise, 75,000 credits" in findings["edition"].detail


def test_fields_that_lists_lack_are_reported(quiet: ZohoHarness) -> None:
    """The check-up names a field that only single records contain, with the module of its rows."""
    with quiet.account() as account:
        missing = [finding for finding in account.check().findings if finding.topic == "fields"]
    assert any("Contacts.Interested_Products" in finding.detail for finding in missing)
    assert any("Add Deal_Team" in finding.cure for finding in missing)


def test_rows_of_sub_forms_are_modules(quiet: ZohoHarness) -> None:
    """The rows of sub-forms and of look-ups to several records are read as modules of their own."""
    for module in ("Quoted_Items", "Interested_Products", "Deal_Team"):
        done = quiet.extract(module)
        assert done.read - done.deleted == quiet.emulator.count(module)
        assert done.route == "coql"


def test_no_person_and_no_secret_in_plans(quiet: ZohoHarness) -> None:
    """Reasons and findings contain modules, numbers and scopes, never values of records or tokens."""
    done = quiet.extract("Contacts")
    with quiet.account() as account:
        text = json.dumps([str(finding) for finding in account.check().findings]) + done.reason
    emails = {row["Email"] for row in quiet.emulator.rows("Contacts") if row["Email"]}
    assert not [email for email in emails if email in text]
    assert "1000." not in text
