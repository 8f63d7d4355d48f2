import random
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import pytest

from crm_pipeline.kernel.clock import parse_instant
from crm_pipeline.store.postgres.database import Database
from crm_pipeline.store.purchases import (
    Budget,
    Order,
    PurchaseLedger,
    Reservation,
    Settlement,
    Spending,
)

NOW = parse_instant("2026-11-24T10:00:00Z")
PERSON = "person"


@pytest.fixture
def ledger(database: Database) -> PurchaseLedger:
    return PurchaseLedger(database)


def orders(*subjects: str, most: int = 1) -> list[Order]:
    return [
        Order(subject, f"{subject}@acme.example", most, (f"acme:Contact:{subject}",))
        for subject in subjects
    ]


def reserve(
    ledger: PurchaseLedger,
    wanted: list[Order],
    budget: Budget = Budget(),  # noqa: B008 - it is frozen
    *,
    run: str = "r1",
    now: datetime = NOW,
    provider: str = "p",
) -> Reservation:
    return ledger.reserve(provider, PERSON, run, wanted, budget, now)


def settle(
    ledger: PurchaseLedger, *settlements: Settlement, run: str = "r1", now: datetime = NOW
) -> int:
    return ledger.settle("p", PERSON, run, settlements, now)


def names(reserved: Reservation) -> list[str]:
    return [order.subject for order in reserved.orders]


def test_a_subject_is_asked_for_once(ledger: PurchaseLedger) -> None:
    """Neither the same run nor another one gets it again, before or after the response."""
    assert names(reserve(ledger, orders("a", "b", "a"))) == ["a", "b"]
    assert names(reserve(ledger, orders("b", "c"), run="r2")) == ["c"]
    assert settle(ledger, Settlement("a", "match", 1, answer={"title": "CEO"})) == 1
    later = NOW + timedelta(days=400)
    assert names(reserve(ledger, orders("a"), run="r3", now=later)) == []
    [answer] = ledger.answers()
    assert (answer.asked_for, answer.outcome, answer.cost, answer.answer, answer.records) == (
        *("a@acme.example", "match", 1, {"title": "CEO"}),
        ("acme:Contact:a",),
    )


def test_budgets_bound_what_may_be_spent(ledger: PurchaseLedger) -> None:
    """The smallest of what is left by run, day and month counts; open purchases count with what they may cost."""
    budget = Budget(per_run=5, per_day=8, per_month=9)
    first = reserve(ledger, orders(*"abcdefg"), budget)
    assert (names(first), first.beyond_budget) == (list("abcde"), 2)
    assert names(reserve(ledger, orders(*"fghij"), budget, run="r2")) == list("fgh")
    tomorrow = NOW + timedelta(days=1)
    assert names(reserve(ledger, orders(*"ijk"), budget, run="r3", now=tomorrow)) == ["i"]
    assert ledger.spending("p", "r3", tomorrow) == Spending(run=1, day=1, month=9)
    # Misses cost nothing, so they make room again.
    settle(ledger, *(Settlement(subject, "no_match") for subject in "abcde"))
    assert names(reserve(ledger, orders(*"jkl"), budget, run="r4", now=tomorrow)) == list("jkl")
    next_month = parse_instant("2026-12-01T00:00:00Z")
    assert ledger.spending("p", "r5", next_month) == Spending(0, 0, 0)


def test_an_order_that_is_too_dear_ends_a_reservation(ledger: PurchaseLedger) -> None:
    """Cheap orders do not overtake a dear one that is wanted more."""
    wanted = [*orders("a"), *orders("b", most=10), *orders("c")]
    got = reserve(ledger, wanted, Budget(per_day=5))
    assert (names(got), got.beyond_budget) == (["a"], 2)


def test_a_purchase_of_a_dead_process_is_taken_over(ledger: PurchaseLedger) -> None:
    """After its lease it is asked for again; the free response settles it at what the first one may have cost."""
    reserve(ledger, orders("a", most=10))
    assert names(reserve(ledger, orders("a"), run="r2", now=NOW + timedelta(minutes=9))) == []
    later = NOW + timedelta(minutes=11)
    again = reserve(ledger, orders("a", most=10), run="r2", now=later)
    assert (names(again), again.repeated) == (["a"], {"a"})
    assert (
        settle(ledger, Settlement("a", "match", 1, answer={"x": 1})) == 0
    )  # the dead one wakes up
    free = Settlement("a", "match", 0, is_free=True, answer={"title": "CEO"})
    assert settle(ledger, free, run="r2", now=later) == 1
    assert [(a.cost, a.answer) for a in ledger.answers()] == [(10, {"title": "CEO"})]


def test_a_free_response_to_the_first_question_costs_nothing(ledger: PurchaseLedger) -> None:
    """The provider sold the person before, to somebody else in the company."""
    reserve(ledger, orders("a"))
    settle(ledger, Settlement("a", "match", 0, is_free=True, answer={}))
    assert [answer.cost for answer in ledger.answers()] == [0]


def test_what_is_not_decided_waits(ledger: PurchaseLedger) -> None:
    """A pending response and an old miss are asked for again when it is time."""
    reserve(ledger, orders("a", "b"))
    soon, much_later = NOW + timedelta(minutes=1), NOW + timedelta(days=90)
    settle(
        ledger,
        Settlement("a", "pending", retry_at=soon, is_final=False),
        Settlement("b", "no_match", retry_at=much_later),
    )
    assert [answer.asked_for for answer in ledger.answers()] == ["b@acme.example"]
    assert names(reserve(ledger, orders("a", "b"), run="r2", now=soon)) == ["a"]
    assert names(reserve(ledger, orders("a", "b"), run="r3", now=much_later)) == ["a", "b"]


def test_erased_persons_are_neither_kept_nor_bought_again(ledger: PurchaseLedger) -> None:
    """By the hash of their address or the key of a record; the row stays, without a value."""
    reserve(ledger, orders("a", "b", "c"))
    settle(ledger, *(Settlement(s, "match", 1, answer={"title": "CEO"}) for s in "abc"))
    [*_, last] = ledger.answers()
    assert ledger.erase(["a"], ["acme:Contact:b"]) == 2
    assert ledger.erase(["a"], ["acme:Contact:b"], apply=True) == 2
    changed = ledger.answers(after=last.revision)
    values = [(a.asked_for, a.answer, a.records, a.outcome) for a in changed]
    assert values == [(None, None, (), None)] * 2
    assert names(reserve(ledger, orders("a", "b"), run="r2", now=NOW + timedelta(days=999))) == []


def test_the_dearest_question_that_died_is_booked(ledger: PurchaseLedger) -> None:
    """Asked again for less, a free response costs what the first question may have cost, and the budget knows it."""
    reserve(ledger, orders("a", most=10))
    later = NOW + timedelta(minutes=11)
    tight = Budget(per_day=10)
    assert names(reserve(ledger, orders("a", "b", most=1), tight, run="r2", now=later)) == ["a"]
    assert ledger.spending("p", "r2", later).day == 10
    settle(ledger, Settlement("a", "match", 0, is_free=True, answer={}), run="r2", now=later)
    assert [answer.cost for answer in ledger.answers()] == [10]


def test_texts_that_postgres_cannot_hold_lose_no_purchase(ledger: PurchaseLedger) -> None:
    """A NUL or half of a surrogate pair, in a name or in an answer, is left out of what is recorded."""
    wanted = [Order("a", "name:a\x00b@x.example", 1, ("acme:Contact:1",))]
    assert names(reserve(ledger, wanted)) == ["a"]
    answer = {"facts": [{"name": "city", "value": "Bo\x00nn\ud800"}], "provider_id": "p\x00"}
    assert settle(ledger, Settlement("a", "match", 1, answer=answer)) == 1
    [found] = ledger.answers()
    assert (found.asked_for, found.answer) == (
        "name:ab@x.example",
        {"facts": [{"name": "city", "value": "Bonn"}], "provider_id": "p"},
    )


@pytest.mark.parametrize("seed", range(3))
def test_four_processes_that_die_at_any_moment_buy_nobody_twice(
    ledger: PurchaseLedger, seed: int
) -> None:
    """The provider charges a match once; what it charged in all stays within the budget at every moment."""
    chance = random.Random(seed)
    people = [f"p{number}" for number in range(30)]
    budget, charged, asked = Budget(per_month=20), Counter[str](), Counter[str]()
    now, crashes = NOW, Counter[str]()
    for step in range(40):
        now += timedelta(minutes=chance.choice([0, 1, 11]))
        run = f"run {step % 4} {step}"
        reserved = reserve(
            ledger, orders(*chance.sample(people, 8)), budget, run=run, now=now, provider="p"
        )
        dies_after = chance.randrange(2 * len(reserved.orders) + 1) if chance.random() < 0.4 else 99
        for place, order in enumerate(reserved.orders):
            if dies_after <= 2 * place:
                crashes[order.subject] += 1
                continue
            asked[order.subject] += 1
            is_match = int(order.subject[1:]) % 3 > 0
            is_free = charged[order.subject] > 0
            charged[order.subject] += is_match and not is_free
            assert sum(charged.values()) <= 20
            if dies_after == 2 * place + 1:
                crashes[order.subject] += 1
                continue
            settlement = Settlement(
                order.subject,
                "match" if is_match else "no_match",
                int(is_match and not is_free),
                is_free,
            )
            settle(ledger, settlement, run=run, now=now)
    assert max(charged.values()) == 1
    assert all(asked[person] <= 1 + crashes[person] for person in people)


def test_threads_share_a_budget(ledger: PurchaseLedger) -> None:
    """Eight reservations at the same moment get different people, and no more than the budget."""
    people = [f"p{number}" for number in range(40)]
    with ThreadPoolExecutor(8) as pool:
        reservations = list(
            pool.map(
                lambda n: reserve(ledger, orders(*people[n:]), Budget(per_day=25), run=f"r{n}"),
                range(8),
            )
        )
    got = [name for each in reservations for name in names(each)]
    assert len(got) == len(set(got)) == 25
