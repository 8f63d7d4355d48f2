"""Fill a portal: from the vendor-neutral world to one table per object type.

Nothing is done per row in Python: columns are drawn as arrays, and values are written by SQL.
"""

import duckdb

from crm_sandbox.hubspot.association_types import LinkTypes
from crm_sandbox.hubspot.credentials import PortalFacts
from crm_sandbox.hubspot.pipelines import PipelineStore
from crm_sandbox.hubspot.population_engagement import stage_assets, stage_engagement
from crm_sandbox.hubspot.population_parties import stage_companies, stage_contacts
from crm_sandbox.hubspot.population_sales import (
    stage_deals,
    stage_items,
    stage_leads,
    stage_products,
    stage_quotes,
    stage_tickets,
)
from crm_sandbox.hubspot.schema import Catalog, ObjectType
from crm_sandbox.hubspot.staging import Staging
from crm_sandbox.hubspot.storage import (
    HISTORY,
    LINK,
    LIST,
    LISTS,
    MEMBER,
    MEMBERS,
    MERGED,
    create,
    history_of,
    links_of,
)
from crm_sandbox.kernel.staging import SMALL, filling
from crm_sandbox.world import World


def fill(
    connection: duckdb.DuckDBPyConnection,
    world: World,
    *,
    portal: PortalFacts,
    catalog: Catalog,
    link_types: LinkTypes,
    pipelines: PipelineStore,
) -> None:
    """Create and fill every table of a portal."""
    staging = Staging(connection, world, portal, link_types)
    # One transaction: committing every statement costs more than the statements.
    with filling(connection, world):
        connection.execute("BEGIN")
        _make(staging, catalog, pipelines)
        connection.execute("COMMIT")
    # A page is a small query, and several clients ask at once: two threads for each cost more.
    connection.execute("SET threads = 1")
    staging.clear()


def _make(staging: Staging, catalog: Catalog, pipelines: PipelineStore) -> None:
    connection = staging.connection
    connection.execute(_first_tables(catalog))
    sources: dict[str, str] = {}
    for stage in (stage_companies, stage_contacts, stage_products):
        sources |= stage(staging)
    for make in (stage_deals, stage_tickets, stage_leads):
        sources |= make(staging, pipelines)
    for stage in (stage_items, stage_quotes, stage_engagement):
        sources |= stage(staging)
    asset = next(one for one in catalog.types if one.custom)
    sources |= stage_assets(staging, asset.name)
    for one in catalog.types:
        connection.execute(_create(one, sources[one.name]))
    connection.execute(_link_tables(catalog, staging.link_types))
    staging.write_links()
    _fill_lists(connection, asset.name)
    if staging.world.contacts >= SMALL:
        _order(connection)


_TRUTH = {
    "id": "BIGINT",
    "person": "BIGINT",
    "duplicate": "BOOLEAN",
    "email_verdict": "VARCHAR",
    "phone_verdict": "VARCHAR",
}
_BLOCKED = {"email": "VARCHAR"}


def _first_tables(catalog: Catalog) -> str:
    statements = [create("merged", MERGED), create("truth", _TRUTH), create("blocked", _BLOCKED)]
    statements += [create(LISTS, LIST), create(MEMBERS, MEMBER)]
    statements += [create(history_of(one.name), HISTORY) for one in catalog.types]
    return "; ".join(statements)


def _link_tables(catalog: Catalog, link_types: LinkTypes) -> str:
    """Return SQL that makes the tables of links, empty."""
    return "; ".join(
        create(links_of(one.name, other), LINK)
        for one in catalog.types
        for other in link_types.targets(one.name)
    )


def _create(one: ObjectType, source: str) -> str:
    columns = [
        "id::BIGINT AS _id",
        "created_ms::BIGINT AS _created",
        "updated_ms::BIGINT AS _updated",
        "archived AS _archived",
        "archived_ms::BIGINT AS _archived_at",
    ]
    for prop in one.stored:
        value = (prop.sql or "NULL").replace("$long_text", "getvariable('long_text')")
        columns.append(f'({value})::VARCHAR AS "{prop.column}"')
    return f'CREATE TABLE "{one.table}" AS SELECT {", ".join(columns)} FROM {source} ORDER BY _id'


# Name, object type (None is the portal's own), kind, and who is a member.
_LISTED = (
    ("Newsletter", "contacts", "MANUAL", "_id // 7 % 4 = 0"),
    ("Customers", "contacts", "DYNAMIC", "lifecyclestage = 'customer'"),
    ("Guests of the webinar", "contacts", "SNAPSHOT", "_id // 7 % 10 = 3"),
    ("Target accounts", "companies", "MANUAL", "_id // 7 % 5 = 1"),
    ("Deals that were won", "deals", "DYNAMIC", "dealstage = 'closedwon'"),
    ("Due for service", None, "MANUAL", "_id // 7 % 2 = 0"),
    ("Nobody yet", "contacts", "MANUAL", "false"),
)


def _fill_lists(connection: duckdb.DuckDBPyConnection, own: str) -> None:
    for number, (name, listed, kind, condition) in enumerate(_LISTED, start=1):
        table = listed or own
        connection.execute(
            f'INSERT INTO "{MEMBERS}" SELECT {number}, _id, _updated FROM "{table}" '
            f"WHERE {condition} ORDER BY _id"
        )
        connection.execute(
            f'INSERT INTO "{LISTS}" SELECT {number}, ?, ?, ?, coalesce(min(_created), 0), '
            f'coalesce(min(_created), 0), max(_updated), NULL FROM "{table}" WHERE {condition}',
            [name, table, kind],
        )


def _order(connection: duckdb.DuckDBPyConnection) -> None:
    """Bring what was inserted piece by piece into the order of ids."""
    for name in (history_of("deals"), history_of("tickets"), history_of("leads")):
        connection.execute(
            f'CREATE OR REPLACE TABLE "{name}" AS SELECT * FROM "{name}" ORDER BY id, property, "at"'
        )
