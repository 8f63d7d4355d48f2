"""Stage what happens around people and deals: activities and notes."""

from typing import Any

import numpy as np
import pyarrow as pa

from crm_sandbox.companies import noise
from crm_sandbox.pipedrive.staging import Staging
from crm_sandbox.stamps import Integers
from crm_sandbox.vocabulary import NASTY_VALUES


def stage_engagement(staging: Staging) -> None:
    """Stage activities and notes."""
    people = staging.world.contacts
    _stage_activities(staging, people // 2 + people // 8)
    _stage_notes(staging, max(12, people // 6))


def _stage_activities(staging: Staging, count: int) -> None:
    rng = staging.rng("activities")
    columns = staging.life(rng, count, deleted=0.02)
    kinds = pa.array(staging.plan.activity_types)
    staging.add(
        "activities",
        columns
        | noise(rng, count)
        | _about(staging, rng, count)
        | {
            "touched": staging.unstamped(columns["touched"], columns["deleted"]),
            "type": kinds.take(pa.array(rng.integers(0, len(kinds), count))),
        },
    )


def _stage_notes(staging: Staging, count: int) -> None:
    rng = staging.rng("notes")
    nasty = np.full(count, None, dtype=object)
    nasty[1::9] = np.resize(np.array(NASTY_VALUES, dtype=object), len(nasty[1::9]))
    staging.add(
        "notes",
        staging.life(rng, count, deleted=0.02)
        | noise(rng, count)
        | _about(staging, rng, count)
        | {"nasty": pa.array(nasty, pa.string())},
    )


def _about(staging: Staging, rng: np.random.Generator, count: int) -> dict[str, Any]:
    """Draw what it is about: a lead, or a person with company, and perhaps a deal."""
    person = rng.integers(0, staging.world.contacts, count)
    is_lead = rng.random(count) < 0.12
    has_person = (rng.random(count) < 0.8) & ~is_lead
    deals = len(staging.deal_company)
    deal: Integers = np.where(
        (rng.random(count) < 0.35) & ~is_lead, rng.integers(0, deals, count), -1
    )
    lead: Integers = np.where(is_lead, rng.integers(0, staging.sizes["leads"], count), -1)
    return {
        "person_id": pa.array(person + 1, mask=~has_person),
        "org_id": pa.array(staging.person_company[person] + 1, mask=is_lead),
        "deal_id": pa.array(deal + 1, mask=deal < 0),
        "lead": lead,
    }
