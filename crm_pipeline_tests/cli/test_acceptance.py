"""`accept-shrink`, and what `status` says before it."""

import json
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from crm_pipeline.kernel.clock import SystemClock, Window
from crm_pipeline.model.schema import Field, Schema
from crm_pipeline.store.landing import Landing, acceptance
from crm_pipeline.store.landing.manifest import Shrink
from crm_pipeline.store.landing.records import TIMESTAMP
from crm_pipeline.store.landing.rejects import Reject
from crm_pipeline.store.landing.window import Counts
from crm_pipeline.store.tables import Tables
from crm_pipeline_tests.cli.conftest import Run

SCHEMA = Schema("Contact", "Contact", (Field("Id", "ID", "id"),))
SHRINK = Shrink(before=33, missing=33, is_empty=True)


@pytest.fixture
def landing(project: Path) -> Landing:
    return Landing(project / "data", SystemClock())


def land(landing: Landing, shrink: Shrink | None = None, ids: str = "") -> str:
    """Land a whole read of records with ids of one letter."""
    now = landing.clock.now()
    with landing.begin("demo", "Contact", Window(None, now), SCHEMA) as writer:
        if ids:
            batch = {
                "_source_id": pa.array(list(ids), pa.string()),
                "_modified_at": pa.array([None] * len(ids), TIMESTAMP),
                "_deleted": pa.array([False] * len(ids), pa.bool_()),
                "record": pa.array(["{}"] * len(ids), pa.string()),
            }
            writer.write(
                [pa.RecordBatch.from_pydict(batch)], shape="json", route="x", extracted_at=now
            )
        writer.commit(Counts(complete=True, present=now, shrink=shrink))
    return writer.window_id


@pytest.fixture
def doubted(landing: Landing) -> str:
    """A whole read, and one that is not believed."""
    land(landing)
    return land(landing, SHRINK)


def test_a_read_is_shown_and_accepted(run: Run, landing: Landing, doubted: str) -> None:
    """Status names the read with the command; the command says what will go; status does not name it afterwards."""
    output = run("status").output
    assert "the read was empty, and there were 33 records" in output
    assert "crm-pipeline accept-shrink demo Contact" in output
    [demo] = [
        entry
        for entry in json.loads(run("status", "--json").output)["connections"]
        if entry["connection"] == "demo"
    ]
    kinds = {
        obj["object"]: [remark["kind"] for remark in obj["remarks"]] for obj in demo["objects"]
    }
    assert kinds == {"Account": [], "Contact": ["shrink"]}
    done = run("accept-shrink", "demo", "Contact", "--yes")
    assert done.exit_code == 0
    assert "33 live rows will be marked as deleted." in done.output
    assert [window.proves_absence for window in landing.windows("demo", "Contact")] == [True, True]
    assert "33 records" not in run("status").output
    again = run("accept-shrink", "demo", "Contact", "--yes")
    assert (again.exit_code, "nothing to accept" in again.output) == (0, True)


@pytest.mark.parametrize(
    ("left", "expected"),
    [
        ("", "9 live rows will be marked as deleted."),
        ("ij", "7 live rows will be marked as deleted; the other 2 are marked so already."),
        ("a", "9 live rows will be marked as deleted."),
    ],
)
def test_only_live_rows_are_counted(run: Run, landing: Landing, left: str, expected: str) -> None:
    """Records that are listed although the table has them as deleted, such as owners who left, cannot go."""
    land(landing, ids="abcdefghij")
    tables = Tables(landing.root)
    with tables.stage("normalized/demo/contacts", ("contact_key",)) as staged:
        rows = {
            "object": ["Contact"] * 10 + ["Lead"],
            "source_id": [*"abcdefghij", "b"],
            "is_deleted": [letter in left for letter in "abcdefghij"] + [True],
        }
        pq.write_table(pa.table(rows), staged.path())
        staged.commit(None, 11, {"columns": [{"name": name} for name in rows]})
    land(landing, Shrink(before=10, missing=9), ids="a")
    done = run("accept-shrink", "demo", "Contact", "--yes")
    assert done.exit_code == 0
    assert expected in done.output.replace("\n", " ")


def test_all_missing_records_are_counted(run: Run, landing: Landing) -> None:
    """Of several lists the one that lost most is named, and the rows of all of them; a read that also holds what
    nobody can name deletes nothing before that can be read."""
    land(landing)
    shrink = Shrink(before=150, missing=150, part="archived", is_empty=True, in_all=200)
    now = landing.clock.now()
    with landing.begin("demo", "Contact", Window(None, now), SCHEMA) as writer:
        writer.quarantine([Reject("bad", b"x")])
        writer.commit(Counts(complete=True, present=now, shrink=shrink))
    done = run("accept-shrink", "demo", "Contact", "--yes")
    assert "there were 150 records (200 are missing in all)" in done.output
    assert (
        "200 live rows will be marked as deleted, once 1 records of it can be read" in done.output
    )
    assert "no record that the read lacks counts as deleted" in run("status").output


def test_a_script_is_not_prompted(run: Run, landing: Landing, doubted: str) -> None:
    """Without a terminal and without --yes nothing is accepted, and the exit code is 2."""
    done = run("accept-shrink", "demo", "Contact")
    assert done.exit_code != 0
    assert not landing.windows("demo", "Contact")[-1].is_accepted


@pytest.mark.parametrize("reply", ["y", "n"])
def test_a_person_is_prompted(
    run: Run, landing: Landing, doubted: str, monkeypatch: pytest.MonkeyPatch, reply: str
) -> None:
    """Only a yes accepts."""
    monkeypatch.setattr("crm_pipeline.cli.prompts.is_interactive", lambda: True)
    done = run("accept-shrink", "demo", "Contact", input=f"{reply}\n")
    assert done.exit_code == (0 if reply == "y" else 1)
    assert landing.windows("demo", "Contact")[-1].is_accepted is (reply == "y")


def test_a_description(run: Run, landing: Landing) -> None:
    """A description that lost its fields is accepted in the same way."""
    land(landing)
    folder = landing.folder("demo", "Contact")
    at = landing.clock.now() + timedelta(seconds=1)
    acceptance.refuse_schema(folder, acceptance.Refused("abc", 40, 45, at))
    assert "lacks 40 of 45 fields" in run("status").output
    assert run("accept-shrink", "demo", "Contact", "--yes").exit_code == 0
    assert acceptance.is_schema_accepted(folder, "abc", at - timedelta(minutes=1))
    assert "lacks 40" not in run("status").output


def test_lists(run: Run, landing: Landing) -> None:
    """So are lists that one read emptied, which the table built from them names."""
    window_id = land(landing)
    doubt = {"object": "Contact", "list": "links", "kind": "deals", "window_id": window_id}
    tables = Tables(landing.root)
    with tables.stage("normalized/demo/associations", ("key",)) as staged:
        staged.commit(None, 0, {"doubts": [{**doubt, "records": 12, "rows": 24}]})
    assert "emptied 'links' of 'deals' of many records at once" in run("status").output
    assert run("accept-shrink", "demo", "Contact", "--yes").exit_code == 0
    assert landing.windows("demo", "Contact")[-1].is_accepted
    assert "emptied" not in run("status").output


@pytest.mark.parametrize("names", [("nobody", "Contact"), ("demo", "Contcat")])
def test_unknown_names(run: Run, landing: Landing, names: tuple[str, str]) -> None:
    """The error for a typo lists the objects that there are."""
    done = run("accept-shrink", *names, "--yes")
    assert done.exit_code == 2
