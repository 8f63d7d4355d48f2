"""Answers about people: leads, contacts, campaigns, consent."""

import re
from collections.abc import Iterator
from datetime import date
from typing import Any

from crm_pipeline_tests.meaning.questions_deals import (
    Lines,
    count_unrated,
    in_pipeline,
    middle,
    rounded,
    share,
)
from crm_pipeline_tests.meaning.questions_work import happened, text_of
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


def _earned(rows: Rows) -> dict[tuple[str, str], list[tuple[Row, int]]]:
    """Return the won deals that each campaign shares in, and among how many campaigns."""
    answers = _answered(rows)
    people = rows.grouped("deal_contacts", lambda link: link["deal_key"])
    earned: dict[tuple[str, str], list[tuple[Row, int]]] = {}
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
        for campaign in credited:
            earned.setdefault((deal["connection"], campaign), []).append((deal, len(credited)))
    return earned


def attribution(rows: Rows) -> Lines:
    """04."""
    named = rows.by("campaigns", "campaign_key") | rows.by("campaigns_deleted", "campaign_key")
    for (connection, key), parts in _earned(rows).items():
        campaign = named.get(key, {})
        main = rows.accounts[connection].currency
        currency = campaign.get("currency") or main
        cost = campaign.get("actual_cost")
        unrated = count_unrated(deal for deal, _ in parts)
        known = [(deal["amount_main"], among) for deal, among in parts if deal.get("amount_main")]
        some = any(deal.get("amount_main") is not None for deal, _ in parts)
        amount = sum(float(main_amount) / among for main_amount, among in known) if some else None
        has_return = currency == main and cost and amount is not None and not unrated
        yield (
            connection,
            campaign.get("name") or key,
            len(parts),
            main,
            rounded(amount, 2),
            cost,
            currency,
            rounded(float(amount) / float(cost), 2) if has_return and amount is not None else None,
            unrated,
        )


def _days_to_convert(rows: Rows, lead: Row) -> int | None:
    if lead.get("converted_on") is None:
        return None
    return (lead["converted_on"] - rows.account(lead).day(lead["created_at"])).days


_FROM_OUTSIDE = {"inbound", "missed", "internal"}
_REACHED_NOBODY = {"busy", "no_answer", "missed"}


def _touched(rows: Rows) -> dict[str, list[Any]]:
    """Return when a user first contacted each lead, itself or through its contact."""
    leads_of = rows.grouped("leads", lambda lead: lead.get("contact_key"))
    leads_of.pop(None, None)
    touched: dict[str, list[Any]] = {}
    for activity, moment in happened(rows):
        directions = {text_of(activity, name) for name in ("call_direction", "email_direction")}
        if directions & _FROM_OUTSIDE or text_of(activity, "status") in _REACHED_NOBODY:
            continue
        meant = set(activity.get("leads") or ())
        if not meant:
            contacts = activity.get("contacts") or ()
            meant = {lead["lead_key"] for contact in contacts for lead in leads_of.get(contact, ())}
        for lead in meant:
            touched.setdefault(lead, []).append(moment)
    return touched


def lead_response(rows: Rows) -> Lines:
    """05."""
    touched = _touched(rows)
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
        for address in addresses_of(contact):
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


def within(text: str | None) -> set[str]:
    """Return what stands around each @ of a text, without spaces."""
    around = re.findall(r"[^\s<>,;]+\s*@\s*[^\s<>,;]+", text or "")
    return {re.sub(r"\s", "", part).lower() for part in around}


def is_address(text: str | None) -> bool:
    """Say whether a text has the form of an e-mail address."""
    return bool(text and re.search(r"^[^@\s]+@[^@\s]+\.[^@\s]+$", text, re.ASCII))


def _is_refusal(person: Row) -> bool:
    return any(
        person.get(name) is True for name in ("email_opt_out", "email_bounced", "is_quarantined")
    )


def _may_be_written_to(contact: Row) -> bool:
    is_known = contact.get("email_opt_out") is not None
    return is_known and is_address(contact.get("email")) and not _is_refusal(contact)


def email_quality(rows: Rows) -> Lines:
    """09."""
    for connection, contacts in rows.grouped("contacts", lambda c: c["connection"]).items():
        yield (
            connection,
            len(contacts),
            sum(c.get("email") is None for c in contacts),
            sum(c.get("email") is not None and not is_address(c["email"]) for c in contacts),
            sum(c.get("email_verdict") == "undeliverable" for c in contacts),
            sum(c.get("email_verdict") == "risky" for c in contacts),
            sum(bool(c.get("email")) and c.get("email_verdict") is None for c in contacts),
            sum(c.get("email_bounced") is True for c in contacts),
            sum(c.get("is_quarantined") is True for c in contacts),
            sum(c.get("email_opt_out") is True for c in contacts),
            sum(c.get("email_opt_out") is None for c in contacts),
            sum(
                _may_be_written_to(c) and c.get("email_verdict") != "undeliverable"
                for c in contacts
            ),
        )


def addresses_of(person: Row) -> set[str]:
    """Return all addresses of a person as they are compared."""
    listed = [entry["value"] for entry in person.get("emails") or ()]
    return {plain_address(one) for one in (person.get("email"), *listed) if one} - {""}


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
