from __future__ import annotations

from collections import defaultdict

import pytest

from crm_sandbox import SandboxServer
from crm_sandbox.vocabulary import NASTY_VALUES
from crm_sandbox_tests.conftest import NOW

RATIOS = {
    "Accounts": 1 / 8, "Contacts": 1, "Leads": 1 / 4, "Deals": 1 / 6, "DealHistory": 4 / 6,
    "Tasks": 1 / 2, "Events": 1 / 8, "Calls": 1 / 4, "Notes": 1 / 3, "Cases": 1 / 8,
    "Service_Contracts": 1 / 10,
}  # fmt: skip


@pytest.mark.parametrize(("name", "ratio"), RATIOS.items())
@pytest.mark.parametrize("account", ["main", "second"])
def test_sizes(zoho, name: str, ratio: float, account: str) -> None:
    """Every module has its size relative to the contacts, in both orgs."""
    org = zoho.zoho.org(account)
    count = org.tables.value(f'SELECT count(*) FROM "{name}"')
    assert 0.85 * ratio * 300 <= count <= 1.15 * ratio * 300


@pytest.mark.parametrize("account", ["main", "second"])
def test_lookups_lead_somewhere(zoho, account: str) -> None:
    """Every lookup of every module names a record that there is or was."""
    org = zoho.zoho.org(account)
    checked = 0
    for module in org.modules:
        for one in module.columns:
            if not one.is_lookup:
                continue
            values = (
                org.tables.cursor()
                .execute(
                    f'SELECT DISTINCT "{one.stored}" FROM "{module.stored}" WHERE "{one.stored}" IS NOT NULL'
                )
                .fetchall()
            )
            for (value,) in values:
                table = org.ids.table_of(value)
                assert one.target in {table, "se_module"}
                assert org.tables.value(f'SELECT 1 FROM "{table}" WHERE id = ?', [value]) == 1
                checked += 1
    assert checked > 500


def test_stamps_are_ordered(zoho) -> None:
    """Created <= modified <= now for every row of every module."""
    for module in zoho.zoho.org("main").modules:
        if not module.columns:
            continue
        for row in zoho.zoho.rows(module.name, include_deleted=True):
            stamps = [row[k] for k in ("Created_Time", "Modified_Time") if k in row]
            assert stamps == sorted(stamps)
            assert all(stamp <= zoho.sandbox.world.now for stamp in stamps)


def test_same_seed_same_rows(zoho) -> None:
    """Another sandbox with the same seed has the same rows, another seed has not."""
    same, other = (
        SandboxServer(contacts=300, seed=seed, now=zoho.sandbox.world.now, vendors=["zoho"])
        for seed in (7, 8)
    )
    for name in ("Contacts", "DealHistory", "Quoted_Items"):
        assert same.emulations["zoho"].rows(name) == zoho.zoho.rows(name)  # type: ignore[attr-defined]
        assert other.emulations["zoho"].rows(name) != zoho.zoho.rows(name)  # type: ignore[attr-defined]
    same.stop()
    other.stop()


def test_history_tells_the_deal(zoho) -> None:
    """The open row of a deal's history is its present state, and rows are closed in order of time."""
    changes = defaultdict(list)
    for row in zoho.zoho.rows("DealHistory"):
        changes[row["Potential_Name"]].append(row)
    deals = zoho.zoho.rows("Deals")
    assert {deal["id"] for deal in deals} == set(changes)
    for deal in deals:
        steps = changes[deal["id"]]
        stamps = [step["Modified_Time"] for step in steps]
        assert stamps == sorted(stamps)
        assert [step["Moved_To__s"] is None for step in steps] == [False] * (len(steps) - 1) + [
            True
        ]
        for field in ("Stage", "Amount", "Probability"):
            assert steps[-1][field] == deal[field]
        assert steps[-1]["Close_Date"] == deal["Closing_Date"]


def test_lines_add_up(zoho) -> None:
    """A quote's lines add up to its total."""
    totals: dict[str, float] = defaultdict(float)
    for row in zoho.zoho.rows("Quoted_Items"):
        totals[row["Parent_Id"]] += row["Net_Total"]
    quotes = {row["id"]: row["Grand_Total"] for row in zoho.zoho.rows("Quotes")}
    assert totals == quotes != {}


def test_nasty_values(zoho) -> None:
    """Every awkward value of the world arrives unchanged through the API."""
    rows = zoho.everything("/Contacts", fields="Legacy_Code")
    assert set(NASTY_VALUES) <= {row["Legacy_Code"] for row in rows}


def test_merge_losers(zoho) -> None:
    """Losers of merges have ended and point to living winners."""
    org = zoho.zoho.org("main")
    rows = org.tables.rows('SELECT id, _ended, _master FROM "Contacts"')
    ended = {row["id"]: row["_ended"] for row in rows}
    losers = [row for row in rows if row["_master"] is not None]
    assert losers
    for loser in losers:
        assert loser["_ended"] in {"recycle", "permanent"}
        assert ended[loser["_master"]] is None


def test_a_burst_and_ids() -> None:
    """Statement 20: more than 2,000 contacts share one Modified_Time; ids have 19 digits beyond 2^53."""
    with SandboxServer(contacts=5_000, seed=7, now=NOW, vendors=["zoho"]) as sandbox:
        tables = sandbox.emulations["zoho"].org("main").tables  # type: ignore[attr-defined]
        most = tables.value(
            'SELECT max(n) FROM (SELECT count(*) AS n FROM "Contacts" WHERE _ended IS NULL '
            'GROUP BY "Modified_Time")'
        )
        assert most > 2_000
        assert tables.value('SELECT min(id) FROM "Contacts"') > 2**53
        assert tables.value('SELECT DISTINCT length(id::VARCHAR) FROM "Contacts"') == 19


def test_both_orgs_know_the_same_people(zoho) -> None:
    """The orgs draw from the same persons, but have cards of their own."""
    mine, other = (zoho.zoho.identities("Contacts", account=key) for key in ("main", "second"))
    assert len({one["person"] for one in mine} & {one["person"] for one in other}) > 200
    assert not {one["id"] for one in mine} & {one["id"] for one in other}
    emails = [
        {row["id"]: row["Email"] for row in zoho.zoho.rows("Contacts", account=key)}
        for key in ("main", "second")
    ]
    assert set(emails[0].values()) != set(emails[1].values())
    with pytest.raises(ValueError, match="holds no people"):
        zoho.zoho.identities("Accounts")


def test_nothing_is_filled_at_open() -> None:
    """An org is filled when somebody first asks, and not before."""
    with SandboxServer(contacts=60, now=NOW, vendors=["zoho"]) as sandbox:
        apis = sandbox.emulations["zoho"].apis  # type: ignore[attr-defined]
        assert all(not api.org.tables.is_filled for api in apis.values())
        assert sandbox.emulations["zoho"].count("Contacts") > 50  # type: ignore[attr-defined]
        assert [not api.org.tables.is_filled for api in apis.values()] == [False, True]
