"""Changes of associations only: no refresh sees them, a sweep lands the records that have them."""

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from typing import Any

import dagster as dg
import pytest
from typer.testing import CliRunner

from crm_pipeline.cli.app import app
from crm_pipeline.orchestration.build import build_defs
from crm_pipeline.orchestration.resources import Workspace
from crm_pipeline.orchestration.runs import run_backfill, run_refresh
from crm_pipeline.stages.raw import unstamped
from crm_pipeline.stages.raw.unstamped import ObjectSweep
from crm_pipeline.store.sweeps import Sweeps
from crm_pipeline.store.tables.engine import Engine
from crm_pipeline.store.tables.published import open_published
from crm_pipeline_tests.connectors.hubspot.conftest import ENVIRON, Client, Portal, emulator, landed
from crm_pipeline_tests.harness import Harness

OBJECTS = ("contacts", "companies", "owners")
SMALL = {"association_records": 25}
Links = set[tuple[str, str, int]]


def read(hub: Harness, mode: Any = "range") -> int:
    """Read all records, or what a refresh sees; return how many landed."""
    return sum(hub.extract(name, mode=mode).records for name in ("contacts", "companies"))


def sweep(hub: Harness, allowed: int | None = None, **changed: Any) -> dict[str, ObjectSweep]:
    with hub.account() as account:
        account.connection = replace(account.connection, **changed)
        values_of = account.unstamped  # type: ignore[attr-defined]
        account.unstamped = lambda *given: [  # type: ignore[attr-defined]
            each for each in values_of(*given) if each.kind == "lists"
        ]
        done = unstamped.sweep(
            account,
            hub.landing,
            Sweeps(hub.settings.data),
            open_engine=lambda: Engine(hub.settings.data / "tmp"),
            allowed=allowed,
            key_of=lambda _: None,
        )
    return {each.object: each for each in done}


def links(hub: Harness, name: str, other: str) -> Links:
    """Return the associations of the live records that have landed last."""
    return {
        (one["id"], link["to_id"], link["type_id"])
        for one in landed_last(hub, name)
        if not one["deleted"]
        for link in one["record"]["associations"]
        if link["to_object"] == other
    }


def landed_last(hub: Harness, name: str) -> list[dict[str, Any]]:
    return landed(hub, name)


def compare(hub: Harness) -> None:
    for name, other in (("contacts", "companies"), ("companies", "contacts")):
        assert links(hub, name, other) == emulator(hub).links(name, other), (name, other)


def change(hub: Harness) -> tuple[set[str], set[str]]:
    """Add a link, remove one, label one; return the contacts and the companies that are concerned."""
    client = Client(hub)
    have = sorted(emulator(hub).links("contacts", "companies"))
    taken = {one for one, _, _ in have}
    loner = min(row["id"] for row in emulator(hub).rows("contacts") if row["id"] not in taken)
    (first, first_company, _), (last, last_company, _) = have[0], have[-1]
    base = "/crm/v4/objects/contacts"
    client.ask("PUT", f"{base}/{loner}/associations/default/companies/{first_company}")
    client.ask("DELETE", f"{base}/{first}/associations/companies/{first_company}")
    kinds = client.ask("GET", "/crm/v4/associations/contacts/companies/labels")["results"]
    label = next(kind for kind in kinds if kind["category"] == "USER_DEFINED")
    types = [{"associationCategory": "USER_DEFINED", "associationTypeId": label["typeId"]}]
    client.ask("PUT", f"{base}/{last}/associations/companies/{last_company}", types)
    return {loner, first, last}, {first_company, last_company}


@contextmanager
def answers(hub: Harness, body: Any) -> Iterator[None]:
    """Answer all reads of associations with a body."""
    handle = emulator(hub).handle

    def handled(request: Any) -> Any:
        response = handle(request)
        if "/associations/" not in request.path:
            return response
        return replace(response.unpacked(), status=200, body=json.dumps(body).encode())

    emulator(hub).handle = handled  # type: ignore[method-assign]
    try:
        yield
    finally:
        del emulator(hub).handle


def test_what_no_refresh_sees(portal: Portal) -> None:
    """A link that is added, one that is removed and one that gets a label change no modification time: a refresh lands
    nothing, a sweep lands exactly the records at both ends, and a second one finds no difference."""
    with portal(contacts=60, objects=OBJECTS, ceilings=SMALL) as hub:
        read(hub)
        compare(hub)
        hub.advance(3600)
        contacts, companies = change(hub)
        hub.advance(3600)
        assert read(hub, "refresh") == 0
        with pytest.raises(AssertionError):
            compare(hub)
        before = {name: len(landed_last(hub, name)) for name in ("contacts", "companies")}
        done = sweep(hub)
        compare(hub)
        found = {name: (each.differing, each.landed) for name, each in done.items()}
        assert found == {
            "contacts": (len(contacts),) * 2,
            "companies": (len(companies),) * 2,
        }
        assert {name: len(landed_last(hub, name)) for name in before} == before
        assert all(each.is_complete and not each.error for each in done.values())
        calls = len(hub.sandbox.journal.as_rows())
        again = sweep(hub)
        assert {name: (each.differing, each.landed) for name, each in again.items()} == {
            "contacts": (0, 0),
            "companies": (0, 0),
        }
        with hub.account() as account, Engine(hub.settings.data / "tmp") as engine:
            plans = unstamped.plan_sweep(account, hub.landing, Sweeps(hub.settings.data), engine)
        planned = {plan.object: plan.cost for plan in plans if plan.what == "associations"}
        made = Counter(
            one["path"].split("/")[-4]
            for one in hub.sandbox.journal.as_rows()[calls:]
            if "/associations/" in one["path"]
        )
        assert planned == dict(made)
        commits = hub.landing.windows("demo", "contacts")
        assert commits[-1].kind == "point"
        assert "associations have changed" in commits[-1].reason


def test_a_budget_cuts_and_the_next_sweep_goes_on(portal: Portal) -> None:
    """Sweeps that may cost little go on where the last one stopped, each within what it may cost, until all records were
    compared; after a whole round the next one begins again."""
    with portal(contacts=60, objects=OBJECTS, ceilings={"association_records": 5}) as hub:
        read(hub)
        change(hub)
        hub.advance()
        assert sweep(hub, allowed=10)["contacts"].compared == 0
        sweeps = Sweeps(hub.settings.data)
        rounds: dict[str, int] = {}
        for _ in range(40):
            done = sweep(hub, allowed=36)
            assert sum(each.cost for each in done.values()) <= 36
            ended = {name: each for name, each in sweeps.at("demo").items() if each.completed_at}
            rounds = {name: each.compared for name, each in ended.items()} | rounds
            if len(rounds) == 2:
                break
        compare(hub)
        assert rounds == {
            name: sum(not one["deleted"] for one in landed_last(hub, name))
            for name in ("contacts", "companies")
        }
        assert not done["contacts"].is_complete, "one sweep would have been enough"


def test_a_page_that_is_empty_by_mistake(portal: Portal) -> None:
    """An answer without associations, and without a report for each record that it leaves out, is not believed: nothing
    lands, and the object is named. With reports it is believed, and each record is read again before it lands."""
    with portal(contacts=60, objects=OBJECTS) as hub:
        read(hub)
        with answers(hub, {"status": "COMPLETE", "results": []}):
            done = sweep(hub)
        assert all("left out the associations" in each.error for each in done.values())
        assert not any(each.landed or each.compared for each in done.values())
        compare(hub)
        assert Sweeps(hub.settings.data).at("demo") == {}


def test_records_that_are_gone(portal: Portal) -> None:
    """Of a record that was deleted for good the CRM has no associations any more; reading it brings nothing, and it is
    counted as what it is. A company that was archived vanishes from the contacts that were associated with it."""
    with portal(contacts=60, objects=OBJECTS) as hub:
        read(hub)
        truth = emulator(hub)
        (first, company, _), *_ = sorted(truth.links("contacts", "companies"))
        concerned = {
            one for one, other, _ in truth.links("contacts", "companies") if other == company
        }
        truth.hard_delete("contacts", first)
        truth.delete("companies", company)
        hub.advance(3600)
        read(hub, "refresh")
        done = sweep(hub)
        assert done["contacts"].outcomes == {"read": len(concerned - {first}), "not_found": 1}
        assert {
            one for one in links(hub, "contacts", "companies") if one[0] != first
        } == truth.links("contacts", "companies")


def test_one_object_that_fails(portal: Portal) -> None:
    """An object that the login may not read any more is named, and the others are swept."""
    with portal(contacts=60, objects=OBJECTS) as hub:
        read(hub)
        change(hub)
        hub.advance()
        hub.sandbox.faults.order(
            "status", status=403, path="/associations/2026-09/contacts/", times=20
        )
        done = sweep(hub)
        assert (done["contacts"].landed, bool(done["contacts"].error)) == (0, True)
        assert done["companies"].landed > 0


def test_the_job(portal: Portal) -> None:
    """The job of the connection sweeps it and shows the numbers; its schedule is stopped until automation is on."""
    with portal(contacts=60, objects=OBJECTS) as hub:
        read(hub)
        contacts, companies = change(hub)
        hub.advance()
        defs = build_defs(hub.settings, {"crm": Workspace(hub.settings, clock=hub.clock)})
        with dg.DagsterInstance.ephemeral() as instance:
            run = defs.resolve_job_def("demo_sweep").execute_in_process(instance=instance)
        assert run.success
        handled = next(e for e in run.all_events if e.is_successful_output)
        shown = handled.step_output_data.metadata
        assert shown["records_landed"].value == len(contacts | companies)
        compare(hub)
        schedule = defs.resolve_schedule_def("demo_sweep")
        assert schedule.default_status == dg.DefaultScheduleStatus.STOPPED
        assert schedule.cron_schedule == "0 5 * * *"


def test_the_published_associations(portal: Portal) -> None:
    """After a sweep the next refresh publishes the associations as the portal has them, though it lands nothing itself."""

    def published(hub: Harness) -> set[tuple[str, str]]:
        with closing(open_published(hub.settings.data)) as database:
            rows = database.execute(
                "SELECT from_source_id, to_source_id FROM crm.associations "
                "WHERE from_table = 'contacts' AND to_table = 'companies'"
            ).fetchall()
        return set(rows)

    def expected(hub: Harness) -> set[tuple[str, str]]:
        return {(one, other) for one, other, _ in emulator(hub).links("contacts", "companies")}

    with (
        portal(contacts=60, objects=OBJECTS) as hub,
        dg.DagsterInstance.ephemeral() as instance,
    ):
        assert run_backfill(hub.settings, "demo", None, None, instance, clock=hub.clock).is_success
        assert published(hub) == expected(hub)
        hub.advance(3600)
        change(hub)
        assert published(hub) != expected(hub)
        sweep(hub)
        hub.advance()
        again = run_refresh(hub.settings, "demo", instance, clock=hub.clock)
        assert (again.is_success, sum(again.landed.values())) == (True, 0)
        assert published(hub) == expected(hub)


def test_the_command(portal: Portal, monkeypatch: pytest.MonkeyPatch) -> None:
    """`plan` and `sweep --plan` say the same cost, and `sweep` finds what changed within it."""
    with portal(contacts=60, objects=OBJECTS) as hub:
        read(hub)
        contacts, companies = change(hub)
        for name in (*ENVIRON, "CRM_DATABASE_URL"):
            monkeypatch.setenv(name, hub.settings.environ[name])
        monkeypatch.chdir(hub.settings.root)

        def run(*arguments: str) -> Any:
            done = CliRunner().invoke(app, [*arguments, "--json"])
            assert done.exit_code == 0, done.output
            return json.loads(done.stdout)

        planned = {(one["object"], one["what"]): one for one in run("sweep", "demo", "--plan")}
        assert {
            (one["object"], each["what"]): each
            for one in run("plan", "demo")
            for each in one["sweeps"]
        } == {key: one for key, one in planned.items() if one["what"]}
        done = {(one["object"], one["what"]): one for one in run("sweep", "demo")}
        assert {key: one["differing"] for key, one in done.items()} == {
            ("contacts", "associations"): len(contacts),
            ("companies", "associations"): len(companies),
            ("contacts", "computed fields"): 0,
            ("companies", "computed fields"): 0,
        }
        assert {key: one["compared"] for key, one in done.items()} == {
            key: planned[key]["records"] for key in done
        }
