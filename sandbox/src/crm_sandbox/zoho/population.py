"""Fill an org: from the vendor-neutral world to one table per module.

Each module gets a staging relation; the fields of `modules/` say how their values are made from it.
"""

from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from crm_sandbox.companies import noise
from crm_sandbox.deals import STAGES
from crm_sandbox.kernel.staging import filling, seconds, with_life
from crm_sandbox.stamps import as_datetimes
from crm_sandbox.world import World
from crm_sandbox.zoho.accounts import Account
from crm_sandbox.zoho.engagement import stage_activities, stage_campaigns, stage_quotes
from crm_sandbox.zoho.ids import IdScheme
from crm_sandbox.zoho.schema import Module
from crm_sandbox.zoho.staging import (
    PRODUCT_COUNT,
    USER_COUNT,
    Staging,
    days,
)

# The vendor's own chances of the eight stages.
PROBABILITIES = (10, 20, 40, 60, 75, 90, 100, 0)
_BIN = "INTERVAL 60 DAY"


def fill(
    connection: duckdb.DuckDBPyConnection,
    world: World,
    account: Account,
    ids: IdScheme,
    modules: list[Module],
) -> None:
    """Create and fill the table of every module, then let go of the staging relations."""
    staging = Staging(connection, world, account, ids)
    by_table = {one.stored: one for one in modules}
    with filling(connection, world):
        _stage_users(staging)
        _stage_products(staging)
        _stage_parties(staging)
        _stage_deals(staging)
        stage_campaigns(staging)
        stage_activities(staging)
        stage_quotes(staging)
        for table, source in staging.relations.items():
            if table in by_table:
                connection.execute(_create(by_table[table], source, staging))
            else:
                connection.execute(f'CREATE TABLE "{table}" AS SELECT * FROM {source} ORDER BY i')
        # A deal takes its history along.
        connection.execute(
            'UPDATE "DealHistory" h SET _ended = d._ended, _ended_at = d._ended_at FROM "Deals" d '
            'WHERE d.id = h."Potential_Name" AND d._ended IS NOT NULL'
        )
    staging.clear()


def _create(module: Module, source: str, staging: Staging) -> str:
    tag = f"'{staging.ids.setting('tag', 'Fair 2026')}'"
    columns = []
    for one in module.columns:
        value = (one.sql or "NULL").replace("$long_text", "getvariable('long_text')")
        columns.append(f'({value.replace("tag_id", tag)})::{one.column_type} AS "{one.stored}"')
    now = f"TIMESTAMP '{staging.world.now:%Y-%m-%d %H:%M:%S}'"
    ended = (
        f"CASE WHEN NOT deleted THEN NULL WHEN touched > {now} - {_BIN} THEN 'recycle' "
        "ELSE 'permanent' END"
    )
    master = "master_id" if module.stored in {"Contacts", "Leads"} else "NULL"
    columns += [
        f'({ended})::VARCHAR AS "_ended"',
        '(CASE WHEN deleted THEN touched END)::TIMESTAMP AS "_ended_at"',
        f'({master})::BIGINT AS "_master"',
    ]
    return f'CREATE TABLE "{module.stored}" AS SELECT {", ".join(columns)} FROM {source} ORDER BY i'


def _stage_users(staging: Staging) -> None:
    rng = staging.rng("users")
    first = ["Ada", "Grace", "Linus", "Zoë", "Renée", "Søren", "Mia", "Omar", "Yuki", "Igor"]
    last = ["Park", "Okafor", "Lindqvist", "Haddad", "Novák", "Silva", "Meyer", "Rossi", "Kim"]
    numbers = np.arange(USER_COUNT)
    staging.add(
        "Users",
        with_life(rng, staging.world, USER_COUNT)
        | noise(rng, USER_COUNT)
        | {
            "given": pa.array([first[k % len(first)] for k in numbers]),
            "family": pa.array([last[k % len(last)] for k in numbers]),
            "email": pa.array([f"user{k}@sandbox.example" for k in numbers]),
            "status": pa.array(["disabled" if k % 6 == 5 else "active" for k in numbers]),
            "manager_id": staging.ids.many("Users", np.where(numbers == 0, -1, numbers // 6)),
        },
    )


def _stage_products(staging: Staging) -> None:
    rng = staging.rng("products")
    kinds = (
        "Seat",
        "Support Hour",
        "Sensor",
        "Workshop",
        "Connector",
        "Reporting",
        "Router",
        "Audit",
    )
    names = [f"{kinds[k % len(kinds)]} {'ABCDE'[k // len(kinds)]}" for k in range(PRODUCT_COUNT)]
    staging.add(
        "Products",
        with_life(rng, staging.world, PRODUCT_COUNT)
        | noise(rng, PRODUCT_COUNT)
        | {
            "name": pa.array(names),
            "code": pa.array([f"P-{k:04d}" for k in range(PRODUCT_COUNT)]),
            "price": np.round(rng.lognormal(5.5, 1.0, PRODUCT_COUNT), 2),
        },
    )


def _columns(table: pa.Table) -> dict[str, Any]:
    return {name: table[name] for name in table.column_names}


def _stage_parties(staging: Staging) -> None:
    companies = staging.world.companies()
    ids = staging.ids
    numbers, draw = companies["i"].to_numpy(), companies["r6"].to_numpy()
    # One company in eight belongs to an earlier one.
    parent = np.where((draw % 8 == 0) & (numbers > 0), draw // 8 % np.maximum(numbers, 1), -1)
    staging.add(
        "Accounts",
        _columns(companies)
        | {
            "parent_id": ids.many("Accounts", parent),
            "deleted": np.zeros(len(numbers), dtype=bool),
        },
    )
    contacts = staging.world.contact_cards(staging.account.crm, companies)
    staging.contact_company = contacts["company"].to_numpy()
    staging.contact_deleted = contacts["deleted"].to_numpy()
    staging.add(
        "Contacts",
        _columns(contacts)
        | {
            "account_id": ids.many("Accounts", staging.contact_company),
            "master_id": ids.many("Contacts", contacts["master"].to_numpy()),
        },
    )
    _stage_leads(staging, companies, contacts)


def _stage_leads(staging: Staging, companies: pa.Table, contacts: pa.Table) -> None:
    leads = staging.world.lead_cards(staging.account.crm, companies)
    ids = staging.ids
    first_card = np.full(int(contacts["person"].to_numpy().max()) + 1, -1)
    first_card[contacts["person"].to_numpy()[::-1]] = contacts["i"].to_numpy()[::-1]
    person = leads["person"].to_numpy()
    known = np.where(
        person < len(first_card), first_card[np.minimum(person, len(first_card) - 1)], -1
    )
    converted = np.where((leads["r6"].to_numpy() % 2 == 0) & (known >= 0), known, -1)
    account = np.where(converted >= 0, staging.contact_company[converted], -1)
    staging.lead_count = leads.num_rows
    staging.add(
        "Leads",
        _columns(leads)
        | {
            "company_name": companies["name"].take(leads["company"]),
            "industry": companies["industry"].take(leads["company"]),
            "master_id": ids.many("Leads", leads["master"].to_numpy()),
            "converted_contact_id": ids.many("Contacts", converted),
            "converted_account_id": ids.many("Accounts", account),
        },
    )


def _stage_deals(staging: Staging) -> None:
    steps = staging.world.deal_steps(staging.account.crm)
    pipelines = staging.account.pipelines
    stage = steps["stage"].to_numpy()
    line = (steps["r1"].to_numpy() % 4 == 0).astype(np.int64) % len(pipelines)
    names = pa.array([name for one in pipelines for name in one.stages])
    named = names.take(pa.array(line * len(STAGES) + stage))
    last = steps["last"].to_numpy()
    at = seconds(steps["at"])
    # A row is stamped when the deal enters its stage. Where it went, and after how many days, is known when it left.
    left = np.where(last, at, np.append(at[1:], 0))
    following = np.where(last, -1, np.arange(1, len(last) + 1))
    common = {
        "stage_name": named,
        "pipeline_name": pa.array([one.name for one in pipelines]).take(pa.array(line)),
        "probability": np.array(PROBABILITIES)[stage],
        "is_lost": np.array([one.closed and not one.won for one in STAGES])[stage],
        "deleted": np.zeros(steps.num_rows, dtype=bool),
    }
    staging.add(
        "DealHistory",
        _columns(steps)
        | common
        | {
            "i": np.arange(steps.num_rows),
            "deal_id": staging.ids.many("Deals", steps["deal"].to_numpy()),
            "moved_to": named.take(pa.array(following, mask=following < 0)),
            "left_at": pa.array(as_datetimes(left), mask=last),
            "touched": as_datetimes(at),
        },
    )
    current = pa.table(_columns(steps) | common).filter(steps["last"])
    _stage_current_deals(staging, current)


def _stage_current_deals(staging: Staging, current: pa.Table) -> None:
    rng, ids = staging.rng("deals now"), staging.ids
    count = current.num_rows
    staging.deal_company = current["company"].to_numpy()
    staging.deal_created = seconds(current["created"])
    staging.deal_amount = current["amount"].to_numpy()
    at = seconds(current["at"])
    later = np.minimum(at + rng.integers(0, 86_400 * 5, count), staging.world.epoch - 90)
    stamps = as_datetimes(np.maximum(later, at))
    closed = np.array([one.closed for one in STAGES])[current["stage"].to_numpy()]
    staging.choose_contacts(staging.rng("people of deals"))
    staging.add(
        "Deals",
        _columns(current)
        | {
            "i": np.arange(count),
            "account_id": ids.many("Accounts", staging.deal_company),
            "contact_id": ids.many("Contacts", staging.deal_contact),
            "campaign_id": ids.many("Campaigns", staging.deal_campaign),
            "sales_days": pa.array(days(at - staging.deal_created), mask=~closed),
            "modified": stamps,
            "touched": stamps,
            "deleted": rng.random(count) < 0.015,
        },
        'SELECT s.*, a."Account_Name" AS account_name FROM {source} s '
        'LEFT JOIN "Accounts" a ON a.id = s.account_id',
    )
