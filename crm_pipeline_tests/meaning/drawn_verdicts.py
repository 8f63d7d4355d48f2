"""Verdicts for the people of a drawn world, as a stage would have left them: some are missing, some are old.

What an address or a number is good for is drawn, not judged: the questions ask what follows from verdicts.
"""

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from crm_pipeline_tests.meaning.rows import Row, Rows

_TABLES = {"contacts": "contact_key", "leads": "lead_key"}
_NUMBERS = (None, "0000000", "+1 650 253 0000", "030 1234")
_INVALID = {"0000000": ["placeholder"], "030 1234": ["too_short", "no_region"]}
_UNJUDGED = 0.15


def judge(rows: Rows, seed: int = 7) -> None:
    """Add further people, and verdicts on everybody."""
    rng = random.Random(seed)
    for connection in rows.accounts:
        rows.add("contacts", _special(connection))
        rows.add("leads", _special_leads(connection))
        rows.add("contacts_deleted", _special_deleted(connection))
        rows.add("companies", [_company(connection)])
    for table, key in _TABLES.items():
        for row in rows.of(table):
            _change(rows, row, rng)
            _judge_emails(rows, table, row[key], row, rng)
            _judge_phones(rows, table, row[key], row, rng.choice(_NUMBERS))
    for row in rows.of("companies"):
        _judge_phones(rows, "companies", row["company_key"], row, row.get("phone"))


def _special(connection: str) -> list[Row]:
    """People whose fields hold more than an address; some opted out, one is in quarantine."""
    texts = {
        "V1": ("Ann <p3@x.co>", connection == "hub"),
        "V2": ("p4@x.co; p5@x.co", connection == "pipe"),
        "V3": ("fresh@x.co", connection != "hub" or None),
        "V4": ("FRESH@x.co", False),
        "V5": (f"only.{connection}@x.co", None),
        "V6": (f"Only.{connection}@gmial.com", False),
        "V7": (f"twice.{connection}@x.co", False),
        "V8": (f"Twice.{connection}@X.co", None),
        "V9": (f"mailto:spelled.{connection}@x.co", True),
        "V10": (f"spelled.{connection}@x.co", False),
        "V11": ("erst@x.co", False),
        "V12": ("zweit@x.co", False),
        "V13": ("mailto:held@x.co", False),
        "V14": ("held@x.co", False),
    }
    return [
        {
            "connection": connection,
            "contact_key": f"{connection}:C:{number}",
            "full_name": f"Special {number}",
            "email": email,
            "emails": [],
            "email_opt_out": refused,
            "is_quarantined": number == "V13",
            "source": "Mail" if number == "V10" else None,
        }
        for number, (email, refused) in texts.items()
    ]


def _special_deleted(connection: str) -> Iterator[Row]:
    """Deleted people who opted out; nobody judges texts that only deleted people have."""
    for number, email in (("V1", "Ann <Erst@x.co>"), ("V2", "zweit @ x.co")):
        yield {
            "connection": connection,
            "contact_key": f"{connection}:C:deleted {number}",
            "email": email,
            "emails": [],
            "email_opt_out": True,
        }


def _special_leads(connection: str) -> Iterator[Row]:
    """Leads with the address of a contact, and with one that nobody else has, converted or not."""
    for number, email, is_converted in (
        ("V1", f"only.{connection}@x.co", False),
        ("V2", f"lead.{connection}@x.co", None),
        ("V3", f"gone.{connection}@x.co", True),
    ):
        yield {
            "connection": connection,
            "lead_key": f"{connection}:L:{number}",
            "email": email,
            "email_opt_out": False,
            "is_converted": is_converted,
            "created_at": datetime(2026, 10, 1, 12, tzinfo=UTC),
        }


def _company(connection: str) -> Row:
    key = f"{connection}:A:V"
    return {"connection": connection, "company_key": key, "name": "Vast", "phone": "0000000"}


def _change(rows: Rows, row: Row, rng: random.Random) -> None:
    row["modified_at"] = rows.published_at - timedelta(days=rng.randrange(4))
    row["source"] = row.get("source") or rng.choice((None, "Web", "Fair"))
    row["country"] = rng.choice((None, "DE"))


def normal_forms(text: str) -> list[str | None]:
    """Take a field apart into the normal forms of its addresses; None for what is none."""
    parts = text.replace("mailto:", "").replace("Ann <", "").replace(">", "").split(";")
    found: list[str | None] = []
    for part in parts:
        local, at, domain = part.strip().partition("@")
        found.append(f"{local}@{domain.lower()}" if at else None)
    return found


def _verdict(address: str | None) -> Row:
    """Say what an address is good for, the same for all who have it."""
    if address is None:
        return {"verdict": "undeliverable", "reasons": ["bad_syntax"]}
    if address.lower().endswith("gmial.com"):
        meant = address.replace("gmial.com", "x.co")
        return {"verdict": "risky", "reasons": ["typo"], "suggestion": meant}
    number = sum(map(ord, address.lower())) % 10
    if number == 0:
        return {"verdict": "undeliverable", "reasons": ["no_mx"]}
    if number == 1:
        known = f"q{len(address) % 4}@x.co"
        return {"verdict": "risky", "reasons": ["typo", "free_provider"], "suggestion": known}
    return {"verdict": ("unknown", "deliverable", "risky")[number % 3], "reasons": []}


def _judge_emails(rows: Rows, table: str, key: str, row: Row, rng: random.Random) -> None:
    texts = [row["email"]] if row.get("email") else []
    texts += [entry["value"] for entry in row.get("emails") or () if entry["value"] not in texts]
    is_judged = rng.random() >= _UNJUDGED and "fresh" not in str(row.get("email"))
    position = 0
    for text in texts:
        for place, address in enumerate(normal_forms(text), 1):
            found = _verdict(address)
            _judge_text(rows, text, place, address, found)
            position += 1
            is_primary = text == row.get("email")
            # Of those who are not judged, the address from before is.
            value, normal = (text, address) if is_judged else ("old@x.co", "old@x.co")
            point = {"value": value, "normalized": normal, "position": position, **found}
            more = {"kind": "email", "label": "main", "is_primary": is_primary}
            _point(rows, table, key, row, {**point, **more})
    if is_judged and row.get("email"):
        first = normal_forms(row["email"])[0]
        row["email_normalized"], row["email_verdict"] = first, _verdict(first)["verdict"]


def _judge_text(rows: Rows, text: str, place: int, address: str | None, found: Row) -> None:
    known = {(row["value"], row["position"]) for row in rows.of("email_verdicts")}
    if (text, place) not in known:
        row = {"value": text, "position": place, "email_normalized": address, **found}
        rows.add("email_verdicts", [row])


def _judge_phones(rows: Rows, table: str, key: str, row: Row, number: str | None) -> None:
    if number is None:
        return
    reasons = _INVALID.get(number, [])
    verdict = "invalid" if reasons else "valid"
    row["phone" if table == "companies" else "primary_phone"] = number
    row["phone_verdict"] = verdict
    region = "" if "no_region" in reasons else "DE"
    point = {"value": number, "position": 1, "verdict": verdict, "reasons": reasons}
    more = {"kind": "phone", "label": "mobile", "is_primary": True, "region": region}
    _point(rows, table, key, row, {**point, **more})


def _point(rows: Rows, table: str, key: str, row: Row, point: dict[str, Any]) -> None:
    whose = {"connection": row["connection"], "table_name": table, "record_key": key}
    rows.add("contact_points", [{**whose, **point}])
