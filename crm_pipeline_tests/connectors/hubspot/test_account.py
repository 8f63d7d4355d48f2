"""What an account says and answers: check, who, objects, plan, preview, get, query, snapshots."""

import json
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
import requests

from crm_pipeline.connectors.api import VendorApi
from crm_pipeline.connectors.base import Finding, Plan
from crm_pipeline.connectors.hubspot import search
from crm_pipeline.kernel.clock import Window
from crm_pipeline.kernel.errors import ConfigError, NotPermitted, Rejected
from crm_pipeline.settings import ObjectSettings
from crm_pipeline.stages.raw import extract
from crm_pipeline_tests.connectors.hubspot.conftest import Client, Portal, Still, emulator, landed
from crm_pipeline_tests.harness import Harness
from crm_sandbox.hubspot import credentials


def check(hub: Harness) -> dict[str, Finding]:
    with hub.account() as account:
        return {finding.topic: finding for finding in account.check().findings}


@pytest.mark.parametrize("kind", ["token", "refresh_token"])
def test_a_healthy_portal_passes(still: Still, kind: str) -> None:
    """Each thing that matters is said to be good, with the portal's number."""
    found = check(still(kind=kind))
    assert {finding.level for finding in found.values()} == {"ok"}
    assert str(credentials.MAIN.hub_id) in found["identity"].detail
    assert {"login", "version", "pace", "scopes", "objects"} <= set(found)
    assert ("budget" in found) == (kind == "token")


def test_missing_scopes_are_found_before_a_run(still: Still) -> None:
    """Object by object, with the scope to add."""
    with still(kind="contacts_token", objects=["contacts", "deals"]).account() as account:
        found = account.check().findings
    assert not [one for one in found if one.topic == "properties"], "said once is enough"
    cures = [one.cure for one in found if one.level == "fail" and one.topic == "scope"]
    assert len([one for one in cures if "crm.objects.deals.read" in one]) == 1


def test_an_unknown_object_is_named(still: Still) -> None:
    """With what was probably meant."""
    found = check(still(objects=["contacts", "dealz"]))
    assert "dealz" in found["object"].detail
    assert "deals" in found["object"].cure


def test_custom_objects_are_listed(still: Still) -> None:
    """By their full name, which is the same in an export and in an address."""
    hub = still()
    with hub.account() as account:
        found = {info.name: info for info in account.objects()}
    custom = Client(hub).ask("GET", "/crm/v3/schemas")["results"][0]
    assert found[custom["fullyQualifiedName"]].custom
    assert {"contacts", "owners", "deal_pipelines"} <= set(found)


@pytest.mark.parametrize("name", ["contact", "Contacts", "0-1", "Deal"])
def test_an_object_is_written_in_one_way(still: Still, name: str) -> None:
    """The vendor takes other names too; with those we would not know what the object is."""
    hub = still()
    with hub.account() as account, pytest.raises(NotPermitted, match="does not exist") as found:
        account.describe(name)
    assert "Did you mean" in found.value.cure


def test_owners_who_left_are_read_too(still: Still) -> None:
    """A snapshot holds both lists: deals go on naming who left."""
    hub = still()
    done = hub.extract("owners")
    client = Client(hub)
    wanted = [
        one
        for archived in ("false", "true")
        for one in client.ask("GET", "/crm/v3/owners", archived=archived)["results"]
    ]
    assert [row["record"] for row in landed(hub, "owners")] == sorted(
        wanted, key=lambda x: int(x["id"])
    )
    assert {one["archived"] for one in wanted} == {True, False}
    assert (done.route, done.calls, done.planned_calls) == ("list", 2, 2)


@pytest.mark.parametrize("name", ["deal_pipelines", "ticket_pipelines"])
def test_pipelines_are_read_with_their_stages(still: Still, name: str) -> None:
    """One call; an unchanged list lands nothing a second time."""
    hub = still()
    hub.extract(name)
    kind = name.partition("_")[0] + "s"
    wanted = Client(hub).ask("GET", f"/crm/v3/pipelines/{kind}")["results"]
    rows = [row["record"] for row in landed(hub, name)]
    assert sorted(rows, key=lambda x: x["id"]) == sorted(wanted, key=lambda x: x["id"])
    hub.clock.advance(60)
    assert not hub.extract(name).changed


def planned(hub: Harness, obj: ObjectSettings, window: Window | None = None) -> Plan:
    with hub.account() as account:
        now = account.vendor_now()
        return account.plan(obj, window or Window(None, now))


@pytest.mark.parametrize("records", [300, 6_000, 400_000])
def test_plans_say_what_reading_lasts(
    still: Still, records: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the published ceilings and a usual distance, reading from both ends wins where there is much."""
    monkeypatch.setattr(VendorApi, "round_trip_s", 0.35)
    monkeypatch.setattr(search, "count", lambda *_, **__: records)
    ceilings = {"search_calls": 5, "private_calls": 190, "association_calls": 150}
    plan = planned(still(objects=["contacts"], ceilings=ceilings), ObjectSettings("contacts"))
    by_name = {strategy.name: strategy for strategy in plan.strategies}
    # In between, finding the place to meet costs about what meeting saves.
    assert records == 6_000 or plan.route == ("both" if records > 6_000 else "search")
    # Five searches in 1.46 s bring 684 records a second, a list alone 285.
    assert by_name["search"].seconds >= records / 685
    assert by_name["list"].seconds >= records / 290
    if records == 400_000:
        assert by_name["both"].seconds == pytest.approx(records / (684 + 285), rel=0.1)
    # One call more for 1,000 records says which contacts are linked with each other.
    wanted = records / 200 + records / 1_000
    assert by_name["search"].calls == pytest.approx(wanted, rel=0.1, abs=40)


def test_a_list_cannot_say_what_changed(still: Still) -> None:
    """For a refresh there is one route, and the plan says why."""
    hub = still()
    now = hub.clock.now()
    plan = planned(hub, ObjectSettings("contacts"), Window(now.replace(month=1), now))
    impossible = {strategy.name: strategy.impediment for strategy in plan.strategies}
    assert plan.route == "search"
    assert "no filter by the last change" in impossible["list"]
    assert "no filter by the last change" in impossible["both"]


def test_a_snapshot_of_an_object_with_stamps(still: Still) -> None:
    """Whoever wants an object whole each time gets it so: what is absent is gone."""
    hub = still()
    whole = ObjectSettings("companies", snapshot=True)
    with hub.account() as account:
        done = extract(account, whole, None, mode="range", landing=hub.landing)
        with pytest.raises(ConfigError):
            account.plan(ObjectSettings("companies", route="export"), None)
    assert {row["id"] for row in landed(hub, "companies")} == set(Client(hub).all("companies"))
    [window] = hub.landing.windows("demo", "companies")
    assert (window.complete, done.deleted, done.reconciled) == (True, 0, True)


def test_preview_and_get(still: Still) -> None:
    """The newest records, and one by its id or by a unique property."""
    hub = still()
    client = Client(hub)
    record, row = max(
        client.all("contacts").items(), key=lambda x: x[1]["properties"]["lastmodifieddate"]
    )
    with hub.account() as account:
        schema, rows = account.preview("contacts", 3)
        by_id = account.get("contacts", record, by=None)
        by_email = account.get("contacts", row["properties"]["email"], by="email")
        owners = account.preview("owners", 2)[1]
    assert len(rows) == 3
    assert rows[0]["lastmodifieddate"] == row["properties"]["lastmodifieddate"]
    assert set(rows[0]) == set(schema.names)
    assert by_id == by_email
    assert by_id["email"] == row["properties"]["email"]
    assert len(owners) == 2


def test_a_record_that_is_not_there(still: Still) -> None:
    """Said as such, for short and for long lists of properties."""
    hub = still()
    with hub.account() as account, pytest.raises(Rejected) as found:
        account.get("contacts", "404404404", by=None)
    assert found.value.status == 404


def test_a_query_is_a_search(still: Still) -> None:
    """The body of a search with the object in it; pages are followed to the end."""
    hub = still()
    client = Client(hub)
    wanted = sorted(client.all("contacts"))
    body = {"object": "contacts", "properties": ["email"], "limit": 30}
    with hub.account() as account:
        rows = list(account.query(json.dumps(body), include_deleted=False))
    assert sorted(row["id"] for row in rows) == wanted
    assert len(client.calls("/contacts/search")) == 4


@pytest.mark.parametrize("text", ["SELECT Id FROM Contact", "[]", '{"filterGroups": []}'])
def test_what_is_no_search_is_refused(still: Still, text: str) -> None:
    """With an example of what would be one."""
    hub = still()
    with hub.account() as account, pytest.raises(Rejected) as found:
        list(account.query(text, include_deleted=False))
    assert '"object"' in found.value.cure


def test_a_search_that_finds_too_much_is_refused(still: Still) -> None:
    """What was shown so far is not the answer."""
    with still(ceilings={"search_results": 60}).account() as account:
        with pytest.raises(Rejected, match="shows 60"):
            list(account.query('{"object": "contacts", "limit": 30}', include_deleted=False))
        with pytest.raises(Rejected, match="archived"):
            list(account.query('{"object": "contacts"}', include_deleted=True))


def test_a_login_by_a_person(portal: Portal, monkeypatch: pytest.MonkeyPatch) -> None:
    """The consent address names the scopes; its code is traded for tokens that are stored."""
    with portal(kind="refresh_token") as hub:
        environ: Any = hub.settings.environ
        monkeypatch.delitem(environ, "HUB_REFRESH_TOKEN")
        with hub.account() as account:
            login_flow = account.login_flow("http://localhost:8401/OauthRedirect")
            assert "crm.objects.contacts.read" in login_flow.address
            place, _, query = login_flow.address.partition("?")
            # What the page that is shown there sends back.
            decided = {**dict(parse_qsl(query)), "decision": "allow"}
            answer = requests.post(place, data=decided, allow_redirects=False, timeout=5)
            back = answer.headers["Location"]
            login_flow.accept(dict(parse_qsl(urlsplit(back).query)))
        emulator(hub).expire_sessions()
        assert hub.extract("owners").records


def test_one_slow_answer_is_no_long_way(still: Still) -> None:
    """Before any call a usual distance counts, then the middle of those that were measured."""
    hub = still()
    hub.sandbox.faults.order("slow", path="/account-info/", seconds=0.6)
    with hub.account() as account:
        api: Any = vars(account)["_api"]
        assert api.round_trip_s == 0.35
        account.vendor_now()
        assert api.round_trip_s > 0.5
        for _ in range(4):
            account.describe("contacts")
        assert api.round_trip_s < 0.5
