"""Who is wanted, against a computation record by record; and what was bought, taken over from the ledger."""

import random
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from crm_pipeline.model.mapping import FieldMap
from crm_pipeline.model.tables import normalized_name
from crm_pipeline.model.verified_tables import EMAIL_VERDICTS
from crm_pipeline.providers import key_of
from crm_pipeline.settings.enrichment import Enrichment
from crm_pipeline.stages.enriched import Enriched, candidates, enrich_tables
from crm_pipeline.store.postgres.database import Database
from crm_pipeline.store.purchases import Budget, Order, PurchaseLedger, Settlement
from crm_pipeline_tests.stages.conftest import Org
from crm_pipeline_tests.stages.published.judged import email_verdicts, judge, point, stage

CHOICES = Enrichment(provider="prospeo", fill=("title", "city"))
NAMES = frozenset(
    normalized_name(connection, table)
    for connection in ("acme", "beta")
    for table in ("contacts", "companies", "deals")
)
Row = dict[str, Any]


class Crms:
    """Two CRMs with companies, contacts and deals, made by chance."""

    def __init__(self, org: Org, schema_of: Callable[..., Any], seed: int = 0) -> None:
        self.org = org
        chance = random.Random(seed)
        self.contacts: list[Row] = []
        self.companies: list[Row] = []
        self.deals: list[Row] = []
        for connection in ("acme", "beta"):
            self.companies += [self._company(connection, n, chance) for n in range(4)]
            self.contacts += [self._contact(connection, n, chance) for n in range(24)]
            self.deals += [self._deal(connection, n, chance) for n in range(16)]
        schemas = {
            "companies": schema_of("Account", "Name", "Website:url"),
            "contacts": schema_of(
                "Contact", "FirstName", "LastName", "Email:email", "Title", "MailingCity",
                "AccountId:reference:Account:Account", "HasOptedOutOfEmail:boolean", "DoNotCall:boolean",
            ),
            "deals": schema_of(
                "Opportunity", "Name", "Amount:currency", "CurrencyIsoCode", "IsClosed:boolean",
                "AccountId:reference:Account:Account", "ContactId:reference:Contact:Contact",
            ),
        }  # fmt: skip
        for connection in ("acme", "beta"):
            for table, schema in schemas.items():
                rows = [r for r in getattr(self, table) if r["connection"] == connection]
                fields = [{k: v for k, v in r.items() if k != "connection"} for r in rows]
                org.land(schema, fields, connection=connection)
                org.normalize(table, connection=connection)
        judge(org, [self._point(contact) for contact in self.contacts if self._point(contact)])

    def _company(self, connection: str, number: int, chance: random.Random) -> Row:
        website = chance.choice(["", f"https://www.firm{number}.example/about"])
        return {
            "connection": connection,
            "Id": f"001{number}",
            "Name": f"Firm {number}",
            "Website": website,
        }

    def _contact(self, connection: str, number: int, chance: random.Random) -> Row:
        address = f"Person{chance.randrange(20)}@Firm.example"
        return {
            "connection": connection,
            "Id": f"003{number:02}",
            "IsDeleted": str(chance.random() < 0.1).lower(),
            "FirstName": chance.choice(["Ann", "Bo"]),
            "LastName": f"Ng {number}",
            "Email": chance.choice([address, address.lower(), "", f"bad{number}"]),
            "Title": chance.choice(["", "CEO"]),
            "MailingCity": chance.choice(["", "Bonn", "Rome"]),
            "AccountId": chance.choice(["", *(f"001{n}" for n in range(4))]),
            "HasOptedOutOfEmail": str(chance.random() < 0.08).lower(),
            "DoNotCall": str(chance.random() < 0.05).lower(),
            "SystemModstamp": f"2026-{chance.randrange(1, 11):02}-{number + 1:02}T00:00:00.000Z",
        }

    def _deal(self, connection: str, number: int, chance: random.Random) -> Row:
        return {
            "connection": connection,
            "Id": f"006{number:02}",
            "Name": f"Deal {number}",
            "Amount": chance.choice(["", f"{chance.randrange(100, 9_000)}.25"]),
            "CurrencyIsoCode": chance.choice(["EUR", "EUR", "USD"]),
            "IsClosed": str(chance.random() < 0.3).lower(),
            "AccountId": chance.choice(["", *(f"001{n}" for n in range(4))]),
            "ContactId": chance.choice(["", *(f"003{n:02}" for n in range(24))]),
        }

    @staticmethod
    def _point(contact: Row) -> Row:
        if not contact["Email"] or contact["IsDeleted"] == "true":
            return {}
        key = f"{contact['connection']}:Contact:{contact['Id']}"
        verdict = "unknown" if "@" in contact["Email"] else "undeliverable"
        return point(key, "email", contact["Email"], verdict)

    def expected(self) -> dict[str, Row]:
        """Compute who is wanted, record by record."""
        refused = {
            c["Email"].lower()
            for c in self.contacts
            if "true" in {c["HasOptedOutOfEmail"], c["DoNotCall"]} and c["Email"]
        }
        wanted: dict[str, Row] = {}
        for contact in self.contacts:
            gaps = {g for g, f in (("title", "Title"), ("city", "MailingCity")) if not contact[f]}
            flags = {contact["IsDeleted"], contact["HasOptedOutOfEmail"], contact["DoNotCall"]}
            asked_for = self._asked_for(contact)
            if not gaps or "true" in flags or not asked_for or contact["Email"].lower() in refused:
                continue
            person = wanted.setdefault(asked_for, {"gaps": set(), "records": set(), "deals": {}})
            person["gaps"] |= gaps
            person["records"].add(f"{contact['connection']}:Contact:{contact['Id']}")
            person["deals"] |= self._deals(contact)
        return wanted

    def _asked_for(self, contact: Row) -> str:
        if "@" in contact["Email"]:
            return f"email:{contact['Email'].lower()}"
        for company in self.companies:
            is_its = (
                company["connection"] == contact["connection"]
                and company["Id"] == contact["AccountId"]
            )
            if is_its and company["Website"]:
                domain = company["Website"].split("/")[2].removeprefix("www.")
                return f"name:{contact['FirstName']} {contact['LastName']}@{domain}".lower()
        return ""

    def _deals(self, contact: Row) -> dict[tuple[str, str], tuple[str, str]]:
        return {
            (deal["connection"], deal["Id"]): (deal["CurrencyIsoCode"], deal["Amount"])
            for deal in self.deals
            if deal["connection"] == contact["connection"]
            and deal["IsClosed"] == "false"
            and (
                deal["ContactId"] == contact["Id"]
                or (deal["AccountId"] and deal["AccountId"] == contact["AccountId"])
            )
        }


@pytest.fixture
def ledger(database: Database) -> PurchaseLedger:
    return PurchaseLedger(database)


def build(org: Org, ledger: PurchaseLedger, choices: Enrichment = CHOICES, **more: Any) -> Enriched:
    with org.engine() as engine:
        return enrich_tables(
            org.tables, engine, ledger, choices, names=NAMES, now=org.clock.now(), **more
        )


def rows(org: Org, table: str, columns: str) -> list[tuple[Any, ...]]:
    version = org.tables.version(f"enriched/{table}")
    assert version is not None
    with org.engine() as engine:
        return engine.rows(f"SELECT {columns} FROM {org.tables.relation(version)} ORDER BY ALL")


@pytest.mark.parametrize("seed", range(2))
def test_the_wanted_are_those_of_a_computation_record_by_record(
    org: Org, schema_of: Callable[..., Any], ledger: PurchaseLedger, seed: int
) -> None:
    """Gaps, records, deals and amounts of each person over all CRMs; nobody who opted out in one of them."""
    crms = Crms(org, schema_of, seed)
    build(org, ledger)
    found = rows(
        org, "enrichment_wanted", "asked_for, gaps, records, open_deals, open_amount, place"
    )
    expected = crms.expected()
    assert {row[0] for row in found} == expected.keys()
    assert len(expected) > 5
    for asked_for, gaps, records, open_deals, open_amount, _ in found:
        person = expected[asked_for]
        known = [
            (currency, Decimal(amount)) for currency, amount in person["deals"].values() if amount
        ]
        is_one = len({currency for currency, _ in known}) == 1
        assert (set(gaps), set(records)) == (person["gaps"], person["records"])
        assert open_deals == len(person["deals"])
        assert open_amount == (sum(amount for _, amount in known) if is_one else None)
    by_place = sorted(found, key=lambda row: row[5])
    ranks = [(-(row[4] or -1), -row[3]) for row in by_place]
    assert ranks == sorted(ranks)
    assert [row[5] for row in by_place] == list(range(1, len(found) + 1))


def buy(
    ledger: PurchaseLedger, org: Org, asked_for: str, outcome: str = "match", **fact: Any
) -> None:
    """Record a purchase that was answered."""
    now, order = (
        org.clock.now(),
        Order(f"hash of {asked_for}", asked_for, 1, ("acme:Contact:00301",)),
    )
    ledger.reserve("prospeo", "person", "run", [order], Budget(), now)
    answer = {"facts": [fact], "provider_id": "p1"} if fact else None
    settled = Settlement(order.subject, outcome, 1, answer=answer, retry_at=now + timedelta(days=1))
    ledger.settle("prospeo", "person", "run", [settled], now)


def test_what_was_bought_is_taken_over_and_not_wanted_any_more(
    org: Org, schema_of: Callable[..., Any], ledger: PurchaseLedger
) -> None:
    """Facts by row; a match is never wanted again, a miss after the time of the settings."""
    Crms(org, schema_of)
    build(org, ledger)
    first, second, *others = [row[0] for row in rows(org, "enrichment_wanted", "asked_for")]
    assert build(org, ledger).changed is False
    buy(ledger, org, first, name="job_title", value="CFO", status="", confidence=None)
    buy(ledger, org, second, "no_match")
    assert build(org, ledger).changed
    columns = "asked_for, status, position, field, value, cost"
    assert rows(org, "enrichments", columns) == [
        (first, "match", 1, "job_title", "CFO", 1),
        (second, "no_match", 1, None, None, 1),
    ]
    assert [row[0] for row in rows(org, "enrichment_wanted", "asked_for")] == others
    org.clock.advance(181 * 86_400)
    build(org, ledger)
    wanted = [row[0] for row in rows(org, "enrichment_wanted", "asked_for")]
    assert wanted == sorted([second, *others])


def test_choices_narrow_who_is_wanted(
    org: Org, schema_of: Callable[..., Any], ledger: PurchaseLedger
) -> None:
    """A least amount of open deals, and records that changed lately; without a provider nobody is wanted."""
    crms = Crms(org, schema_of)
    build(org, ledger, replace(CHOICES, least_amount=3_000))
    amounts = [row[0] for row in rows(org, "enrichment_wanted", "open_amount")]
    assert min(amounts) >= 3_000
    build(org, ledger, replace(CHOICES, changed_within=timedelta(days=90)))
    recent = rows(org, "enrichment_wanted", "modified_at")
    assert 0 < len(recent) < len(crms.expected())
    assert min(recent)[0] >= org.clock.now() - timedelta(days=90)
    build(org, ledger, replace(CHOICES, provider=""))
    assert rows(org, "enrichment_wanted", "asked_for") == []


def test_whoever_was_bought_is_not_wanted_in_any_alphabet(
    org: Org, schema_of: Callable[..., Any], ledger: PurchaseLedger
) -> None:
    """The keys of the table are those of the ledger, whatever letters a name or a domain has."""
    site = {"Id": "firm", "Name": "Bücher", "Website": "bücher.example"}
    org.land(schema_of("Account", "Name", "Website:url"), [site])
    org.normalize("companies")
    names = ["Groß", "İpek", 'O\'Neil "X"', "ﬁsh", "Ng\u00a0Li"]
    rows_of = [
        {"Id": f"n{n}", "LastName": name, "AccountId": "firm"} for n, name in enumerate(names)
    ]
    rows_of.append({"Id": "e", "LastName": "Strauß", "Email": "ed@bücher.example"})
    fields = ("LastName", "Email:email", "AccountId:reference:Account:Account")
    org.land(schema_of("Contact", *fields), rows_of)
    org.normalize("contacts")
    judge(org, [point("acme:Contact:e", "email", "ed@bücher.example", "unknown")])
    result = build(org, ledger)
    with org.engine() as engine:
        people = list(candidates(engine, result.versions["enrichment_wanted"]))
    keys = sorted(key_of(candidate.person) for candidate in people)
    assert len(keys) == len(rows_of)
    assert [row[0] for row in rows(org, "enrichment_wanted", "asked_for")] == keys
    for key in keys:
        buy(ledger, org, key, name="job_title", value="CFO", status="")
    build(org, ledger)
    assert rows(org, "enrichment_wanted", "asked_for") == []


REFUSALS = {
    "shown": ("ann@x.example", "Ann <ANN@x.example>"),
    "spaced": ("bo@x.example", "bo @ x.example"),
    "listed": ("cy@x.example", "cy2@x.example; cy@x.example"),
    "wide": ("di@x.example", "di\uff20x.example"),
    "punycode": ("ed@bücher.example", "ed@xn--bcher-kva.example"),
    "unjudged": ("Fay <fay@x.example>", "fay@x.example"),
}
"""The address of a live contact, and that of a deleted one who opted out."""


def test_a_deleted_persons_opt_out_counts_in_any_spelling(
    org: Org, schema_of: Callable[..., Any], ledger: PurchaseLedger
) -> None:
    """Its text has no verdict, and neither need that of the live contact. Addresses that look alike are wanted."""
    org.land(
        schema_of("Account", "Name", "Website:url"),
        [{"Id": "firm", "Name": "Firm", "Website": "firm.example"}],
    )
    org.normalize("companies")
    wanted = ["mary-ann@x.example", "x@xn--bcher-kva.example", "di@x.example.org"]
    judged = {name: one for name, (one, _) in REFUSALS.items() if name != "unjudged"}
    judged |= {f"look-alike {n}": one for n, one in enumerate(wanted)}
    unjudged = {"unjudged": REFUSALS["unjudged"][0], "else": "Gil <gil@x.example>"}
    gone = {f"{name} gone": one for name, (_, one) in REFUSALS.items()}
    opted_out = {"IsDeleted": "true", "HasOptedOutOfEmail": "true"}
    org.land(
        schema_of(
            *("Contact", "LastName", "Email:email", "HasOptedOutOfEmail:boolean"),
            "AccountId:reference:Account:Account",
        ),
        [
            *({"Id": name, "LastName": name, "Email": one} for name, one in judged.items()),
            *(
                {"Id": name, "LastName": name, "Email": one, "AccountId": "firm"}
                for name, one in unjudged.items()
            ),
            *(
                {"Id": name, "LastName": name, "Email": one, **opted_out}
                for name, one in gone.items()
            ),
        ],
    )
    org.normalize("contacts")
    points = [point(f"acme:Contact:{n}", "email", one, "unknown") for n, one in judged.items()]
    judge(org, points)
    in_ascii = [row for row in email_verdicts(points) if "ü" in row["value"]]
    stage(org, EMAIL_VERDICTS, [{**row, "domain": "xn--bcher-kva.example"} for row in in_ascii])
    build(org, ledger)
    found = rows(org, "enrichment_wanted", "asked_for")
    assert found == [*((f"email:{one}",) for one in sorted(wanted)), ("name:else@firm.example",)]


def test_an_opt_out_outlives_what_the_crm_says_of_a_deleted_record(
    org: Org, schema_of: Callable[..., Any], ledger: PurchaseLedger
) -> None:
    """Lists of deletions have ids alone: facts are bought about nobody who opted out before, and about whom did not."""
    fields = ("LastName", "Email:email", "HasOptedOutOfEmail:boolean", "DoNotCall:boolean")
    refusals = {"out": ("true", "false"), "no calls": ("false", "true"), "in": ("false", "false")}
    contact = schema_of("Contact", *fields)
    people = {name: {"LastName": name, "Email": f"{name[:2]}@x.example"} for name in refusals}
    said = [
        {"Id": name, **people[name], "HasOptedOutOfEmail": no_mail, "DoNotCall": no_calls}
        for name, (no_mail, no_calls) in refusals.items()
    ]
    org.land(contact, [*said, *({"Id": f"{name} live", **one} for name, one in people.items())])
    org.normalize("contacts")
    org.clock.advance(60)
    org.land(contact, [{"Id": name, "IsDeleted": "true"} for name in refusals])
    org.normalize("contacts")
    live = {f"{name} live": str(one["Email"]) for name, one in people.items()}
    judge(org, [point(f"acme:Contact:{n}", "email", one, "unknown") for n, one in live.items()])
    build(org, ledger)
    assert rows(org, "enrichment_wanted", "asked_for") == [("email:in@x.example",)]


def test_an_erasure_empties_what_was_bought(
    org: Org, schema_of: Callable[..., Any], ledger: PurchaseLedger
) -> None:
    """After the ledger has erased a person, the next build has no fact of the person in any file."""
    Crms(org, schema_of)
    buy(ledger, org, "email:ada@firm.example", name="job_title", value="CFO", status="")
    buy(ledger, org, "email:bob@firm.example", name="job_title", value="CEO", status="")
    build(org, ledger)
    ledger.erase(["hash of email:ada@firm.example"], [], apply=True)
    assert build(org, ledger).changed
    assert rows(org, "enrichments", "asked_for, value") == [("email:bob@firm.example", "CEO")]


def test_without_a_provider_nothing_is_made(org: Org, ledger: PurchaseLedger) -> None:
    """Who buys nothing has no tables of it, and no cost."""
    assert build(org, ledger, Enrichment()) == Enriched()
    assert org.tables.current().number == 0


def test_a_deal_that_only_its_stage_closes_is_not_open_nor_is_an_archived_one(
    org: Org, schema_of: Callable[..., Any], ledger: PurchaseLedger
) -> None:
    """Some CRMs say of stages alone whether deals in them are closed, and some set deals aside."""
    archived = FieldMap("Archived__c", "is_archived")
    org.maps = tuple(
        replace(each, fields=(*each.fields, archived)) if each.object == "Opportunity" else each
        for each in org.maps
    )
    org.land(
        schema_of(
            "OpportunityStage", "MasterLabel", "ApiName", "IsClosed:boolean", "IsWon:boolean"
        ),
        [
            {
                "Id": f"01J{n}",
                "MasterLabel": name,
                "ApiName": name,
                "IsClosed": closed,
                "IsWon": "false",
            }
            for n, (name, closed) in enumerate([("Lost", "true"), ("Talks", "false")])
        ],
        complete=True,
    )
    org.land(schema_of("Contact", "LastName", "Email:email", "Title"), [
        {"Id": "003A", "LastName": "Ng", "Email": "a@x.example"},
    ])  # fmt: skip
    org.land(
        schema_of(
            "Opportunity",
            "Name",
            "StageName:picklist",
            "Amount:currency",
            "Archived__c:boolean",
            "ContactId:reference:Contact:Contact",
        ),
        [
            {
                "Id": f"006{n}",
                "Name": "d",
                "StageName": stage,
                "Amount": "10",
                "Archived__c": str(n == 3).lower(),
                "ContactId": "003A",
            }
            for n, stage in enumerate(["Lost", "Talks", "Other", "Talks"])
        ],
    )
    for table in ("stages", "contacts", "deals"):
        org.normalize(table)
    judge(org, [point("acme:Contact:003A", "email", "a@x.example", "unknown")])
    with org.engine() as engine:
        names = {normalized_name("acme", table) for table in ("stages", "contacts", "deals")}
        enrich_tables(org.tables, engine, ledger, CHOICES, names=names, now=org.clock.now())
    assert rows(org, "enrichment_wanted", "open_deals, open_amount") == [(2, Decimal(20))]
