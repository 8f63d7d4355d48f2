"""Bridges and merges."""

from pathlib import Path

import duckdb

from crm_pipeline.model.tables import DERIVED
from crm_pipeline.stages.published.derived import derived_tables
from crm_pipeline.stages.published.relations import published_tables
from crm_pipeline.store.tables import Release, Tables

COLUMNS = {
    "deal_contacts": "deal_key, contact_key, roles, is_primary",
    "deal_companies": "deal_key, company_key, roles, is_primary",
    "contact_companies": "contact_key, company_key, roles, is_primary",
    "activity_contacts": "activity_key, contact_key, roles, is_primary",
}
PAIRS = {
    # Both roles of 1, once each, as the deal's end names them; 2 is told by its own end, and is the main contact.
    "deal_contacts": [
        ("acme:deals:1", "acme:contacts:1", ["Boss", "Buyer"], False),
        ("acme:deals:1", "acme:contacts:2", ["Helper"], True),
        # 4 and 5 were merged into 1, once each: the deals still name them.
        ("acme:deals:2", "acme:contacts:1", ["Again", "Merged"], False),
        ("acme:deals:3", "acme:contacts:1", [], True),
    ],
    "deal_companies": [("acme:deals:1", "acme:companies:1", [], True)],
    "contact_companies": [
        ("acme:contacts:1", "acme:companies:1", [], True),
        # `Primary` is no role.
        ("acme:contacts:1", "acme:companies:2", [], True),
    ],
    "activity_contacts": [
        ("acme:activities:1", "acme:contacts:1", [], True),
        ("acme:activities:2", "acme:contacts:2", [], False),
    ],
}


def test_a_pair_is_one_row(related):
    """Pairs come from both ends and the key columns, with all roles, without deleted ends and links; files have the same rows."""
    for name, expected in PAIRS.items():
        sql = f"SELECT {COLUMNS[name]} FROM {{}} ORDER BY ALL"
        assert related.query(sql.format(f"crm.{name}")) == expected
        with duckdb.connect() as other:
            file = related.data / "published" / f"{name}.parquet"
            assert other.execute(sql.format(f"'{file}'")).fetchall() == expected


def test_what_is_left_out_is_counted(related):
    """A deleted end is a note; an end that was never read is a finding."""
    sql = "SELECT table_name, rule, severity, failures, rows, examples FROM ops.quality WHERE failures > 0"
    results = related.query(f"{sql} AND rule LIKE 'both ends%' ORDER BY ALL")
    assert results == [
        ("deal_companies", "both ends are records", "warning", 1, 2, ["acme:deals:2"]),
        ("deal_contacts", "both ends are live records", "note", 1, 6, ["acme:deals:1"]),
        ("deal_contacts", "both ends are records", "warning", 1, 6, ["acme:deals:2"]),
    ]


def test_merged_keys_lead_to_the_survivor(related):
    """Old keys lead to the present record over all merges; a circle gives no row."""
    assert related.query("FROM crm.merges ORDER BY old_key") == [
        ("acme", "contacts", "acme:contacts:4", "acme:contacts:1"),
        ("acme", "contacts", "acme:contacts:5", "acme:contacts:1"),
    ]


def test_unchanged_bridges_are_not_written_again(related):
    """A forced publish does not write files with the same pairs again."""
    file = related.data / "published" / "deal_contacts.parquet"
    before = file.stat().st_mtime_ns
    related.publish(is_forced=True)
    assert file.stat().st_mtime_ns == before


def test_what_tables_are_made_of_is_all_that_their_sql_reads(related):
    """The origins that Dagster shows are the tables whose change changes the derived table."""
    release = related.tables.current()
    for one in derived_tables(published_tables(related.tables, release)):
        read = {
            table
            for name in release.tables
            if Tables.relation(related.tables.version(name, release)) in one.made
            for table in [name.rsplit("/", 1)[1]]
        }
        assert read <= set(DERIVED[one.name])
        # The rows of merges come by the name of the relation that was made of them.
        assert ("made merges" in one.made) == ("merges" in DERIVED[one.name])
        assert read


def test_references_lead_to_the_survivor(related):
    """Key columns name the present record, over all merges; the id beside them stays as the CRM has it."""
    sql = (
        "SELECT deal_key, primary_contact_source_id, primary_contact_key FROM {} ORDER BY deal_key"
    )
    expected = [
        ("acme:deals:1", "2", "acme:contacts:2"),
        ("acme:deals:3", "5", "acme:contacts:1"),
    ]
    with duckdb.connect() as other:
        for rows in (
            related.query(sql.format("crm.deals")),
            other.execute(sql.format(f"'{related.data}/published/deals.parquet'")).fetchall(),
        ):
            assert [row for row in rows if row[1]] == expected
    ends = related.query(
        "SELECT from_source_id, to_source_id, to_key FROM crm.associations "
        "WHERE to_table = 'contacts' AND to_source_id IN ('4', '5')"
    )
    assert ends
    assert {key for _, _, key in ends} == {"acme:contacts:1"}


def test_the_history_of_a_deal_stays_its_own():
    """Stages of a deal that was merged away are not mixed with those of its survivor."""
    history = published_tables(Tables(Path("none")), Release())
    following = {table.name: table.references for table in history}
    assert following["deal_stage_history"] == ()
    assert {"company_key", "primary_contact_key"} <= set(following["deals"])
    assert {"from_key", "to_key"} <= set(following["associations"])
    assert {"contact_key", "lead_key"} <= set(following["campaign_members"])
    assert {"who_key", "what_key", "deal_key"} <= set(following["activities"])
