"""Fill the org: from the vendor-neutral world to one table per object.

Each object gets a staging relation; the fields of `objects/` say how their values are made from it.
"""

from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from crm_sandbox.companies import noise
from crm_sandbox.deals import STAGES, split_amounts
from crm_sandbox.kernel.staging import filling, seconds
from crm_sandbox.salesforce.engagement import stage_activities, stage_campaigns
from crm_sandbox.salesforce.ids import make_ids
from crm_sandbox.salesforce.objects import ALL_OBJECTS
from crm_sandbox.salesforce.objects.parties import LEAD_STATUSES
from crm_sandbox.salesforce.schema import CURRENCIES, SObject
from crm_sandbox.salesforce.staging import Staging, with_life
from crm_sandbox.world import World

USER_COUNT = 25
PRODUCT_COUNT = 40
_ROLES = ("Chief Executive", "Sales Director", "Sales Representative", "Marketing", "Support")
# Worth of a US dollar. Dated rates begin with the years, and end with the next one.
_RATES = dict(
    zip(CURRENCIES, (1.0, 0.92, 0.79, 149.5, 5.4, 3.95, 41.8, 41.2, 3.6725, 7.12), strict=True)
)
_YEARS = range(2015, 2027)
_FOR_EVER = "9999-12-31"
_ORDER = (
    "User",
    "UserRole",
    "LeadStatus",
    "CurrencyType",
    "DatedConversionRate",
    "Organization",
    "OpportunityStage",
    "UserPermissionAccess",
    "Account",
    "Contact",
    "Lead",
    "Product2",
    "Pricebook2",
    "PricebookEntry",
    "OpportunityLineItem",
    "Opportunity",
    "OpportunityHistory",
    "OpportunityContactRole",
    "CampaignMember",
    "Campaign",
    "Task",
    "Event",
    "Case",
    "Invoice__c",
)


def fill(connection: duckdb.DuckDBPyConnection, world: World) -> None:
    """Create and fill the table of every object, then let go of the staging relations."""
    staging = Staging(connection, world, USER_COUNT)
    by_name = {one.name: one for one in ALL_OBJECTS}
    with filling(connection, world):
        _stage_setup(staging)
        _stage_parties(staging)
        _stage_products(staging)
        _stage_deals(staging)
        stage_campaigns(staging)
        stage_activities(staging)
        for name in _ORDER:
            connection.execute(_create(by_name[name], staging.relations[name]))
    staging.clear()


def _create(sobject: SObject, source: str) -> str:
    columns = []
    for one in sobject.fields:
        if one.is_compound:
            continue
        value = (one.sql or "NULL").replace("$long_text", "getvariable('long_text')")
        columns.append(f'({value})::{one.column_type} AS "{one.stored}"')
    return f'CREATE TABLE "{sobject.name}" AS SELECT {", ".join(columns)} FROM {source} ORDER BY i'


def _stage_setup(staging: Staging) -> None:
    world = staging.world
    rng = world.rng("salesforce users")
    people = noise(rng, USER_COUNT)
    first = ["Ada", "Grace", "Linus", "Zoë", "Renée", "Søren", "Mia", "Omar", "Yuki", "Igor"]
    last = ["Park", "Okafor", "Lindqvist", "Haddad", "Novák", "Silva", "Meyer", "Rossi", "Kim"]
    given = [first[k % len(first)] for k in range(USER_COUNT)]
    family = [last[k % len(last)] for k in range(USER_COUNT)]
    numbers = np.arange(USER_COUNT)
    staging.add(
        "User",
        with_life(rng, world, USER_COUNT)
        | people
        | {
            "given": pa.array(given),
            "family": pa.array(family),
            "username": pa.array([f"user{k}@sandbox.example" for k in range(USER_COUNT)]),
            "email": pa.array([f"user{k}@sandbox.example" for k in range(USER_COUNT)]),
            "alias": pa.array([f"user{k}"[:8] for k in range(USER_COUNT)]),
            "active": pa.array([k % 6 != 5 for k in range(USER_COUNT)]),
            "manager_id": make_ids("005", np.where(numbers == 0, -1, numbers // 6)),
            # Nobody has to have a role.
            "role_id": make_ids("00E", np.where(numbers % 7 == 6, -1, numbers % len(_ROLES))),
        },
        "005",
    )
    staging.add("Organization", with_life(rng, world, 1), "00D")
    staging.add("UserPermissionAccess", with_life(rng, world, 1), "0QK")
    stages: dict[str, Any] = {
        key: pa.array([getattr(stage, key) for stage in STAGES])
        for key in ("name", "closed", "won", "forecast", "probability")
    }
    staging.add("OpportunityStage", with_life(rng, world, len(STAGES)) | stages, "01J")
    _stage_lists(staging)


def _stage_lists(staging: Staging) -> None:
    """Stage roles, lead statuses and currencies."""
    world, rng = staging.world, staging.world.rng("salesforce lists")
    roles = np.arange(len(_ROLES))
    parents = make_ids("00E", np.where(roles == 0, -1, np.maximum(roles - 1, 0)))
    named = {"name": pa.array(_ROLES), "parent_id": parents}
    staging.add("UserRole", with_life(rng, world, len(_ROLES)) | named, "00E")
    statuses = {
        "name": pa.array(list(LEAD_STATUSES)),
        "label": pa.array(list(LEAD_STATUSES.values())),
    }
    staging.add("LeadStatus", with_life(rng, world, len(LEAD_STATUSES)) | statuses, "01M")
    codes = {"code": pa.array(list(_RATES)), "rate": np.array(list(_RATES.values()))}
    staging.add("CurrencyType", with_life(rng, world, len(_RATES)) | codes, "01L")
    # The corporate currency has no dated rates: it is worth itself on each day.
    foreign = [(code, rate) for code, rate in _RATES.items() if code != "USD"]
    dated = [
        (code, f"{year}-01-01", f"{year + 1}-01-01", round(rate * (1 + (year % 5) / 50), 6))
        for code, rate in foreign
        for year in _YEARS
    ]
    code, starts, ends, rate = zip(*dated, strict=True)
    last = f"{_YEARS[-1] + 1}-01-01"
    rates = {
        "code": pa.array(code),
        "starts_on": pa.array(starts),
        "next_starts_on": pa.array([_FOR_EVER if end == last else end for end in ends]),
        "rate": np.array(rate),
    }
    staging.add("DatedConversionRate", with_life(rng, world, len(dated)) | rates, "04w")


def _stage_parties(staging: Staging) -> None:
    world = staging.world
    companies = world.companies()
    numbers = companies["i"].to_numpy()
    draw = companies["r6"].to_numpy()
    # One company in eight belongs to an earlier one.
    parent = np.where((draw % 8 == 0) & (numbers > 0), draw // 8 % np.maximum(numbers, 1), -1)
    staging.add(
        "Account",
        staging.columns(companies)
        | {"parent_id": make_ids("001", parent), "deleted": np.zeros(len(numbers), dtype=bool)},
        "001",
    )
    contacts = world.contact_cards("salesforce", companies)
    staging.contact_company = contacts["company"].to_numpy()
    staging.contact_deleted = contacts["deleted"].to_numpy()
    staging.add(
        "Contact",
        staging.columns(contacts)
        | {
            "account_id": make_ids("001", staging.contact_company),
            "master_id": make_ids("003", contacts["master"].to_numpy()),
            "currency": companies["currency"].take(contacts["company"]),
        },
        "003",
    )
    _stage_leads(staging, companies, contacts)


def _stage_leads(staging: Staging, companies: pa.Table, contacts: pa.Table) -> None:
    leads = staging.world.lead_cards("salesforce", companies)
    company = leads["company"].to_numpy()
    first_card = np.full(int(contacts["person"].to_numpy().max()) + 1, -1)
    first_card[contacts["person"].to_numpy()[::-1]] = contacts["i"].to_numpy()[::-1]
    person = leads["person"].to_numpy()
    known = np.where(
        person < len(first_card), first_card[np.minimum(person, len(first_card) - 1)], -1
    )
    converted = np.where((leads["r6"].to_numpy() % 2 == 0) & (known >= 0), known, -1)
    account = np.where(converted >= 0, staging.contact_company[converted], -1)
    staging.lead_count = len(company)
    staging.add(
        "Lead",
        staging.columns(leads)
        | {
            "company_name": companies["name"].take(leads["company"]),
            "industry": companies["industry"].take(leads["company"]),
            "currency": companies["currency"].take(leads["company"]),
            "master_id": make_ids("00Q", leads["master"].to_numpy()),
            "converted_contact_id": make_ids("003", converted),
            "converted_account_id": make_ids("001", account),
        },
        "00Q",
    )


def _stage_products(staging: Staging) -> None:
    world, rng = staging.world, staging.world.rng("salesforce products")
    numbers = np.arange(PRODUCT_COUNT)
    kinds = (
        "Seat",
        "Support Hour",
        "Sensor",
        "Workshop",
        "Connector",
        "Reporting Pack",
        "Router",
        "Audit",
    )
    shared = {
        "name": pa.array([f"{kinds[k % len(kinds)]} {'ABCDE'[k // len(kinds)]}" for k in numbers]),
        "code": pa.array([f"P-{k:04d}" for k in numbers]),
        "price": np.round(rng.lognormal(5.5, 1.0, PRODUCT_COUNT), 2),
    }
    life = with_life(rng, world, PRODUCT_COUNT) | noise(rng, PRODUCT_COUNT)
    staging.add("Product2", shared | life, "01t")
    staging.add("Pricebook2", with_life(rng, world, 1) | {"name": pa.array(["Standard"])}, "01s")
    book = {"pricebook_id": make_ids("01s", np.zeros(PRODUCT_COUNT, dtype=np.int64))}
    entries = shared | life | book | {"product_id": make_ids("01t", numbers)}
    staging.add("PricebookEntry", entries, "01u")


def _stage_deals(staging: Staging) -> None:
    world = staging.world
    steps = world.deal_steps("salesforce")
    stage, deal = steps["stage"].to_numpy(), steps["deal"].to_numpy()
    common = {
        "i": np.arange(steps.num_rows),
        "opportunity_id": make_ids("006", deal),
        "stage_name": pa.array([one.name for one in STAGES]).take(pa.array(stage)),
        "probability": np.array([one.probability for one in STAGES])[stage],
        "forecast": pa.array([one.forecast for one in STAGES]).take(pa.array(stage)),
        "account_id": make_ids("001", steps["company"].to_numpy()),
        "changed_at": steps["at"],
        "deleted": np.zeros(steps.num_rows, dtype=bool),
    }
    # What belongs to an opportunity has its currency, whatever the company's own is.
    inherited = (
        'SELECT s.*, a."CurrencyIsoCode" AS currency FROM {source} s '
        'LEFT JOIN "Account" a ON a."Id" = s.account_id'
    )
    staging.add("OpportunityHistory", staging.columns(steps) | common, "008", inherited)
    current = steps.filter(steps["last"])
    _stage_opportunities(staging, current)
    _stage_items(staging, current)


def _stage_opportunities(staging: Staging, current: pa.Table) -> None:
    rng = staging.world.rng("salesforce opportunities")
    count = current.num_rows
    stage, company = current["stage"].to_numpy(), current["company"].to_numpy()
    staging.deal_company = company
    staging.deal_created = seconds(current["created"])
    at = current["at"].to_numpy().astype("datetime64[s]").astype(np.int64)
    modified = np.minimum(at + rng.integers(0, 86_400 * 5, count), staging.world.epoch - 90)
    modified = np.maximum(modified, at)
    stamps = modified.astype("datetime64[s]")
    staging.choose_contacts(rng)
    staging.add(
        "Opportunity",
        staging.columns(current)
        | {
            "i": np.arange(count),
            "account_id": make_ids("001", company),
            "stage_name": pa.array([one.name for one in STAGES]).take(pa.array(stage)),
            "probability": np.array([one.probability for one in STAGES])[stage],
            "forecast": pa.array([one.forecast for one in STAGES]).take(pa.array(stage)),
            "is_closed": np.array([one.closed for one in STAGES])[stage],
            "is_won": np.array([one.won for one in STAGES])[stage],
            "changed_at": current["at"],
            "modified": stamps,
            "touched": stamps,
            "deleted": rng.random(count) < 0.015,
            "campaign_id": make_ids("701", staging.deal_campaign),
            "contact_id": make_ids("003", staging.deal_contact),
        },
        "006",
        'SELECT s.*, a."Name" AS account_name, a."CurrencyIsoCode" AS currency, q.quantity, '
        f"'{staging.first_id('01s')}' AS pricebook_id FROM {{source}} s "
        'LEFT JOIN "Account" a ON a."Id" = s.account_id LEFT JOIN (SELECT "OpportunityId", '
        'sum("Quantity") AS quantity FROM "OpportunityLineItem" GROUP BY 1) q ON q."OpportunityId" = s.id',
    )


def _stage_items(staging: Staging, current: pa.Table) -> None:
    rng = staging.world.rng("salesforce items")
    deals = current.num_rows
    count = int(deals * 1.5)
    # Two deals in three have items, so those that have some mostly have several.
    with_items = np.flatnonzero(rng.random(deals) < 0.66)
    deal = np.sort(with_items[rng.integers(0, max(1, len(with_items)), count)])
    product = rng.integers(0, PRODUCT_COUNT, count)
    first = np.searchsorted(deal, deal, "left")
    stamps = staging.deal_created[deal].astype("datetime64[s]")
    staging.add(
        "OpportunityLineItem",
        {
            "i": np.arange(count),
            "opportunity_id": make_ids("006", deal),
            "account_id": make_ids("001", staging.deal_company[deal]),
            "position": np.arange(count) - first + 1,
            "product_id": make_ids("01t", product),
            "entry_id": make_ids("01u", product),
            "quantity": rng.integers(1, 11, count),
            "total": split_amounts(rng, current["amount"].to_numpy(), deal),
            "created": stamps,
            "modified": stamps,
            "touched": stamps,
            "deleted": np.zeros(count, dtype=bool),
            **noise(rng, count, 4),
        },
        "00k",
        'SELECT s.*, a."Name" AS account_name, a."CurrencyIsoCode" AS currency, p."Name" AS product_name, p."ProductCode" AS product_code, '
        'e."UnitPrice" AS list_price FROM {source} s LEFT JOIN "Account" a ON a."Id" = s.account_id '
        'LEFT JOIN "Product2" p ON p."Id" = s.product_id LEFT JOIN "PricebookEntry" e ON e."Id" = s.entry_id',
    )
