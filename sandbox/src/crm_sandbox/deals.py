"""Deals and the way each took through the stages of a sales process."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from crm_sandbox.companies import noise
from crm_sandbox.stamps import DAY, Integers, as_datetimes, growing


@dataclass(frozen=True)
class Stage:
    """One stage of the sales process."""

    name: str
    probability: int
    forecast: str

    @property
    def closed(self) -> bool:
        """Whether the deal is over."""
        return self.forecast in {"Closed", "Omitted"}

    @property
    def won(self) -> bool:
        """Whether the deal was won."""
        return self.forecast == "Closed"


STAGES = (
    Stage("Prospecting", 10, "Pipeline"),
    Stage("Qualification", 10, "Pipeline"),
    Stage("Needs Analysis", 20, "Pipeline"),
    Stage("Value Proposition", 50, "Pipeline"),
    Stage("Proposal/Price Quote", 75, "Best Case"),
    Stage("Negotiation/Review", 90, "Commit"),
    Stage("Closed Won", 100, "Closed"),
    Stage("Closed Lost", 0, "Omitted"),
)
_OPEN_STAGES = 6


def draw_deals(rng: np.random.Generator, count: int, companies: int, now: int) -> pa.Table:
    """Draw the stage changes of all deals, one row per change, in order of deal and time.

    Columns: `deal`, `step`, `last` (the current state), `stage`, `amount`, `at`, `company`,
    `created`, `close_at`, and the noise columns repeated for each step of a deal.
    """
    created = growing(rng, count, now)
    start = rng.integers(0, 2, count)
    steps = rng.integers(1, _OPEN_STAGES + 1 - start)
    outcome = np.where(rng.random(count) < 0.42, 6, 7)
    waits = (rng.exponential(16 * DAY, (count, _OPEN_STAGES + 1)) + 3600).astype(np.int64)
    waits[:, 0] = 0
    at = created[:, None] + np.cumsum(waits, axis=1)
    column = np.arange(_OPEN_STAGES + 1)[None, :]
    kept = (column <= steps[:, None]) & (at < now - 3600)
    kept[:, 0] = True
    stage = np.where(column == steps[:, None], outcome[:, None], start[:, None] + column)
    amount = _amounts(rng, count)
    deal, step = np.nonzero(kept)
    last = np.concatenate([deal[1:] != deal[:-1], [True]]) if count else np.zeros(0, bool)
    moments = at[deal, step]
    closing = np.where(stage[deal, step] >= _OPEN_STAGES, moments, created[deal] + 90 * DAY)
    company = (companies * rng.random(count) ** 1.6).astype(np.int64)
    columns = {name: values[deal] for name, values in noise(rng, count).items()}
    return pa.table(
        {
            "deal": deal,
            "step": step,
            "last": last,
            "stage": stage[deal, step],
            "amount": amount[deal, step],
            "at": as_datetimes(np.maximum(moments, created[deal])),
            "company": company[deal],
            "created": as_datetimes(created[deal]),
            "close_at": as_datetimes(closing),
            **columns,
        }
    )


def _amounts(rng: np.random.Generator, count: int) -> Integers:
    """Return the amount at every step in whole hundreds: some are negotiated on the way."""
    first = np.maximum(1, rng.lognormal(4.6, 1.1, count))
    factors = np.where(
        rng.random((count, _OPEN_STAGES + 1)) < 0.3, rng.uniform(0.7, 1.25, (count, 1)), 1
    )
    factors[:, 0] = 1
    grown: Integers = np.maximum(1, first[:, None] * np.cumprod(factors, axis=1)).astype(np.int64)
    return grown * 100


def split_amounts(rng: np.random.Generator, deal_amount: Integers, deal: Integers) -> Integers:
    """Split whole amounts over sorted line items so that a deal's items add up exactly."""
    weight = rng.integers(1, 9, len(deal))
    running = np.cumsum(weight)
    first = np.searchsorted(deal, deal, "left")
    after = np.searchsorted(deal, deal, "right")
    before = np.where(first > 0, running[first - 1], 0)
    whole = running[after - 1] - before
    upper = deal_amount[deal] * (running - before) // whole
    lower = deal_amount[deal] * (running - before - weight) // whole
    split: Integers = upper - lower
    return split
