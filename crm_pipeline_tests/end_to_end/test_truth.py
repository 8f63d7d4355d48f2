"""The published file equals the emulated org, field by field, after a backfill and after changes."""

import shutil
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from crm_pipeline.cli.drift import accept
from crm_pipeline.configuration import load_settings
from crm_pipeline.connectors.registry import connector
from crm_pipeline.kernel.clock import FrozenClock
from crm_pipeline.orchestration.build import build_defs
from crm_pipeline.orchestration.resources import Workspace
from crm_pipeline.orchestration.runs import RunSummary, run_backfill, run_refresh
from crm_pipeline.store.drift import Register
from crm_pipeline.store.postgres.database import Database
from crm_pipeline.store.tables.published import open_published
from crm_pipeline_tests.harness import ENVIRON, Harness, harness_in
from crm_pipeline_tests.orchestration.watched import request_of
from crm_pipeline_tests.servers import database_of_its_own
from crm_pipeline_tests.truth import assert_published_equals, published_rows, true_rows

OBJECTS = (*connector("salesforce").default_objects, "Invoice__c")


@dataclass(frozen=True)
class Backfilled:
    """A backfill that the tests of this module begin with.

    Attributes:
        harness: whose data folder is copied for each test, and left as it is.
        instance: that recorded the run; `test_published_equals_the_world` alone goes on with it.
    """

    harness: Harness
    instance: dg.DagsterInstance
    done: RunSummary


@pytest.fixture(scope="module")
def backfilled(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backfilled]:
    folder = tmp_path_factory.mktemp("backfilled")
    with (
        database_of_its_own(postgres_url) as url,
        Database(url) as database,
        harness_in(folder, database, url, contacts=150, objects=OBJECTS) as harness,
        dg.DagsterInstance.ephemeral() as ephemeral,
    ):
        clock = harness.clock
        done = run_backfill(harness.settings, "demo", None, None, ephemeral, clock=clock)
        assert done.is_success, done.failed
        yield Backfilled(harness, ephemeral, done)


@pytest.fixture
def org(backfilled: Backfilled, tmp_path: Path, database: Database, fresh_url: str) -> Harness:
    """A copy of the backfilled project, at an org as it was at the backfill."""
    source = backfilled.harness
    source.sandbox.reset()
    root = shutil.copytree(source.settings.root, tmp_path / "project", symlinks=True)
    settings = load_settings(root, {**ENVIRON, "CRM_DATABASE_URL": fresh_url})
    return Harness(source.sandbox, settings, database, FrozenClock(source.clock.now()))


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as ephemeral:
        yield ephemeral


def published(harness: Harness, obj: str) -> dict[str, dict[str, Any]]:
    with closing(open_published(harness.settings.data)) as reader:
        return published_rows(reader, obj)


def truth(harness: Harness, obj: str) -> dict[str, dict[str, Any]]:
    return true_rows(harness.org, obj)


def assert_equal(harness: Harness) -> None:
    assert_published_equals(harness.org, harness.settings.data, OBJECTS)


def sensed(harness: Harness, instance: dg.DagsterInstance) -> dg.RunRequest | dg.SkipReason:
    crm = Workspace(harness.settings, clock=harness.clock)
    sensor = build_defs(harness.settings).resolve_sensor_def("demo_changes")
    with dg.build_sensor_context(instance=instance, resources={"crm": crm}) as context:
        return request_of(sensor.evaluate_tick(context))


def change(harness: Harness) -> None:
    """Edit, create, delete and restore something in every object that allows it."""
    for obj in OBJECTS:
        rows = harness.org.rows(obj)
        if not harness.org.org.known(obj).createable or obj == "User":
            harness.org.edit(obj, rows[0]["Id"])
            continue
        harness.org.edit(obj, rows[0]["Id"])
        harness.org.delete(obj, rows[1]["Id"])
        gone = [row for row in harness.org.rows(obj, include_deleted=True) if row["IsDeleted"]]
        harness.org.restore(obj, gone[-1]["Id"])
    harness.org.edit("Contact", harness.org.rows("Contact")[5]["Id"], Title='01234\n"NA", 😀')
    harness.org.create("Contact", LastName="nan", Title="1e5")
    harness.org.create("Account", Name="NULL")


def test_published_equals_the_world(org: Harness, backfilled: Backfilled) -> None:
    """After the backfill, and after edits, creations, deletions and restores that the sensor saw, and a new field with
    values in all records."""
    instance = backfilled.instance
    assert backfilled.done.landed == {
        obj: org.org.count(obj, include_deleted=True) for obj in OBJECTS
    }
    assert_equal(org)

    assert isinstance(sensed(org, instance), dg.SkipReason)
    org.advance()
    change(org)
    org.org.add_field("Contact", "Shoe_Size__c", value="forty-two")
    # So many objects are asked about every few minutes only: see docs/decisions/0022.
    org.advance(300)
    assert isinstance(sensed(org, instance), dg.RunRequest)
    second = run_refresh(org.settings, "demo", instance, clock=org.clock)
    assert second.is_success, second.failed
    snapshots = connector("salesforce").snapshot_objects
    assert 0 < sum(read for obj, read in second.landed.items() if obj not in snapshots) < 100
    assert_equal(org)
    assert {row["Shoe_Size__c"] for row in published(org, "Contact").values()} >= {"forty-two"}


def test_refreshes_without_changes_do_nothing(org: Harness, instance: dg.DagsterInstance) -> None:
    """Two refreshes with nothing changed land nothing and publish nothing."""
    data = org.settings.data
    before = (sorted(data.glob("landing/**/*.parquet")), (data / "crm.duckdb").readlink())
    releases = sorted(data.glob("tables/releases/*"))
    for _ in range(2):
        org.advance()
        done = run_refresh(org.settings, "demo", instance, clock=org.clock)
        assert done.is_success, done.failed
        assert (sum(done.landed.values()), done.rows, done.changed) == (0, {}, ())
    after = (sorted(data.glob("landing/**/*.parquet")), (data / "crm.duckdb").readlink())
    assert (before, releases) == (after, sorted(data.glob("tables/releases/*")))


def test_a_renamed_field_keeps_the_last_good_table(
    org: Harness, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run fails with the new name, proven by values; analysts keep the earlier table; accepting it is the cure."""
    before = published(org, "Contact")
    org.org.rename_field("Contact", "Email", "Email_Address__c")
    org.advance()
    org.org.edit("Contact", next(iter(before)), Title="Edited after the rename")
    org.advance()
    done = run_refresh(org.settings, "demo", instance, clock=org.clock)
    assert not done.is_success
    [failed] = done.failed
    assert "Contact.Email ('Email') is gone from demo; it fed contacts.email" in failed.message
    assert (
        "Email_Address__c ('Email Address') looks like its new name: it holds the same value in"
        in (failed.message)
    )
    assert published(org, "Contact") == before
    assert done.landed["Contact"] > 0, "the raw records are safe"

    [change] = [c for c in Register(org.settings.data).all() if c.is_open]
    assert (change.kind, change.field, change.proposal) == ("removed", "Email", "Email_Address__c")
    assert int(change.evidence["records_compared"]) <= 20
    monkeypatch.setenv("CRM_HOME", str(org.settings.root))
    accept([change.number])
    org.settings = load_settings(org.settings.root, org.settings.environ)
    again = run_refresh(org.settings, "demo", instance, clock=org.clock)
    assert again.is_success, again.failed
    after = published(org, "Contact")
    assert after[next(iter(before))]["Title"] == "Edited after the rename"
    with closing(open_published(org.settings.data)) as connection:
        emails = dict(connection.execute("SELECT source_id, email FROM crm.contacts").fetchall())
    assert emails == {key: row["Email_Address__c"] for key, row in truth(org, "Contact").items()}


def test_one_lost_object_does_not_keep_the_others_back(
    org: Harness, instance: dg.DagsterInstance
) -> None:
    """A run in which one object cannot be read fails with its name, and publishes the other tables."""
    org.org.hide_object("Lead")
    org.advance()
    record = org.org.rows("Contact")[0]["Id"]
    org.org.edit("Contact", record, Title="Published all the same")
    org.advance()
    done = run_refresh(org.settings, "demo", instance, clock=org.clock)
    assert [failed.step for failed in done.failed] == ["demo__raw__Lead"]
    assert published(org, "Contact")[record]["Title"] == "Published all the same"
    assert published(org, "Lead") == truth(org, "Lead")
