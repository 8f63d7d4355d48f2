"""Results of rules that follow from the rows that changed are those of a look at all rows."""

import os
from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from crm_pipeline.model.stages import with_added
from crm_pipeline.model.tables import TABLES
from crm_pipeline.stages.published.carried import Carried, ChangedRows, Finding
from crm_pipeline.stages.published.consistency import Consistency
from crm_pipeline.store.tables.engine import Engine

EXAMPLES = int(os.environ.get("CRM_EXAMPLES", "6"))
"""Changes made at random. A campaign: `CRM_EXAMPLES=2000`."""
READ = {"acme": {"contacts", "companies"}, "bare": {"contacts"}}
KEYS = {"contacts": "contact_key", "companies": "company_key"}
Row = dict[str, Any]
World = dict[str, dict[str, Row]]
"""The rows by table and key; deleted ones say so."""
CONTACT = {
    "connection": st.sampled_from(["acme", "acme", "bare"]),
    "full_name": st.sampled_from([None, "Ng"]),
    "email": st.sampled_from([None, " ", "a@b.co"]),
    "email_verdict": st.sampled_from([None, "undeliverable", "undeliverable", "unknown"]),
    "company_key": st.sampled_from([None, "c0", "c1", "c2", "never"]),
    "is_deleted": st.sampled_from([False, False, False, True]),
}
COMPANY = {
    "connection": st.just("acme"),
    "name": st.sampled_from(["Acme", None]),
    "is_deleted": st.booleans(),
}
COMPANIES = st.fixed_dictionaries({f"c{n}": st.fixed_dictionaries(COMPANY) for n in range(3)})
CHANGES = st.dictionaries(
    st.sampled_from([f"k{n:02}" for n in range(30)]), st.fixed_dictionaries(CONTACT), max_size=6
)
USUAL: Row = {
    "connection": "acme",
    "full_name": "Ng",
    "email": "a@b.co",
    "email_verdict": "undeliverable",
    "company_key": "c0",
    "is_deleted": False,
}
ACME: dict[str, Row] = {
    f"c{n}": {"connection": "acme", "name": "Acme", "is_deleted": n == 2} for n in range(3)
}


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """All tables, empty."""
    with Engine(tmp_path_factory.mktemp("carried") / "tmp", threads=1) as engine:
        engine.run("CREATE SCHEMA crm")
        for table in TABLES.values():
            columns = ", ".join(f"{c.name} {c.type}" for c in with_added(table.name, table.columns))
            engine.run(f"CREATE TABLE crm.{table.name} ({columns})")
            engine.run(f"CREATE TABLE crm.{table.name}_deleted ({columns})")
        yield engine


def fill(file: Engine, world: World) -> None:
    for table, rows in world.items():
        cells = [{KEYS[table]: key, **row} for key, row in rows.items()]
        loaded = file.load("rows to fill in", pa.Table.from_pylist(cells))
        for name, condition in ((table, "NOT is_deleted"), (f"{table}_deleted", "is_deleted")):
            file.run(f"DELETE FROM crm.{name}")
            file.run(f"INSERT INTO crm.{name} BY NAME SELECT * FROM {loaded} WHERE {condition}")


def findings(file: Engine, carried: Carried | None = None, *known: Finding) -> list[Finding]:
    if carried is None:
        return Consistency(file, "crm", READ, is_verified=True).findings()
    return Consistency(file, "crm", READ, is_verified=True, carried=carried, known=known).findings()


def changed_rows(file: Engine, table: str, keys: set[str], when: str) -> str:
    listed = ", ".join(f"'{key}'" for key in keys)
    return file.table(
        f"{when} {table}", f"SELECT * FROM crm.{table} WHERE {KEYS[table]} IN ({listed})"
    )


def updated(file: Engine, before: World, now: World) -> list[Finding]:
    """Return the results that follow from those of before and the rows that changed."""
    fill(file, before)
    known = findings(file)
    keys = {
        table: {key for key in {*rows, *now[table]} if rows.get(key) != now[table].get(key)}
        for table, rows in before.items()
    }
    was = {table: changed_rows(file, table, k, "before") for table, k in keys.items() if k}
    fill(file, now)
    changed = {
        table: ChangedRows(
            relation,
            changed_rows(file, table, keys[table], "now"),
            _states(before[table]) == _states(now[table]),
        )
        for table, relation in was.items()
    }
    return findings(file, Carried(TABLES.keys() - changed.keys(), changed), *known)


def _states(rows: Mapping[str, Row]) -> dict[str, bool]:
    return {key: row["is_deleted"] for key, row in rows.items()}


def usual(size: int = 20) -> dict[str, Row]:
    return {f"k{n:02}": USUAL for n in range(size)}


@settings(max_examples=EXAMPLES, deadline=None)
@given(CHANGES, CHANGES, COMPANIES, COMPANIES)
# The first of many examples goes, alone and while a later one comes; one in the middle comes; a target of references goes.
@example({}, {"k00": USUAL | {"email_verdict": "unknown"}, "k25": USUAL}, ACME, ACME)
@example({}, {"k00": USUAL | {"email_verdict": "unknown"}}, ACME, ACME)
@example({"k29": USUAL}, {"k05": USUAL | {"company_key": "never"}}, ACME, ACME)
@example({}, {}, ACME, {**ACME, "c0": {**ACME["c0"], "is_deleted": True}})
def test_results_are_those_of_all_rows(
    file: Engine,
    some: dict[str, Row],
    changes: dict[str, Row],
    companies: dict[str, Row],
    later: dict[str, Row],
) -> None:
    """Whatever changed: failures, checked rows and examples are as if all rows had been looked at."""
    before: World = {"contacts": {**usual(), **some}, "companies": companies}
    now: World = {"contacts": {**before["contacts"], **changes}, "companies": later}
    made = updated(file, before, now)
    assert made == findings(file)


def test_a_table_is_not_read_again(file: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of one changed record among twenty the others are not asked about."""
    before: World = {"contacts": usual(), "companies": ACME}
    now: World = {
        "contacts": {**usual(), "k19": USUAL | {"company_key": "never"}},
        "companies": ACME,
    }

    def whole(_: Consistency, table: str) -> list[Finding]:
        assert table != "contacts", "all rows are read"
        return []

    fill(file, before)
    known = findings(file)
    was = changed_rows(file, "contacts", {"k19"}, "before")
    fill(file, now)
    rows = ChangedRows(was, changed_rows(file, "contacts", {"k19"}, "now"), is_steady=True)
    expected = findings(file)
    monkeypatch.setattr(Consistency, "_of", whole)
    made = findings(file, Carried(TABLES.keys() - {"contacts"}, {"contacts": rows}), *known)
    assert made == expected
