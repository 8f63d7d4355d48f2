from pathlib import Path

import duckdb
import pytest

from crm_pipeline.kernel.clock import Window
from crm_pipeline.kernel.errors import StoreError
from crm_pipeline.model.stages import STAGE_TABLES
from crm_pipeline.model.tables import DERIVED, TABLES
from crm_pipeline.ratelimit.limit_status import LimitStatus
from crm_pipeline.ratelimit.usage import DayUsage
from crm_pipeline.settings import Retention
from crm_pipeline.stages.published import ApiAccounts
from crm_pipeline.store.landing.window import Counts
from crm_pipeline.store.tables import Tables
from crm_pipeline.store.tables.published import open_published


@pytest.fixture
def contacts(org, schema_of):
    """Two contacts, one of them deleted, published."""
    org.schema = schema_of("Contact", "LastName:string:Last Name", "Email:email:Email")
    rows = [
        {"Id": "003A", "LastName": "Ng", "Email": "a@b.co"},
        {"Id": "003B", "LastName": "Li", "IsDeleted": "true"},
    ]
    org.land(org.schema, rows)
    org.normalize("contacts")
    return org


def names(org, sql):
    return [row[0] for row in org.query(sql)]


def test_live_and_deleted_rows_stand_apart(contacts):
    """`crm.<table>` has live rows, `crm.<table>_deleted` the others; files have the same rows."""
    done = contacts.publish()
    assert (done.changed, done.rows["contacts"], done.deleted["contacts"]) == (True, 1, 1)
    assert names(contacts, "SELECT last_name FROM crm.contacts") == ["Ng"]
    assert names(contacts, "SELECT last_name FROM crm.contacts_deleted") == ["Li"]
    files = contacts.data / "published"
    for name, expected in (("contacts", "Ng"), ("contacts_deleted", "Li")):
        with duckdb.connect() as other:
            sql = f"SELECT last_name FROM '{files / name}.parquet'"
            assert other.execute(sql).fetchall() == [(expected,)]


def test_every_common_table_is_there(contacts):
    """Queries written for one org run on another that lacks an object."""
    contacts.publish()
    found = names(contacts, "SELECT table_name FROM duckdb_tables() WHERE schema_name = 'crm'")
    deleted = {f"{name}_deleted" for name in TABLES if name not in DERIVED}
    assert set(found) == {*TABLES, *DERIVED, *STAGE_TABLES, *deleted}


def test_everything_has_a_comment(contacts):
    """Every table, view and column has a comment."""
    contacts.publish()
    silent = contacts.query(
        "SELECT table_name FROM duckdb_tables() WHERE comment IS NULL "
        "UNION ALL SELECT view_name FROM duckdb_views() WHERE NOT internal AND comment IS NULL "
        "UNION ALL SELECT table_name || '.' || column_name FROM duckdb_columns() "
        "WHERE NOT internal AND coalesce(comment, '') = ''"
    )
    assert silent == []


def test_the_same_release_is_published_once(contacts):
    """Nothing is written if nothing changed; a forced publish builds again."""
    first = contacts.publish()
    written_at = first.path.stat().st_mtime_ns
    files = {p: p.stat().st_mtime_ns for p in (contacts.data / "published").iterdir()}
    again = contacts.publish()
    assert (again.changed, again.path, again.path.stat().st_mtime_ns) == (
        False,
        first.path,
        written_at,
    )
    forced = contacts.publish(is_forced=True)
    assert forced.changed
    assert {p: p.stat().st_mtime_ns for p in (contacts.data / "published").iterdir()} == files


def test_findings_are_those_of_the_file(related):
    """A publish returns the results of the rules that its file has."""
    made, shown = related.publish(is_forced=True), related.publish()
    assert (made.changed, shown.changed) == (True, False)
    assert made.findings == shown.findings != ()


def test_a_failed_publish_leaves_the_old_one(contacts, schema_of, monkeypatch):
    """After a failure readers keep the earlier file, and no temporary file is left."""
    first = contacts.publish()
    contacts.land(contacts.schema, [{"Id": "003C", "LastName": "New"}])
    contacts.normalize("contacts")

    def fail(*args: object, **kwargs: object) -> None:
        raise StoreError("the disk is full.")

    with monkeypatch.context() as patch:
        patch.setattr("crm_pipeline.store.files.replacing", fail)
        with pytest.raises(StoreError):
            contacts.publish()
    assert contacts.query("SELECT count(*) FROM crm.contacts") == [(1,)]
    assert [p.name for p in (contacts.data / "snapshots").glob("*.duckdb")] == [first.path.name]
    assert contacts.publish().rows["contacts"] == 2


def test_files_of_one_connection_are_shared_with_the_table(org, schema_of):
    """The file of one connection is published as it is; with a second connection the file has the rows of both."""
    schema = schema_of("Campaign", "Name")
    org.land(
        schema, [{"Id": "701A", "Name": "Ng"}, {"Id": "701B", "Name": "Li", "IsDeleted": "true"}]
    )
    org.normalize("campaigns")
    org.publish()
    version = org.tables.version("normalized/acme/campaigns")
    files = [org.data / "published" / f"{n}.parquet" for n in ("campaigns", "campaigns_deleted")]
    assert [a.samefile(b) for a, b in zip(files, version.base, strict=True)] == [True, True]
    org.land(schema, [{"Id": "701Z", "Name": "Za"}], connection="other")
    org.normalize("campaigns", "other")
    org.publish()
    with duckdb.connect() as other:
        found = [other.execute(f"SELECT name FROM '{f}' ORDER BY 1").fetchall() for f in files]
    assert found == [[("Ng",), ("Za",)], [("Li",)]]


def test_mixed_files_are_never_shared(contacts):
    """A table with live and deleted rows in one file is still published as two files."""
    current = contacts.tables.version("normalized/acme/contacts")
    with contacts.tables.stage(current.name, current.key) as staged:
        with contacts.engine() as engine:
            engine.copy_to(f"SELECT * FROM {contacts.tables.relation(current)}", staged.path())
        staged.commit(current, current.rows, current.meta)
    contacts.publish()
    for name, expected in (("contacts", "Ng"), ("contacts_deleted", "Li")):
        path = contacts.data / "published" / f"{name}.parquet"
        with duckdb.connect() as other:
            assert other.execute(f"SELECT last_name FROM '{path}'").fetchall() == [(expected,)]


def test_long_texts_are_stored_with_zstd(org, schema_of):
    """Long text that hardly repeats takes a third of the space of DuckDB's own choice; other columns keep that."""
    wide = schema_of("Contact", "LastName:string:Last Name", "Notes__c:string:Notes")
    notes = " ".join(f"{n * 7919 % 1000003:x}" for n in range(400))
    rows = [{"Id": f"003{n:06}", "LastName": "Ng", "Notes__c": f"{n}{notes}"} for n in range(2500)]
    org.land(wide, rows)
    org.normalize("contacts")
    org.publish()
    stored = dict(
        org.query(
            "SELECT column_name, list(DISTINCT compression) FROM pragma_storage_info('crm.contacts') "
            "WHERE segment_type = 'VARCHAR' AND column_name IN ('custom', 'last_name') GROUP BY ALL"
        )
    )
    assert [name.lower() for name in stored["custom"]] == ["zstd"]
    assert "zstd" not in [name.lower() for name in stored["last_name"]]


def test_of_two_publishers_the_older_release_gives_way(contacts):
    """A publish that is overtaken by a later release changes neither the database nor the files."""

    class Overtaken(list[DayUsage]):
        def __iter__(self):
            contacts.land(contacts.schema, [{"Id": "003C", "LastName": "New"}])
            contacts.normalize("contacts")
            contacts.later = contacts.publish()
            return super().__iter__()

    done = contacts.publish(accounts=ApiAccounts(days=Overtaken()))
    assert (done.changed, done.path) == (False, contacts.later.path)
    assert done.release == contacts.later.release > 1
    assert names(contacts, "SELECT last_name FROM crm.contacts ORDER BY 1") == ["New", "Ng"]
    path = contacts.data / "published" / "contacts.parquet"
    with duckdb.connect() as other:
        assert other.execute(f"SELECT count(*) FROM '{path}'").fetchall() == [(2,)]
    assert list((contacts.data / "snapshots").glob("*.duckdb")) == [contacts.later.path]


def test_a_release_that_comes_while_tables_are_checked_stays(contacts, monkeypatch):
    """A later release that another process publishes during a build is not rolled back."""
    contacts.publish()
    contacts.land(contacts.schema, [{"Id": "003C", "LastName": "New"}])
    contacts.normalize("contacts")
    current = Tables.current

    def overtaken(tables):
        release = current(tables)
        monkeypatch.setattr(Tables, "current", current)
        contacts.land(contacts.schema, [{"Id": "003D", "LastName": "Newest"}])
        contacts.normalize("contacts")
        contacts.later = contacts.publish()
        return release

    monkeypatch.setattr(Tables, "current", overtaken)
    done = contacts.publish()
    assert (done.changed, done.path) == (False, contacts.later.path)
    assert done.release == contacts.later.release > 2
    assert names(contacts, "SELECT last_name FROM crm.contacts ORDER BY 1") == [
        "New",
        "Newest",
        "Ng",
    ]


def test_views_carry_human_names(org, schema_of):
    """A view has one typed column per source field; shared labels carry the API name."""
    org.land(
        schema_of(
            "Account",
            "Name:string:Account Name",
            "AnnualRevenue:currency:Revenue",
            "Revenue__c:currency:Revenue",
            "Since__c:date:Customer since",
            'Big__c:boolean:Is it "big"?',
            "MasterRecordId:reference:Master:Account",
        ),
        [
            {
                "Id": "001A",
                "Name": "Acme",
                "AnnualRevenue": "5",
                "Revenue__c": "7.5",
                "Since__c": "2020-02-03",
                "Big__c": "true",
                "MasterRecordId": "001B",
            }
        ],
    )
    org.normalize("companies")
    org.publish()
    with open_published(org.data) as database:
        relation = database.sql("SELECT * FROM crm_acme.account")
        described_columns = list(zip(relation.columns, map(str, relation.types), strict=True))
        (row,) = relation.fetchall()
    assert described_columns == [
        ("Record ID", "VARCHAR"),
        ("Deleted", "BOOLEAN"),
        ("Created Date", "TIMESTAMP WITH TIME ZONE"),
        ("Account Name", "VARCHAR"),
        ("Revenue (AnnualRevenue)", "DECIMAL(24,6)"),
        ("Revenue (Revenue__c)", "DECIMAL(24,6)"),
        ("Customer since", "DATE"),
        ('Is it "big"?', "BOOLEAN"),
        ("Master", "VARCHAR"),
        ("System Modstamp", "TIMESTAMP WITH TIME ZONE"),
        ("unconverted", "VARCHAR[]"),
        ("crm_key", "VARCHAR"),
    ]
    assert [str(v) for v in row[3:9]] == [
        "Acme",
        "5.000000",
        "7.500000",
        "2020-02-03",
        "True",
        "001B",
    ]
    assert row[-1] == "acme:Account:001A"


def test_custom_objects_have_table_and_view(org, schema_of):
    """A custom object is published by its name, and as a view by its labels."""
    invoice = schema_of("Invoice__c", "Name:string:Number", "Total__c:currency:Total")
    org.land(invoice, [{"Id": "a01A", "Name": "INV-1", "Total__c": "2.5"}])
    org.normalize("invoice")
    org.publish()
    assert [float(r[0]) for r in org.query("SELECT total FROM crm.invoice")] == [2.5]
    assert org.query('SELECT "Number" FROM crm_acme.invoice') == [("INV-1",)]


def test_operations_are_published(contacts, schema_of):
    """Schema ops has windows, batches, versions, rules, schema changes and budgets."""
    wider = schema_of(
        "Contact", "LastName:string:Last Name", "Email:email:Email", "Vip__c:boolean:VIP"
    )
    contacts.land(wider, [{"Id": "003C", "LastName": "Wu", "Email": "bad", "Vip__c": "true"}])
    contacts.normalize("contacts")
    at = contacts.clock.now()
    days = [DayUsage("group", "acme", at.date(), "query", 25, 75, "credits")]
    limits = [
        LimitStatus(
            "group", "daily", "daily", 90, 40, 0, 100, 80, 120, at, "credits", 86_400.0, "UTC", {}
        ),
        LimitStatus(
            "group", "burst", "rolling", 1, 1, 0, 19, None, None, None, "calls", 2.0, "", {}
        ),
    ]
    contacts.publish(accounts=ApiAccounts(days, limits))
    assert contacts.query("SELECT count(*), sum(records) FROM ops.windows") == [(2, 3)]
    assert contacts.query("SELECT count(*), sum(records) FROM ops.batches") == [(2, 3)]
    assert contacts.query("SELECT table_name, rows, live FROM ops.tables") == [("contacts", 3, 2)]
    facts = "connection, object, field, kind, new, change, state, policy, decided_by"
    assert contacts.query(f"SELECT number, {facts} FROM ops.schema_changes") == [
        (
            *(1, "acme", "Contact", "Vip__c", "added", "'VIP', boolean"),
            *("Contact.Vip__c is new ('VIP', boolean)", "accepted", "evolve", "policy"),
        )
    ]
    rule = "SELECT failures, examples FROM ops.quality WHERE rule = 'email is not an address'"
    assert contacts.query(rule) == [(1, ["acme:Contact:003C"])]
    assert contacts.query("FROM ops.api_usage") == [
        ("acme", "group", at.date(), "query", 25, 75, "credits")
    ]
    assert contacts.query("SELECT * EXCLUDE observed_at FROM ops.api_limits") == [
        ("group", "daily", "daily", "credits", "UTC", 90, 100, 80, 120),
        ("group", "burst", "rolling", "calls", None, 1, 19, None, None),
    ]
    release = contacts.tables.current().number
    assert contacts.query("SELECT release FROM ops.publication") == [(release,)]
    where = "SELECT column_name, view_column FROM ops.fields WHERE field IN ('Email', 'Vip__c')"
    assert contacts.query(f"{where} ORDER BY field") == [("email", "Email"), (None, "VIP")]


def test_windows_say_by_how_much_they_differ(contacts):
    """differs_by compares the read with the counts before and after, without records that the vendor does not count."""
    for counts in (
        Counts(vendor_count=4, vendor_count_before=2, known=3),
        Counts(vendor_count=5, known=3, uncounted=1),
        Counts(vendor_count=9, vendor_count_before=12, known=3),
    ):
        contacts.clock.advance(60)
        window = Window(None, contacts.clock.now())
        with contacts.landing.begin("acme", "Contact", window, contacts.schema) as writer:
            writer.commit(counts)
    contacts.publish()
    columns = "vendor_count_before, vendor_count, known, uncounted, differs_by"
    assert contacts.query(f"SELECT {columns} FROM ops.windows ORDER BY committed_at") == [
        (None, None, 0, 0, None),
        (2, 4, 3, 0, 0),
        (None, 5, 3, 1, 3),
        (12, 9, 3, 0, 6),
    ]


def test_rules_judge_live_rows(contacts):
    """A deleted row breaks no rule; a row that lacks what every row needs does, deleted or not."""
    rows = [
        {"Id": "003C", "LastName": "Wu", "Email": "bad", "IsDeleted": "true"},
        {"Id": "003D", "LastName": "", "Email": "bad"},
    ]
    contacts.land(contacts.schema, rows)
    contacts.normalize("contacts")
    contacts.publish()
    broken = "SELECT rule, failures, rows, examples FROM ops.quality WHERE failures > 0 ORDER BY 1"
    assert contacts.query(broken) == [
        ("email is not an address", 1, 2, ["acme:Contact:003D"]),
        ("last_name is empty", 1, 2, ["acme:Contact:003D"]),
    ]


def test_connections_may_disagree_on_a_custom_type(org, schema_of):
    """Two orgs with the same custom object and different types meet as text."""
    org.land(schema_of("Plan__c", "Size__c:int"), [{"Id": "a1", "Size__c": "5"}], connection="acme")
    org.land(schema_of("Plan__c", "Size__c"), [{"Id": "a1", "Size__c": "XL"}], connection="globex")
    org.normalize("plan", "acme")
    org.normalize("plan", "globex")
    org.publish()
    assert names(org, "SELECT size FROM crm.plan ORDER BY 1") == ["5", "XL"]


def test_an_open_reader_keeps_its_release(contacts):
    """An open reader keeps its snapshot, even after the file is removed."""
    first = contacts.publish()
    with open_published(contacts.data) as reader:
        for number in range(2):
            contacts.land(contacts.schema, [{"Id": f"new {number}", "LastName": "New"}])
            contacts.normalize("contacts")
            contacts.publish(retention=Retention(1, 0))
        assert not first.path.exists()
        assert reader.sql("SELECT last_name FROM crm.contacts").fetchall() == [("Ng",)]
    assert contacts.query("SELECT count(*) FROM crm.contacts") == [(3,)]


def test_no_reader_before_the_first_publish(tmp_path: Path):
    """Opening before the first publish says what to do."""
    with pytest.raises(StoreError, match="nothing has been published"):
        open_published(tmp_path)


def test_what_is_read_no_more_is_not_published(org, schema_of):
    """A table that is no longer read, or has been renamed, is not published beside its successor."""
    old = schema_of("Invoice__c", "Amount__c")
    org.land(old, [{"Id": "a1", "Amount__c": "1"}])
    org.normalize("invoice")
    org.publish()
    org.land(schema_of("Invoice", "Amount"), [{"Id": "b1", "Amount": "2"}])
    tables = org.table_names()
    for table in tables:
        org.normalize(table)
    org.publish(wanted={f"normalized/acme/{table}" for table in tables})
    assert "invoice" not in tables
    assert names(org, "SELECT view_name FROM duckdb_views() WHERE schema_name = 'crm_acme'")
    found = names(
        org,
        "SELECT table_name FROM duckdb_tables() WHERE schema_name = 'crm' AND table_name LIKE 'invoice%' ORDER BY 1",
    )
    assert [name for name in found if not name.endswith("_deleted")] == sorted(tables)
    assert org.publish(wanted=set()).changed
    assert names(org, "SELECT table_name FROM duckdb_tables() WHERE table_name LIKE 'inv%'") == []
