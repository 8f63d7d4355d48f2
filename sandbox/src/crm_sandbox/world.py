"""The world: the same people, companies and deals, of which each vendor shows its own view.

Vendor-neutral. The truth (which cards are one person, which addresses are dead) stays in columns
and methods that no emulated API serves.
"""

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

import numpy as np
import pyarrow as pa

from crm_sandbox.companies import draw_companies, draw_locales
from crm_sandbox.contacts import Deck, draw_cards
from crm_sandbox.deals import draw_deals
from crm_sandbox.people import People, draw_people
from crm_sandbox.stamps import Integers, seconds_of

_DUPLICATE_SHARE = 0.065


@dataclass(frozen=True)
class World:
    """All people, companies and deals, drawn from one seed when first used.

    Attributes:
        seed: the same seed gives the same world.
        contacts: how many contact cards a CRM of this world has; all other sizes follow.
        now: naive UTC; every time in the world lies before it.
    """

    seed: int
    contacts: int
    now: datetime

    def __post_init__(self) -> None:
        if self.contacts < 20:
            raise ValueError(f"a world needs at least 20 contacts, not {self.contacts}")

    def rng(self, topic: str) -> np.random.Generator:
        """Return a random generator for one topic, independent of all others."""
        return np.random.default_rng([self.seed, *topic.encode()])

    @property
    def epoch(self) -> int:
        """The end of all times in seconds since 1970."""
        return seconds_of(self.now)

    @property
    def company_count(self) -> int:
        """How many companies there are."""
        return max(5, self.contacts // 8)

    @property
    def contact_persons(self) -> int:
        """How many different persons the contact cards show."""
        return self.contacts - max(1, round(self.contacts * _DUPLICATE_SHARE))

    @cached_property
    def _company_locales(self) -> Integers:
        return draw_locales(self.rng("company locales"), self.company_count)

    @cached_property
    def people(self) -> People:
        """The true persons; about half of them are customers, the others only leads."""
        count = self.contacts + self.contacts // 4
        return draw_people(self.rng("people"), count, self._company_locales, self.company_count)

    def companies(self) -> pa.Table:
        """The companies in order of their creation."""
        return draw_companies(self.rng("companies"), self._company_locales, self.epoch)

    def contact_cards(self, crm: str, companies: pa.Table) -> pa.Table:
        """Return the contacts of one CRM; the persons are shared with the other CRMs."""
        deck = Deck(self.contacts, 0, self.contact_persons, burst=True)
        return draw_cards(self.rng(f"{crm} contacts"), self.people, companies, deck, self.epoch)

    def lead_cards(self, crm: str, companies: pa.Table) -> pa.Table:
        """Return the leads of one CRM; three in ten are also among its contacts."""
        count = max(10, self.contacts // 4)
        persons = count - max(1, round(count * _DUPLICATE_SHARE))
        start = max(0, self.contact_persons - round(0.3 * persons))
        deck = Deck(count, start, persons)
        return draw_cards(self.rng(f"{crm} leads"), self.people, companies, deck, self.epoch)

    def deal_steps(self, crm: str) -> pa.Table:
        """Return the stage changes of one CRM's deals."""
        count = max(10, self.contacts // 6)
        return draw_deals(self.rng(f"{crm} deals"), count, self.company_count, self.epoch)
