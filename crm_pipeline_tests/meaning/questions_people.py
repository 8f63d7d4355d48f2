"""Answers about people: leads, contacts, campaigns, consent."""

import re
from collections.abc import Iterator
from datetime import date
from typing import Any

from crm_pipeline_tests.meaning.questions_deals import (
    Lines,
    in_pipeline,
    middle,
    rounded,
    share,
    total,
)
from crm_pipeline_tests.meaning.questions_work import happened
from crm_pipeline_tests.meaning.rows import Row, Rows


def _answered(rows: Rows) -> dict[str, list[tuple[str, date]]]:
    """Return which campaigns each contact answered, and on what day."""
    converted = {lead["lead_key"]: lead.get("converted_contact_key") for lead in rows.of("leads")}
    answers: dict[str, list[tuple[str, date]]] = {}
    for member in rows.of("campaign_members"):
        person = member.get("contact_key") or converted.get(member.get("lead_key", ""))
        answered = member.get("first_responded_on")
        if member.get("has_responded") and person and answered:
            answers.setdefault(person, []).append((member["campaign_key"], answered))
    return answers


def _earned(rows: Rows) -> dict[tuple[str, str], list[float | None]]:
    """Return what each campaign gets of each won deal."""
    answers = _answered(rows)
    people = rows.grouped("deal_contacts", lambda link: link["deal_key"])
    earned: dict[tuple[str, str], list[float | None]] = {}
    for deal in rows.of("deals"):
        if not deal.get("is_won"):
            continue
        touched = {
            campaign
            for link in people.get(deal["deal_key"], ())
            for campaign, day in answers.get(link["contact_key"], ())
            if deal.get("close_date") and day <= deal["close_date"]
        }
        own = deal.get("campaign_key")
        credited = touched or ({own} if own else set())
        amount = deal.get("amount_main")
        for campaign in credited:
            part = None if amount is None else float(amount) / len(credited)
            earned.setdefault((deal["connection"], campaign), []).append(part)
    return earned


def attribution(rows: Rows) -> Lines:
    """04."""
    named = rows.by("campaigns", "campaign_key") | rows.by("campaigns_deleted", "campaign_key")
    for (connection, key), parts in _earned(rows).items():
        campaign = named.get(key, {})
        main = rows.accounts[connection].currency
        currency = campaign.get("currency") or main
        cost = campaign.get("actual_cost")
        amount = total(parts)
        has_return = currency == main and cost and amount is not None
        yield (
            connection,
            campaign.get("name") or key,
            len(parts),
            main,
            rounded(amount, 2),
            cost,
            currency,
            rounded(amount / float(cost), 2) if has_return else None,
        )


def _days_to_convert(rows: Rows, lead: Row) -> int | None:
    if lead.get("converted_on") is None:
        return None
    return (lead["converted_on"] - rows.account(lead).day(lead["created_at"])).days


def lead_response(rows: Rows) -> Lines:
    """05."""
    touched: dict[str, list[Any]] = {}
    for activity, moment in happened(rows):
        for lead in activity.get("leads") or ():
            touched.setdefault(lead, []).append(moment)
    for (connection, source), leads in rows.grouped(
        "leads", lambda lead: (lead["connection"], lead.get("source") or "(unknown)")
    ).items():
        hours = []
        for lead in leads:
            after = [t for t in touched.get(lead["lead_key"], ()) if t >= lead["created_at"]]
            if after:
                hours.append((min(after) - lead["created_at"]).total_seconds() / 3600)
        yield (
            connection,
            source,
            len(leads),
            len(hours),
            rounded(middle(hours), 1),
            share(sum(hour < 24 for hour in hours), len(leads)),
            sum(lead.get("is_converted") is True for lead in leads),
            middle(_days_to_convert(rows, lead) for lead in leads),
        )


def cohorts(rows: Rows) -> Lines:
    """16."""
    for (connection, month), leads in rows.grouped(
        "leads",
        lambda lead: (
            lead["connection"],
            f"{rows.account(lead).day(lead['created_at']):%Y-%m}",
        ),
    ).items():
        known = [lead for lead in leads if lead.get("is_converted") is not None]
        converted = [lead for lead in known if lead["is_converted"]]
        waits = [_days_to_convert(rows, lead) for lead in converted]
        yield (
            connection,
            month,
            len(leads),
            len(converted),
            len(leads) - len(known),
            share(len(converted), len(known)),
            sum(days is not None and days <= 30 for days in waits),
        )


def duplicates(rows: Rows) -> Lines:
    """07."""
    cards: dict[str, list[Row]] = {}
    for contact in rows.of("contacts"):
        listed = [entry["value"] for entry in contact.get("emails") or ()]
        every = {plain_address(one) for one in (contact.get("email"), *listed) if one}
        for address in every - {""}:
            cards.setdefault(address, []).append(contact)
    for address, shared in cards.items():
        if len(shared) > 1:
            ordered = sorted(
                shared,
                key=lambda c: (c["connection"], c.get("full_name") or "\uffff", c["contact_key"]),
            )
            who = [f"{c.get('full_name') or '(no name)'}, {c['connection']}" for c in ordered]
            yield address, len(shared), len({c["connection"] for c in shared}), who


def plain_address(text: str) -> str:
    """Return an address as it is compared."""
    return text.strip(" ").lower()


def is_address(text: str | None) -> bool:
    """Say whether a text has the form of an e-mail address."""
    return bool(text and re.search(r"^[^@\s]+@[^@\s]+\.[^@\s]+$", text, re.ASCII))


def _may_be_written_to(contact: Row) -> bool:
    return (
        is_address(contact.get("email"))
        and contact.get("email_bounced") is not True
        and contact.get("email_opt_out") is False
    )


def email_quality(rows: Rows) -> Lines:
    """09."""
    for connection, contacts in rows.grouped("contacts", lambda c: c["connection"]).items():
        yield (
            connection,
            len(contacts),
            sum(c.get("email") is None for c in contacts),
            sum(c.get("email") is not None and not is_address(c["email"]) for c in contacts),
            sum(c.get("email_bounced") is True for c in contacts),
            sum(c.get("email_opt_out") is True for c in contacts),
            sum(c.get("email_opt_out") is None for c in contacts),
            sum(map(_may_be_written_to, contacts)),
        )


def consenting(rows: Rows) -> Lines:
    """21."""
    refused = {
        plain_address(person["email"])
        for table in ("contacts", "leads")
        for person in rows.of(table)
        if person.get("email") and (person.get("email_opt_out") or person.get("email_bounced"))
    }
    companies = rows.by("companies", "company_key")
    for contact in rows.of("contacts"):
        if _may_be_written_to(contact) and plain_address(contact["email"]) not in refused:
            yield (
                contact["connection"],
                contact.get("full_name"),
                contact["email"],
                companies.get(contact.get("company_key"), {}).get("name"),
                contact.get("lawful_basis"),
            )


def contacts_of_deals(rows: Rows) -> Iterator[tuple[Any, ...]]:
    """18."""
    people = rows.by("contacts", "contact_key")
    companies = rows.by("companies", "company_key")
    links = rows.grouped("deal_contacts", lambda link: link["deal_key"])
    for deal in filter(in_pipeline, rows.of("deals")):
        company = companies.get(deal.get("company_key"), {}).get("name")
        head = (
            deal["connection"],
            deal["name"],
            company,
            deal.get("amount"),
            deal.get("currency"),
        )
        linked = links.get(deal["deal_key"], ())
        for link in linked:
            person = people.get(link["contact_key"], {})
            roles = link.get("roles")
            yield (
                *head,
                person.get("full_name"),
                person.get("title"),
                person.get("email"),
                ", ".join(sorted(roles or ())) or None,
                link.get("is_primary"),
            )
        if not linked:
            yield (*head, None, None, None, None, None)
