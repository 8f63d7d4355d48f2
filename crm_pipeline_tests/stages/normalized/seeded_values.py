"""Deals, and changes that were done to the values of one of their fields in all of them; what has to be noticed each time."""

import random
from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta
from typing import Any

from crm_pipeline_tests.stages.conftest import Org, schema

Row = dict[str, Any]
Change = Callable[[Row], Row]
_STAGES = ("Prospecting", "Negotiation", "Closed Won", "Closed Lost")
_WORTE = dict(zip(_STAGES, ("Anbahnung", "Verhandlung", "Gewonnen", "Verloren"), strict=True))
_SPECS = (
    *("Name", "Description", "StageName:picklist", "LeadSource:picklist", "OwnerId"),
    *("Amount:currency", "Probability:percent", "CloseDate:date", "LastActivityDate:date"),
    *("Note__c", "Code__c", "Score__c:double", "Region__c", "Due__c:date", "Seen__c:datetime", "Steps__c"),
)  # fmt: skip


def deal(number: int) -> Row:
    """Return an ordinary deal; every field is filled and differs between deals."""
    chance = random.Random(number)
    day = date(2026, 1, 1) + timedelta(days=chance.randrange(300))
    return {
        "Id": f"006{number:05}",
        "Name": f"Deal {number} with {chance.choice('ABCDEFGH')}. Industries of {chance.randrange(999)}",
        "Description": f"{number} " + "text " * chance.randrange(20, 60),
        "StageName": _STAGES[number % 4],
        "LeadSource": ("Web", "Phone", "Partner")[number % 3],
        "OwnerId": f"005{chance.randrange(30):03}",
        "Amount": f"{chance.randrange(1_000, 90_000)}.5",
        "Probability": str(chance.randrange(1, 100)),
        "CloseDate": day.isoformat(),
        "LastActivityDate": (day - timedelta(days=3)).isoformat(),
        "Note__c": f"note {number}",
        "Code__c": f"C-{number:04}",
        "Score__c": str(chance.randrange(1, 500)),
        "Region__c": ("North", "South", "East")[number % 3],
        "Due__c": day.isoformat(),
        "Seen__c": f"2026-01-{1 + number % 28:02}T{number % 24:02}:30:00Z",
        "Steps__c": f"{number} " + "step " * chance.randrange(40, 90),
    }


def put(field: str, value: Callable[[Any], Any]) -> Change:
    """Return a change of one field."""
    return lambda row: {**row, field: value(row[field])}


def times(factor: float) -> Callable[[str], str]:
    return lambda text: f"{float(text) * factor:.6g}"


def turned(text: str) -> str:
    """Swap day and month, as far as that is a day."""
    day = date.fromisoformat(text)
    return day.replace(day=day.month, month=day.day).isoformat() if day.day <= 12 else text


def later(**span: int) -> Callable[[str], str]:
    def moved(text: str) -> str:
        if "T" not in text:
            return (date.fromisoformat(text) + timedelta(**span)).isoformat()
        return (datetime.fromisoformat(text) + timedelta(**span)).isoformat()

    return moved


SEEDED: Mapping[str, tuple[str, str, Change]] = {
    "mapped text emptied": ("emptied", "Description", put("Description", lambda _: "")),
    "mapped choice emptied": ("emptied", "LeadSource", put("LeadSource", lambda _: "")),
    "mapped amount emptied": ("emptied", "Amount", put("Amount", lambda _: "")),
    "mapped day emptied": ("emptied", "CloseDate", put("CloseDate", lambda _: "")),
    "custom text emptied": ("emptied", "Note__c", put("Note__c", lambda _: "")),
    "custom number emptied": ("emptied", "Score__c", put("Score__c", lambda _: "")),
    "name cut": ("truncated", "Name", put("Name", lambda text: text[:12])),
    "description cut": ("truncated", "Description", put("Description", lambda text: text[:40])),
    "custom text cut": ("truncated", "Steps__c", put("Steps__c", lambda text: text[:80] + "...")),
    "amount in cents": ("rescaled", "Amount", put("Amount", times(100))),
    "amount in thousands": ("rescaled", "Amount", put("Amount", times(0.001))),
    "amount in another currency": ("rescaled", "Amount", put("Amount", times(0.92))),
    "percent as a share": ("rescaled", "Probability", put("Probability", times(0.01))),
    "custom number times ten": ("rescaled", "Score__c", put("Score__c", times(10))),
    "day and month swapped": ("day_and_month_swapped", "CloseDate", put("CloseDate", turned)),
    "custom day swapped": ("day_and_month_swapped", "Due__c", put("Due__c", turned)),
    "days one later": ("shifted", "CloseDate", put("CloseDate", later(days=1))),
    "instants in another zone": ("shifted", "Seen__c", put("Seen__c", later(hours=-5))),
    "custom days one earlier": ("shifted", "Due__c", put("Due__c", later(days=-1))),
    "one owner for all": ("constant", "OwnerId", put("OwnerId", lambda _: "005000")),
    "one code for all": ("constant", "Code__c", put("Code__c", lambda _: "n/a")),
    "stages translated": ("translated", "StageName", put("StageName", lambda text: _WORTE[text])),
    "custom choices translated": (
        "translated",
        "Region__c",
        put("Region__c", lambda text: {"North": "Nord", "South": "Sud", "East": "Est"}[text]),
    ),
    "a new lead source": (
        "new_category",
        "LeadSource",
        lambda row: {**row, "LeadSource": "Fair"} if int(row["Id"][3:]) % 7 == 0 else row,
    ),
}  # fmt: skip
"""Name of a case -> kind and field that have to be noticed, and what happens to each record."""


FIELDS = schema("Opportunity", *_SPECS)


def read_again(org: Org, *changes: Change, numbers: range = range(0, 300, 5)) -> None:
    """Land some deals again as they are after the changes, with a later modification."""
    rows = []
    for number in numbers:
        row = {**deal(number), "SystemModstamp": "2026-11-23T00:00:00.000Z"}
        for change in changes:
            row = change(row)
        rows.append(row)
    org.land(org.schema, rows)  # type: ignore[attr-defined]


def noticed(org: Org) -> set[tuple[str, str]]:
    return {(change.kind, change.field) for change in org.guard.register.all()}


def edited(chance: random.Random) -> Change:
    """Return what people do to a deal: a few fields move, some are cleared, an owner takes over many."""

    def edit(row: Row) -> Row:
        made = {
            "StageName": chance.choice(_STAGES),
            "Amount": f"{float(row['Amount']) * chance.uniform(0.5, 2):.2f}",
            "CloseDate": later(days=chance.randrange(1, 90))(row["CloseDate"]),
            "OwnerId": "005007",
            "Note__c": "",
            "Description": row["Description"][: chance.randrange(5, 99)],
            "Probability": str(chance.randrange(100)),
        }
        for field in chance.sample(sorted(made), chance.randrange(1, 4)):
            row = {**row, field: made[field]}
        return row

    return edit
