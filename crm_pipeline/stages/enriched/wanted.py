"""Whom it is worth buying facts about, as SQL over normalized and verified tables."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from crm_pipeline.model.enriched_tables import ENRICHMENT_WANTED
from crm_pipeline.model.names import literal, quoted
from crm_pipeline.model.tables import TABLES
from crm_pipeline.model.verified_tables import EMAIL
from crm_pipeline.settings.enrichment import Enrichment
from crm_pipeline.store.tables import Tables, TableVersion
from crm_pipeline.verification.address_sql import addresses_in

_OF_PERSONS: Mapping[str, str] = {
    "connection": "VARCHAR",
    "first_name": "VARCHAR",
    "last_name": "VARCHAR",
    "full_name": "VARCHAR",
    "email": "VARCHAR",
    "emails": "STRUCT(value VARCHAR, label VARCHAR, is_primary BOOLEAN)[]",
    "company_key": "VARCHAR",
    "company_name": "VARCHAR",
    "title": "VARCHAR",
    "department": "VARCHAR",
    "mobile_phone": "VARCHAR",
    "city": "VARCHAR",
    "state": "VARCHAR",
    "country": "VARCHAR",
    "email_opt_out": "BOOLEAN",
    "do_not_call": "BOOLEAN",
    "is_converted": "BOOLEAN",
    "contact_key": "VARCHAR",
    "modified_at": "TIMESTAMPTZ",
    "is_deleted": "BOOLEAN",
}
_OF_COMPANIES = {"company_key": "VARCHAR", "name": "VARCHAR", "domain": "VARCHAR"}
_OF_STAGES = {
    "connection": "VARCHAR",
    "pipeline_key": "VARCHAR",
    "name": "VARCHAR",
    "is_closed": "BOOLEAN",
}
_OF_DEALS = {
    "connection": "VARCHAR",
    "stage": "VARCHAR",
    "pipeline_key": "VARCHAR",
    "primary_contact_key": "VARCHAR",
    "company_key": "VARCHAR",
    "deal_key": "VARCHAR",
    "amount": "DECIMAL(24,6)",
    "currency": "VARCHAR",
    "is_closed": "BOOLEAN",
    "is_archived": "BOOLEAN",
    "is_deleted": "BOOLEAN",
}
PERSON_TABLES = ("contacts", "leads")


@dataclass(frozen=True)
class Inputs:
    """The current versions of what the table is made of.

    Attributes:
        normalized: of all connections.
        points: the verified contact points; None where nothing was verified yet.
        verdicts: those on e-mail addresses, which have the domains in ASCII; None where nothing was verified yet.
        bought: the facts bought so far; None for none.
        histories: the stored versions of records of persons.
    """

    normalized: Sequence[TableVersion]
    points: TableVersion | None
    verdicts: TableVersion | None
    bought: str | None
    histories: Sequence[TableVersion] = ()

    def of(self, table: str) -> list[TableVersion]:
        """Return the versions of one table of the common model."""
        return [version for version in self.normalized if version.name.split("/")[2] == table]

    def past_of(self, table: str) -> list[TableVersion]:
        """Return the stored versions of the records of one table."""
        return [version for version in self.histories if version.name.split("/")[2] == table]


def wanted(inputs: Inputs, choices: Enrichment, now: datetime) -> str:
    """Return SQL for the rows of `enrichment_wanted`."""
    names = ", ".join(quoted(column.name) for column in ENRICHMENT_WANTED.columns)
    return f"""(
        WITH everybody AS MATERIALIZED ({_everybody(inputs)}),
        points AS ({_points(inputs)}),
        last_said AS ({_last_said(inputs)}),
        refusing AS (
            SELECT record_key, email, emails FROM everybody WHERE email_opt_out OR do_not_call
            UNION ALL SELECT record_key, email, emails FROM last_said WHERE email_opt_out OR do_not_call
        ),
        refused_texts AS (
            SELECT email AS value FROM refusing
            UNION ALL SELECT point.value FROM (SELECT unnest(emails) AS point FROM refusing)
        ),
        refused AS (
            SELECT lower(trim(value)) AS address FROM refused_texts WHERE value IS NOT NULL
            UNION SELECT unnest({addresses_in("value")}) FROM refused_texts
            UNION SELECT p.address FROM refusing JOIN points p USING (record_key)
        ),
        unjudged AS (
            SELECT record_key, unnest({addresses_in("email")}) AS address
            FROM everybody ANTI JOIN points USING (record_key)
        ),
        companies AS ({_union(inputs.of("companies"), _OF_COMPANIES)}),
        candidates AS (
            SELECT e.*, CASE WHEN p.verdict <> 'undeliverable' THEN p.address END AS address, p.verdict,
                coalesce(e.company_name, c.name) AS employer, c.domain AS employer_domain,
                {_gaps(choices)} AS gaps
            FROM everybody e
            LEFT JOIN points p USING (record_key)
            LEFT JOIN companies c ON c.company_key = e.company_key
            WHERE e.table_name IN ({", ".join(map(literal, choices.tables))}) AND e.is_deleted IS NOT TRUE
                AND e.email_opt_out IS NOT TRUE AND e.do_not_call IS NOT TRUE
                AND NOT (e.table_name = 'leads' AND (e.is_converted IS TRUE OR e.contact_key IS NOT NULL))
                AND NOT EXISTS (SELECT 1 FROM refused r WHERE r.address = p.address)
                AND NOT EXISTS (SELECT 1 FROM refused r WHERE r.address = split_part(p.address, '@', 1) || '@' || p.domain)
                AND NOT EXISTS (SELECT 1 FROM refused r WHERE r.address = lower(trim(e.email)))
                AND e.record_key NOT IN (SELECT record_key FROM unjudged JOIN refused USING (address))
        ),
        keyed AS (
            SELECT * FROM {_KEYED} AS named WHERE true{_recent(choices, now)}
        ),
        worth AS ({_worth(inputs)}),
        persons AS (
            SELECT asked_for, list_sort(list_distinct(flatten(list(gaps)))) AS gaps,
                arg_max(full_name, modified_at) AS full_name, arg_max(first_name, modified_at) AS first_name,
                arg_max(last_name, modified_at) AS last_name, any_value(address) AS email, any_value(verdict) AS verdict,
                arg_max(employer, modified_at) AS company_name, arg_max(employer_domain, modified_at) AS company_domain,
                max(modified_at) AS modified_at, list_sort(list(DISTINCT record_key)) AS records
            FROM keyed WHERE asked_for IS NOT NULL GROUP BY asked_for
        ),
        chosen AS (
            SELECT p.*, coalesce(w.open_deals, 0) AS open_deals, w.open_amount, row_number() OVER (
                ORDER BY w.open_amount DESC NULLS LAST, coalesce(w.open_deals, 0) DESC, modified_at DESC NULLS LAST, asked_for
            ) AS place
            FROM persons p LEFT JOIN worth w USING (asked_for)
            WHERE coalesce(w.open_amount, 0) >= {choices.least_amount!r}{_unknown(inputs, choices, now)}
        )
        SELECT {names} FROM chosen ORDER BY place
    )"""


_ASKED_FOR = """CASE
    WHEN address IS NOT NULL THEN 'email:' || address
    WHEN trim(full_name) <> '' AND employer_domain IS NOT NULL
        THEN 'name:' || regexp_replace(trim(full_name), '\\s+', ' ', 'g') || '@' || employer_domain
END"""
KEY_FUNCTION = "purchase_key"
"""SQL's name of `purchase_key`; SQL cannot fold letters as purchases are keyed, and texts in ASCII need no more than it can."""
_KEYED = f"""(
    SELECT * REPLACE (
        CASE WHEN regexp_full_match(asked_for, '[ -~]*') THEN lower(asked_for) ELSE {KEY_FUNCTION}(asked_for) END AS asked_for
    ) FROM (SELECT *, {_ASKED_FOR} AS asked_for FROM candidates WHERE len(gaps) > 0)
)"""


def purchase_key(asked_for: str) -> str:
    """Return what is asked for as the ledger keys it: letters folded, the domain in ASCII."""
    from crm_pipeline.providers import Person, key_of

    kind, _, rest = asked_for.partition(":")
    name, _, domain = rest.rpartition("@")
    person = Person(email=rest) if kind == "email" else Person(name=name, domain=domain)
    return key_of(person) or asked_for


def _everybody(inputs: Inputs) -> str:
    parts = []
    for table in PERSON_TABLES:
        key = TABLES[table].key
        columns = {key: "VARCHAR", **_OF_PERSONS}
        rows = _union(inputs.of(table), columns, live_only=False)
        parts.append(
            f"SELECT {literal(table)} AS table_name, {quoted(key)} AS record_key, "
            f"{', '.join(map(quoted, _OF_PERSONS))} FROM ({rows})"
        )
    return " UNION ALL ".join(parts)


def _last_said(inputs: Inputs) -> str:
    """Return SQL for the last live versions of deleted records of which the CRM says nothing but their ids any more."""
    parts = []
    for table in PERSON_TABLES:
        key = TABLES[table].key
        columns = {key: "VARCHAR", **_OF_PERSONS, "valid_from": "TIMESTAMPTZ"}
        parts.append(
            f"SELECT {quoted(key)} AS record_key, email, emails, email_opt_out, do_not_call "
            f"FROM ({_union(inputs.past_of(table), columns)}) "
            f"QUALIFY row_number() OVER (PARTITION BY {quoted(key)} ORDER BY valid_from DESC) = 1"
        )
    silent = (
        "SELECT record_key FROM everybody WHERE is_deleted AND email IS NULL "
        "AND email_opt_out IS NULL AND do_not_call IS NULL"
    )
    return f"SELECT * FROM ({' UNION ALL '.join(parts)}) WHERE record_key IN ({silent})"


def _points(inputs: Inputs) -> str:
    """Return SQL for the main address of each record, with its domain in ASCII where that is known."""
    if inputs.points is None:
        return (
            "SELECT ''::VARCHAR AS record_key, ''::VARCHAR AS address, ''::VARCHAR AS verdict, "
            "''::VARCHAR AS domain WHERE false"
        )
    points = (
        "SELECT record_key, normalized, verdict "
        f"FROM {Tables.relation(inputs.points)} WHERE kind = {literal(EMAIL)} AND normalized IS NOT NULL "
        "QUALIFY row_number() OVER (PARTITION BY record_key ORDER BY is_primary DESC, position) = 1"
    )
    if inputs.verdicts is None:
        return f"SELECT *, lower(normalized) AS address, NULL::VARCHAR AS domain FROM ({points})"
    domains = (
        "SELECT email_normalized AS normalized, any_value(domain) AS domain "
        f"FROM {Tables.relation(inputs.verdicts)} WHERE NOT regexp_full_match(email_normalized, '[ -~]*') "
        "GROUP BY email_normalized"
    )
    return f"SELECT *, lower(normalized) AS address FROM ({points}) LEFT JOIN ({domains}) USING (normalized)"


def _gaps(choices: Enrichment) -> str:
    cases = [f"CASE WHEN {_is_missing(name)} THEN {literal(name)} END" for name in choices.fill]
    return f"list_filter([{', '.join(cases)}], lambda gap: gap IS NOT NULL)"


def _is_missing(column: str) -> str:
    if column == "email":
        return "p.address IS NULL OR p.verdict = 'undeliverable'"
    return f"coalesce(trim(e.{quoted(column)}), '') = ''"


def _recent(choices: Enrichment, now: datetime) -> str:
    if choices.changed_within is None:
        return ""
    return f" AND modified_at >= {literal((now - choices.changed_within).isoformat())}::TIMESTAMPTZ"


def _unknown(inputs: Inputs, choices: Enrichment, now: datetime) -> str:
    """Return the condition that leaves out whoever the answer is known about."""
    if inputs.bought is None:
        return ""
    again = literal((now - choices.again_after).isoformat())
    return (
        f" AND asked_for NOT IN (SELECT asked_for FROM {inputs.bought} WHERE kind = 'person' "
        f"AND (status NOT IN ('no_match', 'masked') OR bought_at > {again}::TIMESTAMPTZ))"
    )


# Some CRMs say of the stage alone that a deal is closed.
_AGREED = "CASE WHEN count(DISTINCT is_closed) = 1 THEN any_value(is_closed) END"


def _worth(inputs: Inputs) -> str:
    """Return SQL for the open deals of each person: those that name a record of the person, and those of the company."""
    deals = _union(inputs.of("deals"), _OF_DEALS)
    return f"""
        WITH stages AS ({_union(inputs.of("stages"), _OF_STAGES)}),
        in_pipeline AS (
            SELECT connection, pipeline_key, name AS stage, {_AGREED} AS is_closed FROM stages GROUP BY ALL
        ),
        by_name AS (SELECT connection, name AS stage, {_AGREED} AS is_closed FROM stages GROUP BY ALL),
        deals AS (
            SELECT d.* FROM ({deals}) d
            LEFT JOIN in_pipeline i USING (connection, pipeline_key, stage)
            LEFT JOIN by_name n USING (connection, stage)
            WHERE coalesce(d.is_closed, i.is_closed, n.is_closed) IS NOT TRUE AND d.is_archived IS NOT TRUE
        ),
        pairs AS (
            SELECT k.asked_for, d.deal_key, d.amount, d.currency
            FROM keyed k JOIN deals d ON d.primary_contact_key = k.record_key
            UNION
            SELECT k.asked_for, d.deal_key, d.amount, d.currency
            FROM keyed k JOIN deals d ON d.company_key = k.company_key
        )
        SELECT asked_for, count(*) AS open_deals,
            CASE WHEN count(DISTINCT coalesce(currency, '')) FILTER (WHERE amount IS NOT NULL) <= 1
                THEN sum(amount) END AS open_amount
        FROM pairs WHERE asked_for IS NOT NULL GROUP BY asked_for"""


def _union(
    versions: Iterable[TableVersion], columns: Mapping[str, str], *, live_only: bool = True
) -> str:
    """Return SQL for some columns of versions; those that a version lacks are NULL."""
    empty = ", ".join(f"NULL::{kind} AS {quoted(name)}" for name, kind in columns.items())
    parts = [f"SELECT {empty} WHERE false"]
    for version in versions:
        present = {column["name"] for column in version.meta["columns"]}
        listed = ", ".join(
            quoted(name) if name in present else f"NULL::{kind} AS {quoted(name)}"
            for name, kind in columns.items()
        )
        live = " WHERE is_deleted IS NOT TRUE" if live_only else ""
        parts.append(f"SELECT {listed} FROM {Tables.relation(version)}{live}")
    return " UNION ALL BY NAME ".join(parts)
