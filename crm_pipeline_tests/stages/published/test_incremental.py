"""A file that was brought up to date equals one that is built from nothing, whatever changed in between."""

import os
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import duckdb
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from crm_pipeline.kernel.failpoint import armed, watching
from crm_pipeline.model.schema import Field
from crm_pipeline.model.stages import VERIFIED
from crm_pipeline.model.verified_tables import CONTACT_POINTS
from crm_pipeline.settings import Retention
from crm_pipeline.stages.published import Publication
from crm_pipeline.store import files
from crm_pipeline.store.erasing.subject import Subject
from crm_pipeline.store.tables.erasing import SnapshotsStore
from crm_pipeline.store.tables.published import record_of
from crm_pipeline.store.tables.replacement import write_replaced
from crm_pipeline_tests.rot.flips import flip_bit
from crm_pipeline_tests.stages.conftest import Org
from crm_pipeline_tests.stages.published.conftest import OPTIONS, WORLD, land, schema_of
from crm_pipeline_tests.stages.published.judged import judge, point, write

EXAMPLES = int(os.environ.get("CRM_EXAMPLES", "1"))
"""Refreshes made at random; the two below it come on top. A campaign: `CRM_EXAMPLES=200`."""
IS_CAMPAIGN = "CRM_EXAMPLES" in os.environ
LINES = {
    table: [line.split(maxsplit=1) for line in text.strip().splitlines()]
    for table, text in WORLD.items()
}
NUMBERS = {table: [line[0] for line in lines] for table, lines in LINES.items()}


def contents(path: Path) -> dict[str, Any]:
    """Return all that a file has: columns, comments and rows of tables and views, whatever their order."""
    with duckdb.connect(str(path), read_only=True) as file:
        file.execute("SET TimeZone = 'UTC'")
        columns = file.execute(
            "SELECT schema_name || '.' || table_name, column_name, data_type, comment FROM duckdb_columns() "
            "WHERE NOT internal ORDER BY schema_name, table_name, column_index"
        ).fetchall()
        about = file.execute(
            "SELECT schema_name || '.' || table_name, comment FROM duckdb_tables() UNION ALL "
            "SELECT schema_name || '.' || view_name, comment FROM duckdb_views() WHERE NOT internal"
        ).fetchall()
        found: dict[str, Any] = {"columns": columns, "comments": sorted(about)}
        for name, _ in about:
            schema, _, table = name.partition(".")
            rows = file.execute(f'SELECT * FROM "{schema}"."{table}"').fetchall()
            found[name] = sorted(map(repr, rows))
    return found


def in_full(org: Org, folder: Path, **options: Any) -> Path:
    """Publish a copy of the world from nothing, and return the file."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(org.data, folder / "data", symlinks=True)
    copy = Org(folder / "data")
    copy.clock.advance((org.clock.now() - copy.clock.now()).total_seconds())
    done = copy.publish(is_forced=True, **options)
    assert done.built == "full"
    return done.path


class Change(NamedTuple):
    """One record that is read again: whose number, with the cells of which one, and what became of it."""

    table: str
    number: str
    cells: str
    is_deleted: bool = False
    merged_into: str = ""


def changes() -> st.SearchStrategy[Change]:
    def of(table: str) -> st.SearchStrategy[Change]:
        numbers = NUMBERS[table]
        cells = st.sampled_from([line[1] for line in LINES[table]])
        merged = st.sampled_from(["", "", "", *numbers])
        return st.builds(
            Change, st.just(table), st.sampled_from([*numbers, "90"]), cells, st.booleans(), merged
        )

    return st.sampled_from(sorted(WORLD)).flatmap(of)


def change(org: Org, made: Sequence[Change], turn: int) -> None:
    """Read records again; contacts get an address, and deals a pick list with another label."""
    for one in made:
        cells = dict(cell.split("=", 1) for cell in one.cells.split())
        cells |= {"archived": str(one.is_deleted).lower(), "email": f"p{turn}@x.co"}
        cells |= {"merged": one.merged_into} if one.merged_into else {}
        cells["updatedAt"] = f"2026-02-{turn + 1:02}T00:00:00Z"
        options = (
            (("odd", f"Odd {turn % 2}"),) if one.table == "deals" else OPTIONS.get(one.table, ())
        )
        text = " ".join([one.number, *(f"{name}={cell}" for name, cell in cells.items())])
        land(org, one.table, text, options=options)
    for table in {one.table for one in made}:
        org.normalize(table)
    if any(one.table == "contacts" for one in made):
        judge_again(org, [one.number for one in made if one.table == "contacts"], turn)


def judge_again(org: Org, numbers: Sequence[str], turn: int) -> None:
    """Replace the contact points of some contacts, as the stage does."""
    points = [
        point(f"acme:contacts:{number}", "email", f"p{turn}@x.co", ("risky", "unknown")[turn % 2])
        for number in set(numbers)
    ]
    name = VERIFIED.stored_name(CONTACT_POINTS.name)
    parent = org.tables.version(name)
    assert parent is not None
    with org.engine() as engine, org.tables.stage(name, CONTACT_POINTS.key) as staged:
        fresh = org.data / "points.parquet"
        write(CONTACT_POINTS, points, str(fresh))
        rows = f"read_parquet('{fresh}')"
        keys = f"(SELECT DISTINCT record_key FROM {rows})"
        count = write_replaced(engine, staged, parent, keys, rows)
        staged.commit(parent, count, {**parent.meta, "live": count})


def check(org: Org, folder: Path, **options: Any) -> Publication:
    """Publish the world as it is, and compare the file with one that is built from nothing."""
    expected = contents(in_full(org, folder, **options))
    done = org.publish(**options)
    made = contents(done.path)
    assert made.keys() == expected.keys()
    for name, rows in expected.items():
        assert made[name] == rows, name
    return done


def copied(source: Org, folder: Path) -> Org:
    shutil.copytree(source.data, folder / "data", symlinks=True)
    org = Org(folder / "data")
    org.clock.advance((source.clock.now() - org.clock.now()).total_seconds())
    org.maps = source.maps
    org.objects = {name: set(objects) for name, objects in source.objects.items()}
    return org


@pytest.fixture(scope="module")
def judged(related: Org, tmp_path_factory: pytest.TempPathFactory) -> Org:
    """A copy of the world with contact points, published."""
    org = copied(related, tmp_path_factory.mktemp("judged"))
    judge(org, [point("acme:contacts:2", "email", "p@x.co", "risky")])
    org.publish()
    return org


@pytest.fixture
def world(judged: Org, tmp_path: Path) -> Org:
    return copied(judged, tmp_path)


@settings(max_examples=EXAMPLES, deadline=None)
# The pipeline of a deal is that of its history; a contact is gone, and so are its links; then a stage is renamed.
@example(
    [
        [
            Change("deals", "2", "pipeline=P1 stage=done company=9"),
            Change("contacts", "1", "last_name=Ng", is_deleted=True),
        ],
        [Change("stages", "2", "pipeline=P1 name=done label=Renamed is_closed=true is_won=true")],
    ]
)
# A contact is merged, a link is gone, a deleted contact is back; then a rate changes.
@example(
    [
        [
            Change("contacts", "2", "last_name=Li", is_deleted=True, merged_into="1"),
            Change("contacts", "3", "last_name=Back"),
            Change(
                "associations",
                "3",
                "from_table=deals from_id=1 to_table=contacts to_id=1",
                is_deleted=True,
            ),
        ],
        [
            Change("exchange_rates", "2", "currency=USD rate=2"),
            Change("contacts", "2", "last_name=Li"),
        ],
    ]
)
@given(st.lists(st.lists(changes(), min_size=1, max_size=4), min_size=1, max_size=2))
def test_after_any_changes_the_file_is_that_of_a_full_build(
    judged: Org, turns: list[list[Change]]
) -> None:
    """Edits, deletions, restored and merged records, stages, rates, labels, verdicts: all is as in a full build.

    The file after the last turn shows what any turn got wrong, unless a later one mends it; a campaign looks after each.
    """
    with TemporaryDirectory() as folder:
        org = copied(judged, Path(folder))
        for turn, made in enumerate(turns):
            change(org, made, turn)
            is_compared = IS_CAMPAIGN or turn == len(turns) - 1
            done = check(org, Path(folder) / "full") if is_compared else org.publish()
            assert done.built == "incremental"


def test_references_follow_a_merge_that_comes_later_and_one_that_is_undone(world: Org) -> None:
    """Where only a contact was merged, records that refer to it and were not read again follow, and go back later."""
    sql = "SELECT primary_contact_key FROM crm.deals WHERE deal_key = 'acme:deals:1'"
    for text, key in (
        ("2 archived=true merged=1 updatedAt=2026-02-01T00:00:00Z", "acme:contacts:1"),
        ("2 last_name=Li updatedAt=2026-02-02T00:00:00Z", "acme:contacts:2"),
    ):
        land(world, "contacts", text)
        world.normalize("contacts")
        assert world.publish().built == "incremental"
        assert world.query(sql) == [(key,)]
        with duckdb.connect() as other:
            file = world.data / "published" / "deals.parquet"
            assert other.execute(sql.replace("crm.deals", f"'{file}'")).fetchall() == [(key,)]


def test_a_field_that_is_new_is_in_its_view(world: Org, tmp_path: Path) -> None:
    """A view whose columns changed is replaced in the copy, with its comments; the others stay."""
    schema = schema_of("companies")
    wider = replace(schema, fields=(*schema.fields, Field("size", "Size of it", "text")))
    world.land_records(
        wider, [{"id": "1", "name": "Acme", "size": "9", "updatedAt": "2026-03-01T00:00:00Z"}]
    )
    world.normalize("companies")
    assert check(world, tmp_path / "full").built == "incremental"
    assert world.query('SELECT "Size of it" FROM crm_acme.companies WHERE "Size of it" = 9') == [
        ("9",)
    ]


def test_connections_come_and_go_with_full_builds(world: Org) -> None:
    """Another connection, and one that is read no more, change the tables and schemas of the file."""
    kept = set(world.tables.current().tables)
    land(world, "companies", "1 name=Far", connection="other")
    world.normalize("companies", "other")
    views = "SELECT schema_name FROM duckdb_views() WHERE view_name = 'companies' AND schema_name LIKE 'crm\\_%' ESCAPE '\\'"
    for options, names in (({}, ["acme", "other"]), ({"wanted": kept}, ["acme"])):
        done = world.publish(**options)
        assert done.built == "full"
        assert "other tables" in done.why
        rows = world.query("SELECT DISTINCT connection FROM crm.companies ORDER BY 1")
        assert [name for (name,) in rows] == names
        shown = {schema for (schema,) in world.query(views)} - {"crm_history"}
        assert shown == {f"crm_{name}" for name in names}


@pytest.mark.parametrize("place", [4_100, 300_000])
def test_a_damaged_file_is_not_brought_up_to_date(world: Org, place: int) -> None:
    """Whatever part of the last file is damaged, the next one is built from nothing, and says so."""
    shown = (world.data / "crm.duckdb").resolve()
    flip_bit(shown, place)
    change(world, [Change("companies", "1", "name=New")], 0)
    done = world.publish()
    assert (done.built, done.why) == ("full", f"{shown.name} is damaged")
    assert world.query("SELECT name FROM crm.companies WHERE source_id = '1'") == [("New",)]


def test_without_a_note_nothing_is_brought_up_to_date(world: Org) -> None:
    """A file of an earlier version, or whose note is gone, is followed by a full build."""
    shown = (world.data / "crm.duckdb").resolve()
    shown.with_name(f"{shown.name}.json").unlink()
    change(world, [Change("companies", "1", "name=New")], 0)
    assert world.publish().why == "it is not known what the last file was built from"


def test_a_last_full_build_that_lies_in_the_future(world: Org) -> None:
    """A clock that was ahead once does not put off full builds until then."""
    record = record_of((world.data / "crm.duckdb").resolve())
    noted = files.read_json(record)
    made_of = {**noted["made_of"], "full_at": "2030-01-01T00:00:00Z"}
    files.write_json(record, {**noted, "made_of": made_of})
    change(world, [Change("companies", "1", "name=New")], 0)
    done = world.publish()
    assert (done.built, done.why) == (
        "full",
        "the last full build is too long ago, or the clock was set back since",
    )


@pytest.mark.parametrize("point_name", ["snapshot_copy.copied", "snapshot_copy.applied"])
def test_an_interrupted_publish_leaves_the_last_file(world: Org, point_name: str) -> None:
    """After an error in the middle readers have the last file, nothing is left over, and the next publish does it."""
    shown = (world.data / "crm.duckdb").resolve()
    before = shown.read_bytes()
    change(world, [Change("companies", "1", "name=New")], 0)
    with watching(armed(f"{point_name}:1:full")), pytest.raises(Exception, match="disk is full"):
        world.publish()
    assert (world.data / "crm.duckdb").resolve() == shown
    assert shown.read_bytes() == before
    assert list((world.data / "snapshots").glob(".*")) == []
    assert world.publish().built == "incremental"


def test_a_comparison_tells_what_differs(world: Org) -> None:
    """A full build that is asked for is compared with the incremental one: a difference is named, and the full one wins."""
    change(world, [Change("companies", "1", "name=New")], 0)
    assert world.publish(is_compared=True).differences == ()
    shown = (world.data / "crm.duckdb").resolve()
    with duckdb.connect(str(shown)) as file:
        file.execute("UPDATE crm.contacts SET last_name = 'Wrong' WHERE source_id = '1'")
    world.tables.verifier.remember(shown, _noted(shown))
    change(world, [Change("companies", "1", "name=Newer")], 1)
    done = world.publish(is_compared=True)
    assert (done.built, done.differences) == ("full", ("crm.contacts",))
    assert world.query("SELECT last_name FROM crm.contacts WHERE source_id = '1'") == [("Ng",)]


def _noted(shown: Path) -> Any:
    """Note the checksums of a file anew, so that it counts as whole."""
    from crm_pipeline.store import files
    from crm_pipeline.store.files.blocks import BlockSums
    from crm_pipeline.store.tables.published import made_of, record_of

    sums = BlockSums.of(shown)
    record = {**sums.to_dict(), "made_of": dict(made_of(shown))}
    files.write_json(record_of(shown), record)
    return sums


def test_an_erasure_leaves_no_bytes_of_former_rows(world: Org, tmp_path: Path) -> None:
    """A changed copy keeps bytes of replaced rows until an erasure, of whomever, or a full build writes it anew.

    What the name was before stands in the history, too, as in a file that is built from nothing.
    """
    for turn, name in enumerate(("Zanzibaria", "New")):
        change(world, [Change("companies", "1", f"name={name}")], turn)
        assert world.publish(retention=Retention(1, 0)).built == "incremental"
    shown = (world.data / "crm.duckdb").resolve()
    in_history = in_full(world, tmp_path / "full").read_bytes().count(b"Zanzibaria")
    assert shown.read_bytes().count(b"Zanzibaria") > in_history > 0
    SnapshotsStore(world.data).erase(Subject(addresses=frozenset({"no@one.example"})), apply=True)
    assert shown.read_bytes().count(b"Zanzibaria") == in_history
    assert world.query("SELECT name FROM crm.companies WHERE source_id = '1'") == [("New",)]


def test_large_parquet_files_follow_once_a_day(world: Org, monkeypatch: pytest.MonkeyPatch) -> None:
    """By default a large file waits for a day or a full build, and its record says which release it holds."""
    monkeypatch.setattr("crm_pipeline.stages.published.parquet.AT_ONCE_ROWS", 2)
    path = world.data / "published" / "deals.parquet"
    world.publish(is_forced=True)

    def amount() -> Any:
        [(found,)] = duckdb.execute(f"SELECT amount FROM '{path}' WHERE source_id = '1'").fetchall()
        return found

    def publish(turn: int, mode: str = "daily") -> Any:
        change(world, [Change("deals", "1", f"amount={turn}")], turn)
        world.publish(retention=Retention(parquet=mode))
        return amount() if path.exists() else "no file"

    assert publish(1) is None
    assert publish(2, "each") == 2
    world.clock.advance(86_400)
    assert publish(3) == 3
    assert publish(4, "off") == "no file"


@pytest.mark.parametrize("email", ["p@x.co", "q@x.co", ""])
def test_a_verdict_stays_beside_its_own_address(world: Org, tmp_path: Path, email: str) -> None:
    """A contact is read again and its points are not: a verdict is kept for the address that was judged only.

    Then it is deleted, and back, so that no earlier live row tells of its verdict. The whole file is compared then.
    """
    for turn, is_deleted in enumerate(("false", "true", "false")):
        cells = f"last_name=New{turn} archived={is_deleted} updatedAt=2026-03-0{turn + 1}T00:00:00Z"
        land(world, "contacts", f"2 {cells} email={email}")
        world.normalize("contacts")
        done = check(world, tmp_path / "full") if turn == 2 else world.publish()
        assert done.built == "incremental"
        with duckdb.connect(str(done.path), read_only=True) as file:
            rows = file.execute(
                "SELECT email_verdict FROM crm.contacts WHERE contact_key = 'acme:contacts:2'"
            ).fetchall()
        expected = [("risky" if email == "p@x.co" else None,)]
        assert rows == ([] if is_deleted == "true" else expected)
