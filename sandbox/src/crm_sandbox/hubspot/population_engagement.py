"""Stage what people do - tasks, notes, meetings, calls, e-mails - and the portal's own object type."""

from typing import Any

import numpy as np

from crm_sandbox.hubspot.staging import Staging, ids_of

_SHARES = {"tasks": 4, "notes": 6, "meetings": 10, "calls": 6, "emails": 4}


def stage_engagement(staging: Staging) -> dict[str, str]:
    """Stage activities; most are about a contact and its company, some about a deal or a ticket."""
    made = {}
    for name, share in _SHARES.items():
        count = max(5, staging.world.contacts // share)
        rng = staging.rng(name)
        columns = staging.born(rng, count)
        columns["at_ms"] = columns["created_ms"] // 60_000 * 60_000
        made[name] = staging.stage(name, columns)
        contact = rng.integers(0, staging.world.contacts, count)
        known = rng.random(count) < 0.85
        _link(staging, name, "contacts", staging.contact_ids[contact], known)
        _link(staging, name, "companies", ids_of(staging.company_of[contact]), known)
        deal = ids_of(rng.integers(0, len(staging.deal_company), count))
        _link(staging, name, "deals", deal, rng.random(count) < 0.3)
        tickets = max(5, staging.world.contacts // 8)
        ticket = ids_of(rng.integers(0, tickets, count))
        _link(staging, name, "tickets", ticket, rng.random(count) < 0.1)
    return made


def stage_assets(staging: Staging, name: str) -> dict[str, str]:
    """Stage the records of the object type that the portal made itself."""
    count = max(5, staging.world.contacts // 10)
    rng = staging.rng(name)
    columns = staging.born(rng, count)
    made = {name: staging.stage(name, columns)}
    contact = rng.integers(0, staging.world.contacts, count)
    known = rng.random(count) < 0.8
    _link(staging, name, "contacts", staging.contact_ids[contact], known)
    _link(staging, name, "companies", ids_of(staging.company_of[contact]), known)
    return made


def _link(staging: Staging, name: str, other: str, ids: Any, which: Any) -> None:
    plain = staging.link_types.plain(name, other)
    assert plain is not None
    numbers = ids_of(np.arange(len(ids)))
    staging.link(name, other, numbers, ids, {plain.id: which})
