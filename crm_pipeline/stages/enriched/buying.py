"""Buy facts about wanted persons: reserve, ask, settle, one answer at a time, until the budget ends."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from crm_pipeline.kernel.clock import Clock
from crm_pipeline.kernel.errors import AuthFailed, NotPermitted
from crm_pipeline.settings import Settings
from crm_pipeline.settings.enrichment import Enrichment
from crm_pipeline.stages.enriched.account_meter import AccountMeter
from crm_pipeline.store.landing.tombstones import Tombstones, address_digest
from crm_pipeline.store.purchases import Budget, Order, PurchaseLedger, Settlement
from crm_pipeline.store.tokens.hash_key import HashKey

if TYPE_CHECKING:
    from crm_pipeline.providers import Answer, Enricher, Person, Wanted

PERSON = "person"
_PURPOSE = "purchase"
_AT_ONCE = 200
_SOON = timedelta(hours=1)
_TOMORROW = timedelta(days=1)
_FEW = 2
"""So many answers about other persons are single mistakes of the provider."""
_UNASKED = frozenset({"no_credit", "retry_later"})
"""Outcomes that end a run: whoever comes next would have the same one."""


@dataclass(frozen=True)
class Candidate:
    """A wanted person, with the keys of all records."""

    person: "Person"
    records: tuple[str, ...] = ()


@dataclass
class Bought:
    """What a run has bought.

    Attributes:
        outcomes: number of answers by outcome.
        cost: credits.
        known: wanted persons who were asked about before.
        underway: wanted persons whom another run asks about, or one that ended early did; see `LEASE` of the ledger.
        erased: wanted persons who were erased, and were not asked about.
        beyond_budget: persons for whom no budget was left.
        unexplained: credits that the provider's account lost beside those that were counted.
        stopped: why the run ended early; "" where it did not.
    """

    outcomes: Counter[str] = field(default_factory=Counter)
    cost: int = 0
    known: int = 0
    underway: int = 0
    erased: int = 0
    beyond_budget: int = 0
    unexplained: int = 0
    stopped: str = ""

    @property
    def asked(self) -> int:
        """How many persons were asked about; for others there were no credits, or the provider could not be reached."""
        return self.outcomes.total() - sum(self.outcomes[name] for name in _UNASKED)

    @property
    def match_rate(self) -> float | None:
        """The share of matches among the answers that decide; None where there are none."""
        decided = self.outcomes["match"] + self.outcomes["no_match"]
        return self.outcomes["match"] / decided if decided else None


@dataclass(frozen=True)
class Shop:
    """All that buying needs.

    Attributes:
        ledger: where purchases are recorded.
        enricher: the opened provider.
        choices: what is bought.
        budget: the most to spend.
        key: of the hashes of subjects.
        tombstones: of erased persons.
        run: names the run.
        clock: the present.
    """

    ledger: PurchaseLedger
    enricher: "Enricher"
    choices: Enrichment
    budget: Budget
    key: HashKey
    tombstones: Tombstones
    run: str
    clock: Clock

    @property
    def provider(self) -> str:
        """The provider's name."""
        return self.enricher.provider.name

    @property
    def wanted(self) -> "Wanted":
        """What is bought about each person."""
        from crm_pipeline.providers import Wanted

        return Wanted(
            mobile=self.choices.mobile, only_verified_email=self.choices.only_verified_email
        )

    @property
    def most_each(self) -> int:
        """The most that one person may cost."""
        return self.enricher.most_cost(self.wanted)

    def less(self, spent: int) -> "Shop":
        """Return the shop with less to spend."""
        return replace(self, budget=self.budget.less(spent)) if spent else self

    def is_erased(self, person: "Person") -> bool:
        """Say whether a person was erased, and must not be asked about."""
        digest = address_digest(self.key, person.email) if person.email else ""
        return digest in self.tombstones.addresses


def shop_of(
    settings: Settings, enricher: "Enricher", ledger: PurchaseLedger, run: str, clock: Clock
) -> Shop:
    """Return all that buying needs, from the settings and an opened provider."""
    budget = enricher.provider.budget
    return Shop(
        ledger,
        enricher,
        settings.enrichment,
        Budget(budget.run, budget.day, budget.month, enricher.provider.renews_on),
        HashKey.of(settings),
        Tombstones.at(settings.data),
        run,
        clock,
    )


def buy(shop: Shop, wanted: Iterable[Candidate]) -> Bought:
    """Ask about wanted persons in their order, each at most once, as far as the budget goes.

    Every answer is recorded before the next one is taken. If the process dies, purchases without an answer are
    asked for again by a later run, which the provider answers for free if it had charged them.

    Args:
        shop: the ledger, the provider and the budget.
        wanted: the persons, the most wanted first.

    Raises:
        AuthFailed, NotPermitted: the provider refuses the account; what was asked for and not answered is free again.
    """
    done, meter, uncounted = Bought(), AccountMeter(shop.enricher, shop.ledger), 0
    for chunk in _chunks(wanted, _AT_ONCE):
        orders = orders_of(shop, chunk)
        done.erased += sum(shop.is_erased(candidate.person) for candidate in chunk)
        underway = shop.ledger.underway(shop.provider, PERSON, list(orders), shop.clock.now())
        done.underway += underway
        start, asked = done.outcomes.total(), done.asked
        # Misses give back what was reserved for them, so there may be budget for more.
        while (
            (beyond := _buy(shop.less(uncounted), orders, done))
            and done.asked > asked
            and not done.stopped
        ):
            asked = done.asked
        unexplained = meter.settle(shop.run)
        done.cost += unexplained.counted
        done.unexplained += unexplained.credits - uncounted
        uncounted = unexplained.uncounted
        done.known += len(orders) - underway - beyond - (done.outcomes.total() - start)
        if done.stopped or beyond:
            done.beyond_budget = beyond
            break
    return done


def _chunks(wanted: Iterable[Candidate], size: int) -> Iterator[list[Candidate]]:
    chunk: list[Candidate] = []
    for candidate in wanted:
        chunk.append(candidate)
        if len(chunk) == size:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def subject_hash(key: HashKey, asked_for: str) -> str:
    """Return the hash by which the ledger knows what is asked for."""
    return key.digest(asked_for, purpose=_PURPOSE)


def orders_of(shop: Shop, people: Iterable[Candidate]) -> dict[str, tuple[Order, "Person"]]:
    """Return the orders of persons by their subjects; erased ones, and those of whom too little is known, have none."""
    from crm_pipeline.providers import key_of

    orders: dict[str, tuple[Order, Person]] = {}
    for candidate in people:
        person = candidate.person
        asked_for = key_of(person)
        if asked_for and not shop.is_erased(person):
            subject = subject_hash(shop.key, asked_for)
            orders[subject] = (Order(subject, asked_for, shop.most_each, candidate.records), person)
    return orders


def _buy(shop: Shop, orders: Mapping[str, tuple[Order, "Person"]], done: Bought) -> int:
    """Ask about those whom nobody has asked about, as far as the budget goes; return how many it does not reach."""
    from crm_pipeline.providers import Question
    from crm_pipeline.providers.identity import ANOTHER_PERSON

    now = shop.clock.now()
    reserved = shop.ledger.reserve(
        shop.provider, PERSON, shop.run, [order for order, _ in orders.values()], shop.budget, now
    )
    waiting = {f"q{place}": order.subject for place, order in enumerate(reserved.orders)}
    questions = [Question(name, orders[subject][1]) for name, subject in waiting.items()]
    details: dict[str, str] = {}
    dearest, others, matches = 0, 0, 0
    try:
        for answer in shop.enricher.enrich(questions, shop.wanted) if questions else ():
            subject = waiting.pop(answer.id)
            _settle(shop, [_settlement(subject, answer, shop)])
            done.outcomes[answer.outcome.value] += 1
            done.cost += answer.billed_units
            others += answer.code == ANOTHER_PERSON
            matches += answer.outcome.value == "match"
            dearest = max(dearest, answer.billed_units)
            details[answer.outcome.value] = answer.detail
    except (AuthFailed, NotPermitted):
        # Questions without an answer were not charged.
        at = shop.clock.now()
        _settle(shop, [_put_off(subject, "retry_later", at) for subject in waiting.values()])
        raise
    done.stopped = _why_to_stop(details)
    if others > max(matches, _FEW):
        done.stopped = f"{shop.provider} answered about other persons {others:,} times"
    if dearest > shop.most_each:
        done.stopped = f"{shop.provider} charged {dearest:,} credits where {shop.most_each:,} are the most by its price list"
    return reserved.beyond_budget


def _why_to_stop(details: Mapping[str, str]) -> str:
    """Return why nobody else is to be asked about, from the details of outcomes; "" to go on.

    Where each question has failed, each may have been charged: more of them would use up the budget for nothing.
    """
    if "no_credit" in details:
        return details["no_credit"].rstrip(".") or "the provider's credits are spent"
    if "retry_later" in details or details.keys() == {"error"}:
        detail = details.get("error") or details.get("retry_later", "")
        return detail.rstrip(".") or "the provider cannot be asked now"
    return ""


def _settle(shop: Shop, settlements: Sequence[Settlement]) -> None:
    shop.ledger.settle(shop.provider, PERSON, shop.run, settlements, shop.clock.now())


def _put_off(subject: str, outcome: str, at: datetime, cost: int = 0) -> Settlement:
    return Settlement(subject, outcome, cost, retry_at=at, is_final=False)


def _settlement(subject: str, answer: "Answer", shop: Shop) -> Settlement:
    """Return what an answer means for the ledger."""
    now, outcome = shop.clock.now(), answer.outcome.value
    cost = answer.billed_units + answer.lost_units
    later = None if answer.retry_after_s is None else timedelta(seconds=answer.retry_after_s)
    if outcome == "match":
        facts = [asdict(fact) for fact in answer.facts]
        bought = {"facts": facts, "provider_id": answer.provider_id}
        return Settlement(subject, outcome, cost, answer.free, bought)
    if outcome in {"no_match", "masked"}:
        again = now + shop.choices.again_after
        return Settlement(subject, outcome, cost, answer.free, retry_at=again)
    if outcome in {"invalid_input", "restricted"}:
        return Settlement(subject, outcome, cost, answer.free)
    if outcome == "no_credit":
        return _put_off(subject, outcome, now, cost)
    return _put_off(subject, outcome, now + (later or (_TOMORROW if cost else _SOON)), cost)
