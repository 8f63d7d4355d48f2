"""`ops.connections`: the accounts, with the time zone of their days and the currency of their amounts."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import pyarrow as pa

from crm_pipeline.model.account import AccountFacts
from crm_pipeline.settings import Connection
from crm_pipeline.stages.published.carried import Finding
from crm_pipeline.stages.published.consistency import WARNING
from crm_pipeline.stages.published.operations import OpsTable
from crm_pipeline.stages.published.relations import PublishedTable, connection_of
from crm_pipeline.store.landing import Landing
from crm_pipeline.store.landing.account_facts import account_facts
from crm_pipeline.store.tables import TableVersion

ZONE_RULE = "days are those of ops.connections.time_zone"
_TEXT = pa.string()


@dataclass(frozen=True)
class Connected:
    """One connection as analysts see it; `vendor` and `is_emulated` are None if it is no longer configured."""

    name: str
    vendor: str | None
    is_emulated: bool | None
    facts: AccountFacts


def connected(
    landing: Landing, connections: Sequence[Connection], published: Iterable[str]
) -> list[Connected]:
    """Return the configured connections, and others that are published.

    Raises:
        CorruptFile: the facts of an account are damaged; amounts and days depend on them.
    """
    by_name = {connection.name: connection for connection in connections}
    rows = []
    for name in sorted({*by_name, *published}):
        connection = by_name.get(name)
        vendor, is_emulated = (
            (connection.vendor, connection.sandbox) if connection else (None, None)
        )
        rows.append(Connected(name, vendor, is_emulated, account_facts(landing, name)))
    return rows


def with_zones_of_rows(
    accounts: Iterable[Connected], published: Sequence[PublishedTable]
) -> list[Connected]:
    """Return the accounts with the time zone of the days in their rows; the account may state another one by now."""
    return [_with_zone(account, _zones(account, published)) for account in accounts]


def zone_findings(
    accounts: Iterable[Connected], published: Sequence[PublishedTable]
) -> Iterator[Finding]:
    """Yield, for each table with days, whether they are in the zone that `with_zones_of_rows` gives."""
    for account in accounts:
        zones = _zones(account, published)
        shown = _with_zone(account, zones).facts.zone
        for table, version, zone in zones:
            live = version.meta["live"]
            failures = 0 if zone == shown else live
            yield Finding(account.name, table, ZONE_RULE, WARNING, failures, live)


def _zones(
    account: Connected, published: Sequence[PublishedTable]
) -> list[tuple[str, TableVersion, str]]:
    """Return the tables of an account that have days, each with the zone of its days."""
    return [
        (table.name, version, version.meta["time_zone"])
        for table in published
        for version in table.versions
        # Earlier versions do not say it.
        if connection_of(version) == account.name and "time_zone" in version.meta
        if any(column["type"] == "DATE" for column in version.meta["columns"])
    ]


def _with_zone(account: Connected, zones: Sequence[tuple[str, TableVersion, str]]) -> Connected:
    counted = Counter(zone for _, _, zone in zones)
    if not counted or account.facts.zone in counted:
        return account
    [(zone, _)] = counted.most_common(1)
    return replace(account, facts=replace(account.facts, time_zone=zone))


def connections_table(rows: Iterable[Connected], currencies: Mapping[str, str]) -> OpsTable:
    """Return the table of connections; `currencies` are the main currencies according to exchange rates."""
    columns = {
        "connection": (_TEXT, "Name of the connection."),
        "vendor": (_TEXT, "The CRM's vendor."),
        "is_emulated": (
            pa.bool_(),
            "Whether it is an account of the sandbox: its people are invented.",
        ),
        "time_zone": (
            _TEXT,
            (
                "IANA zone of the account: days that are made of instants are days there. NULL: not known, then "
                "they are days of the zone that the CRM writes with each instant, or UTC."
            ),
        ),
        "currency": (
            _TEXT,
            "Main currency of the account, ISO 4217: that of amount_main, and of amounts whose currency is NULL.",
        ),
        "web_address": (_TEXT, "Where a browser finds the account's records."),
    }
    listed = [
        (
            row.name,
            row.vendor,
            row.is_emulated,
            row.facts.zone or None,
            currencies.get(row.name) or row.facts.currency or None,
            row.facts.web_address or None,
        )
        for row in rows
    ]
    about = "The accounts that are read, with the time zone and the currency of their rows."
    return OpsTable("connections", about, columns, listed)
