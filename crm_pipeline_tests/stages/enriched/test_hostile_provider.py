"""A provider that lies about whom, how much and how often: what it charged, by its own ledger, is what we count."""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from crm_pipeline.providers import Person, as_enricher
from crm_pipeline.settings.enrichment import Enrichment
from crm_pipeline.stages.enriched import Candidate, Shop, buy, shop_of
from crm_pipeline.store.purchases import Budget, PurchaseLedger
from crm_pipeline_tests.connectors.fault_proxy import Answer, FaultProxy, proxy_to
from crm_pipeline_tests.providing import Providers

Body = dict[str, Any]


@pytest.fixture
def proxy(providers: Providers) -> Iterator[FaultProxy]:
    """A proxy before Prospeo, which the settings name."""
    with proxy_to(providers.sandbox.url) as running:
        providers.set(base_url=f"{running.url}/prospeo")
        yield running


@pytest.fixture
def shop(providers: Providers, proxy: FaultProxy) -> Iterator[Shop]:
    """A shop that buys through the proxy."""
    settings = replace(providers.settings, enrichment=Enrichment(provider="prospeo"))
    with providers.opened() as account:
        ledger = PurchaseLedger(providers.database)
        yield shop_of(settings, as_enricher(account), ledger, "run", providers.clock)


def known(providers: Providers, count: int, start: int = 0) -> list[Candidate]:
    """Return candidates whom the vendor knows."""
    return [
        Candidate(
            Person(email=row["work_email"], first_name=row["given"], last_name=row["family"]),
            (f"acme:Contact:{row['id']}",),
        )
        for row in providers.people(start + count)[start:]
    ]


def changed(change: Callable[[Body], object]) -> Callable[[Answer], Answer]:
    """Return a change of all answers that hold matches."""

    def apply(answer: Answer) -> Answer:
        body = json.loads(answer.body)
        if "matched" in body or "person" in body:
            change(body)
        return replace(answer, body=json.dumps(body).encode())

    return apply


def stored(shop: Shop) -> dict[str, str]:
    """Return the names that the ledger holds, by the address that was asked for."""
    return {
        str(answer.asked_for).removeprefix("email:"): fact["value"]
        for answer in shop.ledger.answers()
        for fact in (answer.answer or {}).get("facts", ())
        if fact["name"] == "full_name"
    }


def true_names(providers: Providers) -> dict[str, str]:
    return {
        row["work_email"].lower(): f"{row['given']} {row['family']}" for row in providers.people(9)
    }


def counted(shop: Shop) -> int:
    """Return the credits that count against our budget of the month."""
    return shop.ledger.spending(shop.provider, shop.run, shop.clock.now()).month


def rotated(body: Body) -> None:
    """Give each match the identifier of the next one."""
    names = [one["identifier"] for one in body["matched"]]
    for one, name in zip(body["matched"], names[1:] + names[:1], strict=True):
        one["identifier"] = name


def test_facts_about_another_person_are_not_kept(
    shop: Shop, providers: Providers, proxy: FaultProxy
) -> None:
    """Matches under each other's identifiers: nothing of one person is stored for another, buying stops, and the
    credits count."""
    proxy.change_all(changed(rotated))
    done = buy(shop, known(providers, 6))
    assert done.stopped
    assert stored(shop).items() <= true_names(providers).items()
    assert sum(answer.cost for answer in shop.ledger.answers()) == providers.spent() == 6


def test_a_response_to_another_call_answers_nobody(
    shop: Shop, providers: Providers, proxy: FaultProxy
) -> None:
    """A cache between us and the provider sends the first response again: the second four persons get none of it."""
    bodies: list[bytes] = []

    def replayed(answer: Answer) -> Answer:
        if b"matched" not in answer.body:
            return answer
        bodies.append(answer.body)
        return replace(answer, body=bodies[0])

    proxy.change_all(replayed)
    buy(shop, known(providers, 4))
    buy(replace(shop, run="next"), known(providers, 4, 4))
    names = stored(shop)
    assert len(names) == 4
    assert names.items() <= true_names(providers).items()


@pytest.mark.parametrize(("times", "expected"), [(2, 12), (40, 60), (1 << 50, 60)])
def test_a_new_price_counts_and_stops_the_run(
    shop: Shop, providers: Providers, proxy: FaultProxy, times: int, expected: int
) -> None:
    """A cost above the price list counts, up to ten times of it, and nobody else is asked about."""
    proxy.change_all(changed(lambda body: body.update(total_cost=times * len(body["matched"]))))
    done = buy(shop, known(providers, 6))
    assert "price list" in done.stopped
    assert counted(shop) == done.cost == expected


CHARGED: dict[str, Callable[[Body], object]] = {
    "no matches": lambda body: body.update(matched=[]),
    "misses": lambda body: body.update(
        not_matched=[one["identifier"] for one in body["matched"]], matched=[]
    ),
    "matches of others": lambda body: [
        one.update(identifier=f"z{one['identifier']}") for one in body["matched"]
    ],
    "one twice": lambda body: body.update(matched=[body["matched"][0], *body["matched"][:-1]]),
    "said to be free": lambda body: (
        body.pop("total_cost"),
        [one.update(free_enrichment=True) for one in body["matched"]],
    ),
    "an error beside the matches": lambda body: body.update(error=True),
    "an error that costs nothing": lambda body: body.update(
        error=True, error_code="INTERNAL_ERROR"
    ),
    "nobody is known": lambda body: body.update(error=True, error_code="NO_MATCH"),
}


@pytest.mark.parametrize("case", CHARGED)
def test_whatever_an_answer_says_a_charge_counts(
    shop: Shop, providers: Providers, proxy: FaultProxy, case: str
) -> None:
    """The provider charges six persons and answers something else. The budget of the month knows it, so that the next
    run buys nobody within six credits; what only the account shows is named."""
    proxy.change_all(changed(CHARGED[case]))
    done = buy(shop, known(providers, 6))
    assert counted(shop) >= providers.spent() == 6
    assert done.unexplained in (0, 6)
    proxy.leave()
    buy(replace(shop, run="next", budget=Budget(per_month=6)), known(providers, 6, 6))
    assert providers.spent() == 6


def test_what_others_spend_is_no_cost_of_a_purchase(
    shop: Shop, providers: Providers, proxy: FaultProxy
) -> None:
    """Somebody else spends fifty credits of the same account meanwhile: they are named, and count for this run alone."""

    def spent(answer: Answer) -> Answer:
        if "account" in answer.path and any("bulk" in place for place in proxy.requests):
            body = json.loads(answer.body)
            body["response"]["used_credits"] += 50
            return replace(answer, body=json.dumps(body).encode())
        return answer

    proxy.change_all(spent)
    done = buy(shop, known(providers, 4))
    assert (done.unexplained, done.cost, counted(shop)) == (50, 4, 4)


@pytest.mark.parametrize("balance", [0, -5, 3, 10**9, "many", None])
def test_a_balance_that_jumps_ends_a_run_as_spent_credits_do(
    shop: Shop, providers: Providers, proxy: FaultProxy, balance: object
) -> None:
    """The provider refuses for want of credits, and whatever its account says then, the run ends and says why."""
    providers.prospeo.admin("set_credits", remaining=2)

    def odd(answer: Answer) -> Answer:
        body = json.loads(answer.body)
        if "response" in body:
            body["response"]["remaining_credits"] = balance
        return replace(answer, body=json.dumps(body).encode())

    proxy.change_all(odd)
    done = buy(shop, known(providers, 6))
    assert "too few credits" in done.stopped
    assert done.outcomes == Counter(no_credit=6)


@pytest.mark.parametrize("steps", [(-86_400,), (3 * 86_400, -3 * 86_400), (-11 * 3_600, 3_600)])
def test_a_clock_that_is_set_back_frees_no_budget(
    shop: Shop, providers: Providers, steps: tuple[int, ...]
) -> None:
    """Over the begin of a day and forth again: three a day and five a month are never exceeded."""
    bounded = replace(shop, budget=Budget(per_day=3, per_month=5))
    wanted = known(providers, 10)
    buy(bounded, wanted)
    for step in steps:
        providers.clock.advance(step)
        buy(replace(bounded, run=f"after {step}"), wanted)
    assert providers.spent() <= (5 if steps[0] > 0 else 3)
