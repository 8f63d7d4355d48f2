"""What buying would do now: how many persons it would ask about, and for how much."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from crm_pipeline.stages.enriched.buying import PERSON, Candidate, Shop, orders_of


@dataclass(frozen=True)
class Outlook:
    """What would be bought.

    Attributes:
        wanted: persons who are wanted, and `known` those of them who were asked about before.
        most_each: the most that one costs, in the provider's unit.
        left: what is left of the budgets; None where there is no bound.
        money: the price of `most`, "" where connections.yaml does not say what a credit costs.
    """

    provider: str
    unit: str
    wanted: int
    known: int
    most_each: int
    left: int | None
    money: str = ""
    currency: str = ""

    @property
    def affordable(self) -> int:
        """How many persons would be asked about."""
        fresh = self.wanted - self.known
        return (
            fresh
            if self.left is None or not self.most_each
            else min(fresh, self.left // self.most_each)
        )

    @property
    def most(self) -> int:
        """The most that it would cost."""
        return self.affordable * self.most_each


def outlook(shop: Shop, wanted: Iterable[Candidate], now: datetime) -> Outlook:
    """Return what `buy` would do with the same arguments; nothing is recorded, and the provider is not asked."""
    people = list(wanted)
    orders = orders_of(shop, people)
    spent = shop.ledger.spending(shop.provider, shop.run, now, shop.budget.renews_on)
    known = len(orders) - shop.ledger.unknown(shop.provider, PERSON, list(orders), now)
    provider, most_each = shop.enricher.provider, shop.most_each
    found = Outlook(
        shop.provider, provider.unit, len(orders), known, most_each, shop.budget.left(spent)
    )
    if provider.price is None:
        return found
    money = f"{provider.price.per_credit * found.most:.2f}"
    return Outlook(**{**vars(found), "money": money, "currency": provider.price.currency})
