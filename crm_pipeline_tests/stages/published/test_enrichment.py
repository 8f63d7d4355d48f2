"""What was bought, as analysts read it: against a computation contact by contact."""

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from crm_pipeline.model.enriched_tables import BOUGHT_ONLY, ENRICHMENTS, TAKEN
from crm_pipeline.model.stages import ENRICHED
from crm_pipeline_tests.stages.conftest import Org
from crm_pipeline_tests.stages.published.judged import judge, point, write

Row = dict[str, Any]
_AT = datetime(2026, 11, 20, tzinfo=UTC)
_PLAIN = {
    "title": "Title",
    "department": "Department",
    "mobile_phone": "MobilePhone",
    "city": "MailingCity",
}


def contact(number: int, chance: random.Random) -> Row:
    """Return a contact with gaps."""
    filled = {field: chance.choice(["", f"{field} {number}"]) for field in _PLAIN.values()}
    address = chance.choice(["", f"P{chance.randrange(12)}@x.example", f"bad {number}"])
    return {"Id": f"003{number:02}", "LastName": f"Ng {number}", "Email": address, **filled}


def purchase(number: int, chance: random.Random) -> list[Row]:
    """Return the rows of a purchase: a match with some facts, or a miss."""
    by_name = chance.random() < 0.3
    asked_for = f"name:ng {number}@x.example" if by_name else f"email:p{number}@x.example"
    always = {
        "asked_for": asked_for,
        "kind": "person",
        "provider": chance.choice(["prospeo", "other"]),
        "bought_at": _AT + timedelta(hours=chance.randrange(200)),
        "cost": chance.choice([0, 1, 10]),
        "is_free": chance.random() < 0.2,
        "records": [f"acme:Contact:003{number:02}"] if by_name else [],
    }
    if chance.random() < 0.2:
        return [{**always, "status": "no_match", "position": 1}]
    names = chance.sample(sorted({*TAKEN.values(), *BOUGHT_ONLY}), chance.randrange(1, 7))
    return [
        {
            **always,
            "status": "match",
            "position": place,
            "field": name,
            "value": f"{name} of {number}",
        }
        for place, name in enumerate(names, 1)
    ]


def expected(row: Row, facts: list[Row]) -> Row:
    """Compute what the view has to say about a contact."""
    is_address = "@" in row["Email"]
    mine = [
        fact
        for fact in facts
        if fact["status"] == "match"
        and (
            f"acme:Contact:{row['Id']}" in fact["records"]
            or (is_address and fact["asked_for"] == f"email:{row['Email'].lower()}")
        )
    ]
    last = max(mine, key=lambda fact: (fact["bought_at"], fact["asked_for"]), default=None)
    bought = {f["field"]: f["value"] for f in mine if last and f["asked_for"] == last["asked_for"]}
    found: Row = {name: bought.get(name) for name in BOUGHT_ONLY}
    for column, field in TAKEN.items():
        own = row.get(_PLAIN.get(column, ""), "")
        if column == "email":
            own = row["Email"] if is_address else ""
        provider = last["provider"] if last and field in bought else None
        found[column] = own or bought.get(field)
        found[f"{column}_from"] = "crm" if own else provider
    return found


@pytest.mark.parametrize("seed", range(2))
def test_gaps_are_filled_and_say_where_from(org: Org, schema_of: Any, seed: int) -> None:
    """A value of the CRM stands; a gap has the last purchase of the person, by address or by record; misses fill nothing."""
    chance = random.Random(seed)
    contacts = [contact(number, chance) for number in range(20)]
    facts = [row for number in range(12) for row in purchase(number, chance)]
    fields = ("LastName", "Email:email", *_PLAIN.values())
    org.land(schema_of("Contact", *fields), contacts)
    org.normalize("contacts")
    judge(
        org,
        [
            point(
                f"acme:Contact:{c['Id']}",
                "email",
                c["Email"],
                "unknown" if "@" in c["Email"] else "undeliverable",
            )
            for c in contacts
            if c["Email"]
        ],
    )
    columns = [
        {"name": c.name, "type": c.type, "description": c.description} for c in ENRICHMENTS.columns
    ]
    with org.tables.stage(ENRICHED.stored_name(ENRICHMENTS.name), ENRICHMENTS.key) as staged:
        write(ENRICHMENTS, facts, str(staged.path()))
        staged.commit(None, len(facts), {"live": len(facts), "columns": columns})
    org.publish()
    wanted = expected(contacts[0], facts)
    listed = ", ".join(f"e.{name}" for name in wanted)
    rows = org.query(
        f"SELECT c.source_id, {listed} FROM crm.contacts_enriched e JOIN crm.contacts c USING (contact_key)"
    )
    found = {row[0]: dict(zip(wanted, row[1:], strict=True)) for row in rows}
    assert found == {each["Id"]: expected(each, facts) for each in contacts}
    sums = org.query("SELECT sum(purchases), sum(credits), sum(free) FROM ops.enrichment")
    first = [row for row in facts if row["position"] == 1]
    assert sums == [(len(first), sum(r["cost"] for r in first), sum(r["is_free"] for r in first))]
