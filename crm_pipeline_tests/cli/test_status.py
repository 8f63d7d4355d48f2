import json
import re
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest

from crm_pipeline.kernel.clock import FrozenClock, SystemClock, Window
from crm_pipeline.kernel.errors import BudgetExhausted, NotPermitted
from crm_pipeline.model.schema import Field, Schema
from crm_pipeline.ratelimit.limiter import RateLimiter
from crm_pipeline.ratelimit.limits import Limit
from crm_pipeline.store import files
from crm_pipeline.store.field_backfills import FieldBackfill, FieldBackfills
from crm_pipeline.store.landing import Landing
from crm_pipeline.store.landing.looks import Looks
from crm_pipeline.store.landing.window import Counts
from crm_pipeline.store.postgres.database import Database
from crm_pipeline.store.tables import Tables
from crm_pipeline_tests.cli.conftest import Run
from crm_pipeline_tests.rot.flips import flip_bit

UNTIL = datetime(2026, 11, 1, tzinfo=UTC)


def land(
    data: Path, obj: str, rows: int, vendor_count: int | None, since: datetime | None = None
) -> None:
    landing = Landing(data, FrozenClock("2026-11-01T00:10:00Z"))
    schema = Schema(obj, obj, (Field("Id", "Id", "id"),))
    batch = pa.RecordBatch.from_arrays(
        [
            pa.array([str(n) for n in range(rows)]),
            pa.array([UNTIL] * rows, pa.timestamp("us", "UTC")),
            pa.array([False] * rows),
            pa.array([str(n) for n in range(rows)]),
        ],
        names=["_source_id", "_modified_at", "_deleted", "Id"],
    )
    with landing.begin("acme", obj, Window(since, UNTIL), schema) as window:
        window.write([batch], shape="csv", route="bulk", extracted_at=UNTIL)
        window.commit(Counts(vendor_count=vendor_count, route="bulk", calls=4))


def test_nothing_read_yet(run: Run) -> None:
    """Before the first run every configured object is listed as never read."""
    result = run("status")
    assert result.exit_code == 0
    assert result.stdout.count("never read") == 4
    assert "nothing yet" in result.stdout


@pytest.mark.parametrize(
    ("rows", "vendor_count", "outcome"),
    [(3, 3, "equal"), (3, 5, "2 differ"), (3, None, "not counted")],
)
def test_last_window(
    run: Run, project: Path, rows: int, vendor_count: int | None, outcome: str
) -> None:
    """A read object shows its watermark, its rows and the result of its count, without PostgreSQL."""
    land(project / "data", "Contact", rows, vendor_count)

    text = run("status").stdout
    assert "2026-11-01 00:00" in text
    assert outcome in text
    assert "unknown while PostgreSQL is not running" in text
    alone = " ".join(run("status", "acme").stdout.split())
    assert "(PostgreSQL is not running); `crm-pipeline plan acme` says it." in alone

    acme = json.loads(run("status", "--json").stdout)["connections"][0]
    contact = next(entry for entry in acme["objects"] if entry["object"] == "Contact")
    assert contact["landed_rows"] == rows
    assert contact["watermark"] == "2026-11-01T00:00:00Z"
    assert contact["last_window"]["vendor_count"] == vendor_count
    assert contact["mismatched_windows"] == (1 if outcome == "2 differ" else 0)


def test_a_table_that_is_held_back(run: Run, project: Path) -> None:
    """A table whose newer version was refused is named, with since when and what shows the reason."""
    looks = Looks(project / "data", FrozenClock("2026-11-01T00:10:00Z"))
    looks.held_back("acme", "contacts")
    text = " ".join(run("status").stdout.split())
    assert "The table contacts has kept its version since 2026-11-01 00:10 UTC" in text
    assert "`crm-pipeline refresh acme`" in text
    looks.was_built("acme", "contacts")
    assert "kept its version" not in run("status").stdout


def test_a_history_that_is_being_filled(run: Run, project: Path) -> None:
    """Fields whose history is not filled yet are shown with the records that are left and the reason; complete ones are
    not."""
    backfills = FieldBackfills(project / "data")
    backfills.note("acme", "Account", FieldBackfill("k", ("Tier",), records=3, filled=3))
    assert "new fields" not in run("status").stdout
    spent = FieldBackfill(
        "k", ("Size", "Shade"), "filling", records=1_500, filled=400, reason="the budget is spent"
    )
    backfills.note("acme", "Contact", spent)
    said = " ".join(run("status").stdout.split())
    assert "1,100 of 1,500 records of acme.Contact have no values of Size, Shade yet" in said
    assert "the budget is spent" in said
    [acme] = json.loads(run("status", "acme", "--json").stdout)["connections"]
    assert [(one["object"], one["left"]) for one in acme["field_backfills"]] == [("Contact", 1_100)]


def test_objects_no_longer_configured(run: Run, project: Path) -> None:
    """What has landed is shown although connections.yaml does not name it any more."""
    land(project / "data", "Old__c", 2, 2)
    assert "Old__c" in run("status").stdout


@pytest.mark.parametrize("automation", ["off", "on"])
def test_what_is_behind(
    run: Run, project: Path, monkeypatch: pytest.MonkeyPatch, automation: str
) -> None:
    """An object that is failing or not read says so, its count notwithstanding, with its error and since when; it is
    late only where somebody is meant to look by himself."""
    monkeypatch.setenv("CRM_AUTOMATION", automation)
    for obj in ("Account", "Contact"):
        land(project / "data", obj, 3, 3)
    looks = Looks(project / "data", FrozenClock("2026-11-01T00:20:00Z"))
    looks.probed("acme", {}, {"Contact": NotPermitted("Contact is hidden.", cure="Grant Read.")})

    text = run("status", "acme").stdout
    account, contact = (line.split() for line in text.splitlines() if " equal " in line)
    assert (account[0], account[1]) == ("Account", "late" if automation == "on" else "current")
    assert (contact[0], contact[1]) == ("Contact", "failing")
    assert (
        "Contact cannot be had since 2026-11-01 00:20 UTC: Contact is hidden. Grant Read." in text
    )
    assert "demo" not in text
    assert run("status", "acem").exit_code == 2

    acme, demo = json.loads(run("status", "--json").stdout)["connections"]
    contact = {entry["object"]: entry for entry in acme["objects"]}["Contact"]
    assert (contact["state"], contact["error"]) == ("failing", "Contact is hidden. Grant Read.")
    assert (contact["error_since"], contact["next_try"]) == (
        "2026-11-01T00:20:00Z",
        "2026-11-01T00:21:00Z",
    )
    assert contact["behind_s"] > 0
    assert {entry["state"] for entry in demo["objects"]} == {"unread"}


def test_a_damaged_commit_is_that_objects_affair(run: Run, project: Path) -> None:
    """Status names it with its cure; the other objects are shown as always."""
    land(project / "data", "Contact", 3, 3)
    land(project / "data", "Account", 2, 2)
    (commit,) = project.glob("data/landing/acme/Contact/windows/*.json")
    commit.write_text("{")
    result = run("status")
    assert result.exit_code == 0
    assert "failing" in result.stdout
    assert commit.name in result.stdout.replace("\n", "")
    assert "equal" in result.stdout


def test_a_common_cause_is_shown_once(run: Run, project: Path) -> None:
    """A spent budget stands there once with all objects that wait for it, also where each adds a figure of its own."""
    for obj in ("Account", "Contact"):
        land(project / "data", obj, 3, 3)
    looks = Looks(project / "data", FrozenClock("2026-11-01T00:20:00Z"))
    spent = BudgetExhausted("the day is spent.", wait_s=60, cure="Raise `share`.")
    looks.probed("acme", {}, {"Account": spent, "Contact": spent})
    text = " ".join(run("status", "acme").stdout.split())
    assert (
        "Account, Contact cannot be had since 2026-11-01 00:20 UTC: the day is spent. Raise" in text
    )
    assert text.count("Raise `share`.") == 1
    own = [BudgetExhausted(f"{n} are needed.", wait_s=60, cure="Raise `share`.") for n in (7, 8)]
    looks.probed("acme", {}, dict(zip(("Account", "Contact"), own, strict=True)))
    text = " ".join(run("status", "acme").stdout.split())
    assert "Account cannot be had since 2026-11-01 00:20 UTC: 7 are needed. Contact" in text
    assert "8 are needed. all of these: Raise `share`." in text
    assert text.count("Raise `share`.") == 1


def test_damaged_notes_of_looks(run: Run, project: Path) -> None:
    """An object that was failing does not become current: the result of the last look is not known."""
    land(project / "data", "Contact", 3, 3)
    Looks(project / "data").failed("acme", "Contact", NotPermitted("Contact is hidden."))
    path = project / "data" / "looks" / "acme.json"
    flip_bit(path)
    text = run("status").stdout
    [contact] = (line.split() for line in text.splitlines() if " equal " in line)
    assert contact[:2] == ["Contact", "unknown"]
    assert (
        text.count(f"{path} is damaged, so what the last looks came to is not known. Remove") == 1
    )
    acme, demo = json.loads(run("status", "--json").stdout)["connections"]
    assert {entry["state"] for entry in acme["objects"]} == {"unknown"}
    assert str(path) in acme["objects"][0]["error"]
    assert {entry["state"] for entry in demo["objects"]} == {"unread"}
    path.unlink()
    acme, _ = json.loads(run("status", "--json").stdout)["connections"]
    assert {entry["state"] for entry in acme["objects"]} == {"current", "unread"}


def test_a_part_of_the_history(run: Run, project: Path) -> None:
    """Records before the first month that was read are missing, and status says so."""
    since = datetime(2026, 8, 1, tzinfo=UTC)
    land(project / "data", "Contact", 3, 3, since)
    text = run("status").stdout
    assert "what was last changed before 2026-08-01 00:00 has not been read of Contact" in text
    [contact] = [line.split() for line in text.splitlines() if " equal " in line]
    assert contact[1] == "current"
    acme = json.loads(run("status", "acme", "--json").stdout)["connections"][0]
    contact = {entry["object"]: entry for entry in acme["objects"]}["Contact"]
    assert (contact["watermark"], contact["is_whole"]) == (None, False)
    assert contact["history_from"] == "2026-08-01T00:00:00Z"


def test_published(run: Run, project: Path) -> None:
    """The snapshot behind data/crm.duckdb is named."""
    (project / "data" / "snapshots").mkdir(parents=True)
    (project / "data" / "snapshots" / "crm-7.duckdb").write_bytes(b"x" * 10)
    (project / "data" / "crm.duckdb").symlink_to("snapshots/crm-7.duckdb")
    assert "crm-7.duckdb" in run("status").stdout


def snapshots(project: Path, *releases: int) -> Path:
    """Make snapshots of releases, and the link to the last."""
    folder = project / "data" / "snapshots"
    folder.mkdir(parents=True)
    for release in releases:
        (folder / f"crm-{release:08d}-ab.duckdb").write_bytes(b"x" * 10)
    link = project / "data" / "crm.duckdb"
    link.symlink_to(f"snapshots/crm-{releases[-1]:08d}-ab.duckdb")
    return link


def test_an_older_snapshot_than_was_published(run: Run, project: Path) -> None:
    """Status shows the release of the snapshot, and says that there is a later one."""
    link = snapshots(project, 2, 3, 1)
    Tables(project / "data").releases.mkdir(parents=True)
    record = {"number": 3, "committed_at": "2026-11-01T00:00:00Z", "tables": {}}
    files.write_json(Tables(project / "data").releases / "3.json", record)
    text = run("status").stdout
    assert "published: release 1 as crm-00000001-ab.duckdb" in text
    assert "leads to an older snapshot than crm-00000003-ab.duckdb, which was published" in text
    published = json.loads(run("status", "--json").stdout)["published"]
    assert (published["release"], published["published_release"]) == (3, 1)
    assert "crm-00000003-ab.duckdb" in published["problem"]

    link.unlink()
    link.symlink_to("snapshots/crm-00000003-ab.duckdb")
    assert "older snapshot" not in run("status").stdout
    # Somebody restored older tables, and means it.
    link.unlink()
    link.symlink_to("snapshots/crm-00000001-ab.duckdb")
    (Tables(project / "data").releases / "3.json").unlink()
    files.write_json(Tables(project / "data").releases / "1.json", {**record, "number": 1})
    assert "older snapshot" not in run("status").stdout


def test_a_release_that_is_not_published_yet(run: Run, project: Path) -> None:
    """During a run the tables are ahead of what is published; status says so, and it is no fault."""
    snapshots(project, 2)
    record = {"number": 3, "committed_at": "2026-11-01T00:00:00Z", "tables": {}}
    files.write_json(Tables(project / "data").releases / "3.json", record)
    text = run("status").stdout
    assert "published: release 2 as" in text
    assert "release 3 of the tables is not published yet" in text
    assert json.loads(run("status", "--json").stdout)["published"]["problem"] is None


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ("file", "is no link to a snapshot: somebody put something else there. Move it away"),
        ("folder", "is no link to a snapshot"),
        ("nothing", "leads to snapshots/crm-00000002-ab.duckdb, which is gone"),
    ],
)
def test_something_else_in_place_of_the_link(
    run: Run, project: Path, other: str, words: str
) -> None:
    """`status` and `query` say what it is; that nothing was published would be wrong."""
    link = snapshots(project, 2)
    if other == "nothing":
        link.resolve().unlink()
    else:
        link.unlink()
        link.write_bytes(b"x") if other == "file" else link.mkdir()
    status, query = run("status"), run("query", "SELECT 1")
    assert words in status.stdout
    assert "nothing yet" not in status.stdout
    assert query.exit_code == 1
    assert words in query.stderr
    assert "crm-pipeline refresh CONNECTION" in query.stderr


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("looks/acme.json", 0),
        ("landing/acme/Contact/windows/0198.json", 0),
        ("landing/acme/Contact/windows/0198.open", 0),
        ("landing/acme/Contact/schemas/ab.refused", 0),
        ("tables/releases/1.json", 1),
        ("tables/releases/old.json", 0),
    ],
)
def test_a_folder_in_place_of_a_file(run: Run, project: Path, path: str, code: int) -> None:
    """The error is a sentence that names it."""
    land(project / "data", "Contact", 3, 3)
    folder = project / "data" / path
    folder.mkdir(parents=True)
    result = run("status")
    assert result.exit_code == code, result.stderr
    if code:
        assert f"{folder} is damaged: it is no file" in result.stderr
    elif path.startswith("landing") and not path.endswith(".open"):
        assert f"{folder.name} is damaged: it is no file" in "".join(result.stdout.split("\n"))


def test_a_file_in_place_of_the_data_folder(run: Run, project: Path) -> None:
    """Commands that only read fail as well, and say that a folder is needed there."""
    (project / "data").write_text("")
    for command in (["status"], ["query", "SELECT 1"], ["db", "url"]):
        result = run(*command)
        assert result.exit_code == 1, command
        assert "a folder is needed there" in result.stderr


def test_how_limits_stand(
    run: Run, database: Database, fresh_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With PostgreSQL there, each limit of the group is shown over its time, in its unit, by member."""
    limits = [
        Limit("credits", 500, 86_400.0, "daily", resets="Asia/Kathmandu", unit="credits"),
        Limit("burst", 40, 86_000.0),
        Limit("places", 8, 1.0, "concurrency", unit="places"),
    ]
    with RateLimiter(database, SystemClock()) as limiter:
        limiter.observe("acme", "credits", 7, 1000)
        for member in ("acme", "north"):
            with limiter.permit("acme", limits, cost={"credits": 3}, member=member):
                pass
    monkeypatch.setenv("CRM_DATABASE_URL", fresh_url)
    lines = [" ".join(line.split()) for line in run("status").stdout.splitlines()]
    text = " ".join(lines)
    assert "budget burst: we spent 2 of our 40 calls in the last 23.9 h; acme 1, north 1" in text
    assert (
        "budget credits: we spent 6 of our 500 credits since midnight in Asia/Kathmandu;"
        " the vendor counts 7 of 1,000; 487 left; acme 3, north 3"
    ) in text
    assert "budget places: 0 of our 8 places under way" in text
    assert "automation:" not in text
    alone = " ".join(run("status", "acme").stdout.split())
    assert re.search(r"automation: about [\d,]+ calls a day where nothing changes", alone)
    assert "It is off" in alone
    acme = json.loads(run("status", "--json").stdout)["connections"][0]
    assert [entry["members"] for entry in acme["budget"]][1] == {"acme": 3, "north": 3}
