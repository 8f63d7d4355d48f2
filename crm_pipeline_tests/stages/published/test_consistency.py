"""Rules between tables: each finds its planted fault, and no rule finds anything in correct tables."""

from collections.abc import Iterator

import pytest

from crm_pipeline.model.tables import TABLES
from crm_pipeline.stages.published.consistency import FILLED, LEAST_ROWS, Consistency
from crm_pipeline.store.tables.engine import Engine

DEALS = 12
READ = {"acme": set(TABLES), "bare": {"deals"}}
LAST_ROW = "stage is that of the last history row"
CURRENCY = "currency is that of the deal"
LAST_MOVE = "stage_changed_at is that of the last history row, within 5 s"


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """Deals that were open and then won, each with the records that it refers to."""
    with Engine(tmp_path_factory.mktemp("file") / "tmp", threads=1) as engine:
        engine.run("CREATE SCHEMA crm")
        for table in TABLES.values():
            columns = ", ".join(f"{c.name} {c.type}" for c in table.columns)
            engine.run(f"CREATE TABLE crm.{table.name} ({columns})")
            engine.run(f"CREATE TABLE crm.{table.name}_deleted ({columns})")
        common = "'acme' AS connection, i::VARCHAR AS source_id, now() AS created_at, now() AS modified_at"
        many = f"FROM range({DEALS}) t(i)"
        rows = {
            "users": f"{common}, 'u' || i AS user_key, 'Ng' AS full_name, 'a@b.co' AS email, true AS is_active {many}",
            "companies": f"{common}, 'c' || i AS company_key, 'u1' AS owner_key, 'Acme' AS name {many}",
            "stages": (
                f"{common}, 's' || i AS stage_key, 'p' AS pipeline_key, ['begin', 'won'][i + 1] AS name, "
                "'Label' AS label, i AS position, i = 1 AS is_closed, i = 1 AS is_won FROM range(2) t(i)"
            ),
            "pipelines": f"{common}, 'p' AS pipeline_key, 'p' AS name, 'P' AS label FROM range(1) t(i)",
            "deals": (
                f"{common}, 'd' || i AS deal_key, 'p' AS pipeline_key, 'won' AS stage, 'Won' AS stage_label, "
                "'c' || i AS company_key, 'u1' AS owner_key, 'Deal' AS name, 5 AS amount, 5 AS amount_main, 'EUR' AS currency, "
                "DATE '2026-01-02' AS close_date, true AS is_closed, true AS is_won, "
                f"TIMESTAMPTZ '2026-01-02 00:00:04Z' AS stage_changed_at {many}"
            ),
            "deal_stage_history": (
                f"'acme' AS connection, i::VARCHAR AS source_id, 'h' || i AS deal_stage_history_key, "
                "'d' || (i // 3) AS deal_key, 'p' AS pipeline_key, ['begin', 'won', 'won'][i % 3 + 1] AS stage, "
                # The last row is another change of a deal that stays where it is.
                "'EUR' AS currency, 1 AS amount, 'L' AS stage_label, TIMESTAMPTZ '2026-01-01 00:00:00Z' + to_days((i % 3)::INT) AS changed_at, "
                "TIMESTAMPTZ '2026-01-01 00:00:00Z' + to_days(least(i % 3, 1)::INT) AS entered_at "
                f"FROM range({3 * DEALS}) t(i)"
            ),
        }
        for table, sql in rows.items():
            engine.run(f"INSERT INTO crm.{table} BY NAME SELECT {sql}")
        yield engine


def broken(file: Engine) -> dict[tuple[str, str], tuple[str, int, tuple[str, ...]]]:
    found = Consistency(file, "crm", READ).findings()
    return {(f.table, f.rule): (f.severity, f.failures, f.examples) for f in found if f.failures}


def test_what_agrees_is_no_finding(file: Engine) -> None:
    """Every rule is checked, and each holds."""
    found = Consistency(file, "crm", READ).findings()
    asked = {(f.table, f.rule): f.rows for f in found}
    assert broken(file) == {}
    assert asked["deals", LAST_ROW] == asked["deals", LAST_MOVE] == DEALS
    assert asked["deals", "is_closed is that of the stage"] == DEALS
    assert asked["deal_stage_history", CURRENCY] == 3 * DEALS
    assert asked["deals", "company_key is a record of companies"] == DEALS
    assert {f"{name} is filled" for name in FILLED["deals"]} <= {
        rule for table, rule in asked if table == "deals"
    }
    # Too few to tell.
    assert ("stages", "label is filled") not in asked


FAULTS = {
    "stage": (
        "UPDATE crm.deals SET stage = 'begin', is_closed = false, is_won = false WHERE deal_key = 'd3'",
        {("deals", LAST_ROW): ("warning", 1, ("d3",))},
    ),
    "stamps of one second": (
        (
            "UPDATE crm.deal_stage_history SET changed_at = '2026-01-01 00:00:00Z', entered_at = '2026-01-01 00:00:00Z' "
            "WHERE deal_key = 'd3'"
        ),
        # Of equal stamps the id decides; the later ones say when it came.
        {("deals", LAST_MOVE): ("warning", 1, ("d3",))},
    ),
    "a clock": (
        "UPDATE crm.deals SET stage_changed_at = '2026-01-02 00:00:06Z' WHERE deal_key IN ('d1', 'd2')",
        {("deals", LAST_MOVE): ("warning", 2, ("d1", "d2"))},
    ),
    "another currency": (
        (
            "UPDATE crm.deal_stage_history SET currency = 'USD' WHERE deal_stage_history_key = 'h4'; "
            "INSERT INTO crm.deal_line_items BY NAME SELECT 'acme' AS connection, 'l' || i AS deal_line_item_key, "
            "'d1' AS deal_key, 1 AS unit_price, [NULL, 'EUR', 'USD'][i] AS currency FROM range(1, 4) t(i)"
        ),
        {
            ("deal_stage_history", CURRENCY): ("warning", 1, ("h4",)),
            ("deal_line_items", CURRENCY): ("warning", 1, ("l3",)),
            ("deal_line_items", "currency is known where that of the deal is"): (
                "note",
                1,
                ("l1",),
            ),
        },
    ),
    "closed": (
        "UPDATE crm.deals SET is_closed = false, is_won = false WHERE deal_key = 'd5'",
        {
            ("deals", "is_closed is that of the stage"): ("warning", 1, ("d5",)),
            ("deals", "is_won is that of the stage"): ("warning", 1, ("d5",)),
        },
    ),
    "a key of nobody": (
        "UPDATE crm.deals SET owner_key = 'u99' WHERE deal_key = 'd1'",
        {("deals", "owner_key is a record of users"): ("warning", 1, ("d1",))},
    ),
    "a key of somebody deleted": (
        "UPDATE crm.deals SET owner_key = 'u_gone' WHERE deal_key = 'd1'",
        {("deals", "owner_key is a live record of users"): ("note", 1, ("d1",))},
    ),
    "a key of another table": (
        "UPDATE crm.deals SET company_key = owner_key",
        {
            ("deals", "company_key is a record of companies"): (
                *("warning", DEALS),
                ("d0", "d1", "d10", "d11", "d2"),
            )
        },
    ),
    "an empty column": (
        (
            "UPDATE crm.deals SET amount = NULL, stage_label = NULL WHERE deal_key <> 'd1'; "
            "UPDATE crm.deals SET amount = NULL"
        ),
        {("deals", "amount is filled"): ("warning", DEALS, ())},
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_found(file: Engine, fault: str) -> None:
    """A planted fault is found with the number of rows and their keys, and nothing else is."""
    sql, expected = FAULTS[fault]
    file.run("INSERT INTO crm.users_deleted BY NAME SELECT 'u_gone' AS user_key")
    file.run("BEGIN")
    try:
        for statement in sql.split("; "):
            file.run(statement)
        assert broken(file) == expected
    finally:
        file.rollback()
    assert broken(file) == {}


def test_every_column_that_should_be_filled_is_asked_about(file: Engine) -> None:
    """Each declared column exists, and is a finding if it is empty in all rows of a connection."""
    for table, names in FILLED.items():
        assert set(names) <= set(TABLES[table].by_name)
    file.run("BEGIN")
    try:
        file.run(
            f"INSERT INTO crm.deals BY NAME SELECT 'bare' AS connection, 'b' || i AS deal_key, 'u9' AS owner_key "
            f"FROM range({LEAST_ROWS}) t(i)"
        )
        found = Consistency(file, "crm", READ).findings()
    finally:
        file.rollback()
    empty = {f.rule for f in found if f.connection == "bare" and f.failures}
    # No users are read there, so nothing is known of owners.
    assert empty == {f"{name} is filled" for name in FILLED["deals"] if name != "owner_key"}


def test_a_crm_that_closes_by_status_is_not_asked(file: Engine) -> None:
    """Where no stage is closed, a lost deal stays in its stage."""
    file.run("BEGIN")
    try:
        file.run("UPDATE crm.stages SET is_closed = false, is_won = false")
        found = Consistency(file, "crm", READ).findings()
    finally:
        file.rollback()
    assert [f.rule for f in found if "that of the stage" in f.rule] == []
