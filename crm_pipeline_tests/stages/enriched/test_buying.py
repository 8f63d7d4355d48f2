"""Buying from the emulated Prospeo: once each, within budgets, and nothing lost when the process dies."""

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace

import pytest

from crm_pipeline.kernel.errors import AuthFailed
from crm_pipeline.providers import Account, Answer, Enricher, Person, Question, Wanted
from crm_pipeline.settings import Provider
from crm_pipeline.settings.enrichment import Enrichment
from crm_pipeline.stages.enriched import Candidate, Shop, buy, buying, outlook, shop_of
from crm_pipeline.store.erasing import Subject
from crm_pipeline.store.landing.tombstones import Tombstones
from crm_pipeline.store.purchases import Budget, PurchaseLedger
from crm_pipeline_tests.providing import Providers

NOBODY = [Candidate(Person(email=f"nobody{n}@nowhere.example")) for n in range(3)]


class Killed(BaseException):
    """The process dies here: nothing of ours runs any more."""


class Mortal:
    """An enricher whose process dies at a chosen answer: before it asks, or after the vendor has answered."""

    def __init__(self, enricher: Enricher, dies_at: int, *, is_before: bool) -> None:
        self._enricher = enricher
        self._dies_at, self._is_before = dies_at, is_before

    @property
    def provider(self) -> Provider:
        return self._enricher.provider

    def most_cost(self, wanted: Wanted) -> int:
        return self._enricher.most_cost(wanted)

    def account(self) -> Account:
        return self._enricher.account()

    def enrich(self, questions: Sequence[Question], wanted: Wanted) -> Iterator[Answer]:
        for place, question in enumerate(questions):
            if place == self._dies_at and self._is_before:
                raise Killed
            [answer] = self._enricher.enrich([question], wanted)
            if place == self._dies_at:
                raise Killed
            yield answer


@pytest.fixture
def shop(providers: Providers, prospeo: Enricher) -> Shop:
    """A shop with no bound on what it may spend."""
    ledger = PurchaseLedger(providers.database)
    choices = Enrichment(provider="prospeo")
    settings = replace(providers.settings, enrichment=choices)
    return shop_of(settings, prospeo, ledger, "run", providers.clock)


def known(providers: Providers, count: int, **which: bool) -> list[Candidate]:
    """Return candidates whom the vendor knows."""
    rows = providers.people(count, **which)
    return [
        Candidate(Person(email=row["work_email"]), (f"acme:Contact:{row['id']}",)) for row in rows
    ]


def test_matches_and_misses_are_bought_once(shop: Shop, providers: Providers) -> None:
    """A match costs a credit and is kept with its facts; a miss is free; a second run asks nobody again."""
    wanted = [*known(providers, 5), *NOBODY]
    done = buy(shop, wanted)
    assert (done.outcomes, done.cost, done.known) == (Counter(match=5, no_match=3), 5, 0)
    assert done.match_rate == 5 / 8
    assert providers.spent() == 5
    names = {
        fact["name"]
        for answer in shop.ledger.answers()
        for fact in (answer.answer or {}).get("facts", ())
    }
    assert {"job_title", "email", "company"} <= names
    again = buy(replace(shop, run="next"), wanted)
    assert (again.asked, again.known, again.cost) == (0, 8, 0)
    assert providers.spent() == 5


def test_one_person_in_five_accounts_is_one_purchase(shop: Shop, providers: Providers) -> None:
    """What is asked for decides: other spellings of the same address are the same person."""
    [candidate] = known(providers, 1)
    email = candidate.person.email
    spellings = [email, email.upper(), f" {email}", email.replace("@", "@".upper())]
    done = buy(shop, [Candidate(Person(email=each)) for each in spellings])
    assert (done.asked, providers.spent()) == (1, 1)


def test_budgets_hold(shop: Shop, providers: Providers) -> None:
    """The run ends at the smallest budget, and says how many wait."""
    bounded = replace(shop, budget=Budget(per_run=3, per_day=100))
    done = buy(bounded, known(providers, 8))
    assert (done.asked, done.cost, done.beyond_budget, providers.spent()) == (3, 3, 5, 3)
    tight = replace(shop, run="next", budget=Budget(per_month=4))
    assert buy(tight, known(providers, 8)).cost == 1


def test_masked_values_never_get_anywhere(shop: Shop, providers: Providers) -> None:
    """Mobiles that were not bought are shown with stars by the vendor; no answer in the ledger has one."""
    buy(shop, known(providers, 10, mobile=True))
    text = repr(shop.ledger.answers())
    assert "*" not in text
    assert "'mobile'" not in text


def test_erased_persons_are_not_asked_about(shop: Shop, providers: Providers) -> None:
    """Their tombstone stops them, even if a CRM has brought their address back."""
    first, second = known(providers, 2)
    subject = Subject(addresses=frozenset({first.person.email}))
    stones = Tombstones({}, {}).with_subject(subject, shop.key, providers.clock.now())
    done = buy(replace(shop, tombstones=stones), [first, second])
    assert (done.asked, done.erased) == (1, 1)
    charged = {entry["key"] for entry in providers.prospeo.rows("credits")}
    assert charged == {second.records[0].rpartition(":")[2]}


def test_spent_credits_end_the_run_and_lose_nobody(shop: Shop, providers: Providers) -> None:
    """Whoever was not answered is asked about when there are credits again."""
    providers.prospeo.admin("set_credits", remaining=2)
    wanted = known(providers, 6)
    done = buy(shop, wanted)
    assert done.stopped
    assert done.outcomes["match"] == providers.spent() == 2
    providers.prospeo.admin("set_credits", remaining=100)
    providers.clock.advance(3601)
    assert buy(replace(shop, run="next"), wanted).outcomes["match"] == 4
    assert providers.spent() == 6


@pytest.mark.parametrize(("code", "status"), [("SOMETHING_NEW", 503), ("INTERNAL_ERROR", 500)])
def test_a_provider_that_is_down_ends_the_run_which_says_so(
    shop: Shop, providers: Providers, monkeypatch: pytest.MonkeyPatch, code: str, status: int
) -> None:
    """It is not called for every batch, nobody counts as known, and all are bought when it is back."""
    monkeypatch.setattr(buying, "_AT_ONCE", 2)
    wanted = known(providers, 8)
    providers.prospeo.admin("fail", code=code, times=3, status=status)
    done = buy(shop, wanted)
    assert done.stopped
    assert (done.outcomes.total(), done.known, done.cost) == (2, 0, 0)
    assert done.asked == done.outcomes["error"]
    providers.clock.advance(86_401)
    assert buy(replace(shop, run="next"), wanted).outcomes["match"] == providers.spent() == 8


def test_what_a_dead_run_left_open_is_said(shop: Shop, providers: Providers) -> None:
    """Until the lease is over nobody is asked again, and they do not count as known."""
    wanted = known(providers, 6)
    with pytest.raises(Killed):
        buy(replace(shop, enricher=Mortal(shop.enricher, 2, is_before=True)), wanted)
    early = buy(replace(shop, run="early"), wanted)
    assert (early.asked, early.known, early.underway) == (0, 2, 4)
    providers.clock.advance(601)
    late = buy(replace(shop, run="late"), wanted)
    assert (late.asked, late.known, late.underway) == (4, 2, 0)


def test_a_refused_key_charges_nothing_and_blocks_nobody(shop: Shop, providers: Providers) -> None:
    """The purchases are free again at once, so the run after the cure buys them."""
    wanted = known(providers, 3)
    providers.prospeo.admin("fail", code="INVALID_API_KEY", times=1, status=401)
    with pytest.raises(AuthFailed):
        buy(shop, wanted)
    assert buy(replace(shop, run="next"), wanted).cost == providers.spent() == 3


def test_the_outlook_says_what_buying_would_do(shop: Shop, providers: Providers) -> None:
    """Numbers and the most that it costs; nothing is asked."""
    wanted = known(providers, 6)
    buy(replace(shop, budget=Budget(per_run=2)), wanted)
    bounded = replace(shop, run="plan", budget=Budget(per_month=4))
    seen = len(providers.prospeo.journal)
    found = outlook(bounded, wanted, providers.clock.now())
    assert (found.wanted, found.known, found.left, found.affordable, found.most) == (6, 2, 2, 2, 2)
    assert len(providers.prospeo.journal) == seen


@pytest.mark.parametrize("seed", range(3))
def test_processes_that_die_anywhere_buy_nobody_twice(
    shop: Shop, providers: Providers, seed: int
) -> None:
    """Before the question or after the vendor has charged: everybody is settled in the end, and paid for once."""
    chance = random.Random(seed)
    wanted = [*known(providers, 8), *NOBODY]
    for attempt in range(6):
        mortal = Mortal(shop.enricher, chance.randrange(6), is_before=chance.random() < 0.5)
        mine = replace(shop, run=f"run {attempt}", enricher=mortal, budget=Budget(per_month=9))
        try:
            buy(mine, chance.sample(wanted, len(wanted)))
        except Killed:
            providers.clock.advance(chance.choice([0, 601]))
    providers.clock.advance(601)
    last = buy(replace(shop, run="last", budget=Budget(per_month=9)), wanted)
    assert last.beyond_budget == 0
    answers = shop.ledger.answers()
    assert Counter(answer.outcome for answer in answers) == Counter(match=8, no_match=3)
    assert providers.spent() == 8
    assert sum(answer.cost for answer in answers) == 8
