"""Prospeo through the neutral protocol, against the emulator: what is asked, charged, kept and refused."""

import json
import threading
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from crm_pipeline.kernel.errors import (
    AuthFailed,
    ConfigError,
    MalformedResponse,
    NotPermitted,
    SecretMissing,
    UnknownName,
)
from crm_pipeline.providers import (
    FIELDS,
    Answer,
    Company,
    EmailVerifier,
    Enricher,
    Outcome,
    PeopleFinder,
    Person,
    Question,
    Wanted,
    as_enricher,
    as_finder,
    as_verifier,
    group_of,
)
from crm_pipeline.providers.prospeo.enrichment import identifier
from crm_pipeline.providers.prospeo.search import FILTERS
from crm_pipeline.ratelimit import RateLimiter
from crm_pipeline.wire.retry import RetryPolicy
from crm_pipeline_tests.providing import Providers, questions_about

MOBILE = Wanted(mobile=True)
NOBODY = Person(email="nobody@nowhere.example")


def asked(
    account: Enricher, questions: list[Question], wanted: Wanted | None = None
) -> dict[str, Answer]:
    answers = list(account.enrich(questions, wanted or Wanted()))
    assert sorted(one.id for one in answers) == sorted(one.id for one in questions)
    return {one.id: one for one in answers}


def facts(answer: Answer) -> dict[str, Any]:
    assert len({fact.name for fact in answer.facts}) == len(answer.facts)
    assert {fact.name for fact in answer.facts} <= FIELDS.keys()
    return {fact.name: fact.value for fact in answer.facts}


def outcomes(answers: dict[str, Answer]) -> Counter[str]:
    return Counter(answer.outcome for answer in answers.values())


def refused(providers: Providers, code: str, times: int = 1, status: int = 400) -> None:
    providers.prospeo.admin("fail", code=code, times=times, status=status)


def test_it_implements_the_protocols(prospeo: Enricher) -> None:
    """It sells facts, verdicts on addresses and lists of people."""
    assert isinstance(prospeo, Enricher)
    assert isinstance(prospeo, EmailVerifier)
    assert isinstance(prospeo, PeopleFinder)
    assert [prospeo.most_cost(wanted) for wanted in (Wanted(), MOBILE)] == [1, 10]
    assert prospeo.most_cost(Wanted(only_verified_mobile=True)) == 10


@pytest.mark.parametrize("count", [1, 60])
def test_people_are_who_they_are(providers: Providers, prospeo: Enricher, count: int) -> None:
    """One or many: each answer is about the person of its question, and has the truth of the world."""
    rows = providers.people(count)
    companies = {row["id"]: row for row in providers.prospeo.rows("companies")}
    answers = asked(prospeo, questions_about(rows))
    for row in rows:
        answer, company = answers[row["id"]], companies[row["company_id"]]
        assert (answer.outcome, answer.billed_units, answer.free) == (Outcome.MATCH, 1, False)
        assert answer.provider_id == row["id"]
        found = facts(answer)
        assert found["email"] == row["work_email"]
        assert found["last_name"] == row["family"]
        assert found["job_title"] == row["title"]
        assert found["department"] == row["department"]
        assert found["country_code"] == row["country_code"]
        assert found["company_domain"] == company["domain"]
        assert found["company_employees"] == company["employees"]
        (email,) = (fact for fact in answer.facts if fact.name == "email")
        assert email.status == ("verified" if row["is_verified"] else "unverified")
    assert providers.spent() == count
    calls = providers.prospeo.journal.entries(method="POST")
    assert len(calls) == (1 if count == 1 else 2)


@pytest.mark.parametrize("count", [1, 20])
def test_every_outcome_of_one_call(providers: Providers, prospeo: Enricher, count: int) -> None:
    """Matches, misses and what cannot be asked about come apart, whatever the order; what cannot be asked about is not sent."""
    rows = providers.people(count)
    others = [
        Question("miss", NOBODY),
        Question("alone", Company()),
        Question("few", Person(first_name="Ada", domain="acme.example")),
        Question("firm", Company(name="Nobody Inc.")),
    ]
    answers = asked(prospeo, [*others, *questions_about(rows)])
    assert outcomes(answers) == {"match": count, "no_match": 2, "invalid_input": 2}
    assert answers["few"].outcome is Outcome.INVALID_INPUT
    assert answers["alone"].outcome is Outcome.INVALID_INPUT
    assert sum(one.billed_units for one in answers.values()) == count == providers.spent()
    assert not any(one.facts for one in answers.values() if one.outcome is not Outcome.MATCH)


def test_what_a_mobile_costs(providers: Providers, prospeo: Enricher) -> None:
    """10 with a mobile, 1 where there is none, nothing for what was bought: each answer says what was charged for it."""
    rows = providers.people(6, mobile=True) + providers.people(5, mobile=False)
    bought = asked(prospeo, questions_about(rows[:2]), MOBILE)
    assert [one.billed_units for one in bought.values()] == [10, 10]
    answers = asked(prospeo, questions_about(rows), MOBILE)
    for number, row in enumerate(rows):
        answer = answers[row["id"]]
        assert answer.billed_units == (0 if number < 2 else 10 if number < 6 else 1)
        assert answer.free is (number < 2)
        assert facts(answer).get("mobile") == row["mobile"]
    assert providers.spent() == 20 + 4 * 10 + 5
    limits = providers.prospeo.rows("credits")
    assert sum(one.billed_units for one in answers.values()) == sum(e["cost"] for e in limits[2:])


def test_masked_values_stay_outside(providers: Providers, prospeo: Enricher) -> None:
    """A starred value is no fact, nor in any text; where nothing else was asked for the outcome says so."""
    row = providers.people(1, mobile=True)[0]
    answer = asked(prospeo, questions_about([row]))[row["id"]]
    assert answer.outcome is Outcome.MATCH
    assert "mobile" not in facts(answer)
    providers.prospeo.admin("set_account", masks_email=True)
    others = providers.people(4, mobile=True)[1:]
    masked = asked(prospeo, questions_about(others), MOBILE)
    assert outcomes(masked) == {"masked": 3}
    for one in masked.values():
        assert not {"email", "mobile"} & facts(one).keys()
        assert facts(one)["job_title"]
        assert "*" not in str([fact.value for fact in one.facts])


@pytest.mark.parametrize("count", [1, 3])
def test_a_revealed_star_is_not_believed(
    providers: Providers, prospeo: Enricher, count: int
) -> None:
    """A value that is marked as revealed and starred all the same is none."""
    rows = providers.people(count)
    for row in rows:
        address = row["work_email"]
        providers.prospeo.edit("people", row["id"], {"work_email": f"a***@{address[-9:]}"})
    answers = asked(prospeo, [Question(row["id"], Person(provider_id=row["id"])) for row in rows])
    assert outcomes(answers) == {"masked": count}
    assert not any("email" in facts(one) for one in answers.values())


def test_only_verified(providers: Providers, prospeo: Enricher) -> None:
    """An unverified address is no match where only verified ones are wanted, and costs nothing."""
    rows = providers.people(2, verified=False) + providers.people(2, verified=True)
    answers = asked(prospeo, questions_about(rows), Wanted(only_verified_email=True))
    assert [answers[row["id"]].outcome for row in rows] == ["no_match"] * 2 + ["match"] * 2
    assert providers.spent() == 2


def test_companies(providers: Providers, prospeo: Enricher) -> None:
    """A company is found by domain, profile, name or the provider's id, and costs 1."""
    rows = providers.prospeo.rows("companies")[:4]
    subjects = [
        Company(domain=f"https://www.{rows[0]['domain']}/"),
        Company(profile=rows[1]["linkedin_url"]),
        Company(name=rows[2]["name"]),
        Company(provider_id=rows[3]["id"]),
    ]
    answers = asked(prospeo, [Question(str(n), one) for n, one in enumerate(subjects)])
    for number, row in enumerate(rows):
        found = facts(answers[str(number)])
        assert answers[str(number)].billed_units == 1
        assert (found["company"], found["company_domain"]) == (row["name"], row["domain"])
        assert found["company_revenue_max"] == int(row["revenue"]) * 2
        assert json.loads(str(found["company_funding"])) == {"count": 0}
    assert asked(prospeo, [Question("one", subjects[0])])["one"].free
    assert providers.spent() == 4


@pytest.mark.parametrize("count", [1, 3])
def test_the_vendors_fault_is_tried_again(
    providers: Providers, prospeo: Enricher, count: int
) -> None:
    """INTERNAL_ERROR with status 400 is tried again by its code, and nothing is counted for it."""
    refused(providers, "INTERNAL_ERROR", times=2)
    answers = asked(prospeo, questions_about(providers.people(count)))
    assert outcomes(answers) == {"match": count}
    assert {one.lost_units for one in answers.values()} == {0}
    refused(providers, "INTERNAL_ERROR", times=3)
    later = asked(prospeo, questions_about(providers.people(8)[5:]))
    assert outcomes(later) == {"retry_later": 3}
    assert {(one.code, one.lost_units) for one in later.values()} == {("INTERNAL_ERROR", 0)}


def test_no_credits(providers: Providers, prospeo: Enricher) -> None:
    """Out of credits nothing more is asked, and every question says so."""
    providers.prospeo.admin("set_credits", remaining=0)
    answers = asked(prospeo, questions_about(providers.people(120)))
    assert outcomes(answers) == {"no_credit": 120}
    assert {one.code for one in answers.values()} == {"INSUFFICIENT_CREDITS"}
    assert len(providers.prospeo.journal.entries(method="POST")) == 1


def test_the_last_credits_are_used(providers: Providers, prospeo: Enricher) -> None:
    """A batch that is too large for what is left is asked in smaller ones, as far as credits go."""
    providers.prospeo.admin("set_credits", remaining=37)
    answers = asked(prospeo, questions_about(providers.people(30, mobile=True)), MOBILE)
    assert outcomes(answers) == {"match": 3, "no_credit": 27}
    assert providers.spent() == 30 == sum(one.billed_units for one in answers.values())


@pytest.mark.parametrize(
    ("code", "status", "error", "words"),
    [
        ("INVALID_API_KEY", 401, AuthFailed, "prospeo: Prospeo refuses the key"),
        ("ACCOUNT_RESTRICTED", 400, NotPermitted, "has restricted the account"),
    ],
)
def test_what_stops_everything(
    providers: Providers, prospeo: Enricher, code: str, status: int, error: Any, words: str
) -> None:
    """A refused key or a restricted account is an error with a cure; nothing more is asked."""
    refused(providers, code, status=status)
    with pytest.raises(error, match=words) as caught:
        asked(prospeo, questions_about(providers.people(60)))
    assert caught.value.cure
    assert len(providers.prospeo.journal.entries(method="POST")) == 1


def test_a_record_that_is_refused(providers: Providers, prospeo: Enricher) -> None:
    """A bulk call that is refused as a whole is asked again one by one."""
    refused(providers, "INVALID_REQUEST")
    rows = providers.people(3)
    answers = asked(prospeo, [*questions_about(rows), Question("miss", NOBODY)])
    assert outcomes(answers) == {"match": 3, "no_match": 1}
    refused(providers, "INVALID_REQUEST", times=2)
    other = questions_about(providers.people(5)[3:])
    assert outcomes(asked(prospeo, other)) == {"error": 1, "match": 1}


@pytest.mark.parametrize("count", [1, 4])
def test_a_reply_that_was_lost(providers: Providers, prospeo: Enricher, count: int) -> None:
    """A reply that broke off after it was charged is asked for again, which is free: the answer says that the lost
    attempt may have cost, and no more was charged than once."""
    providers.prospeo.faults.order("truncate", path="enrich-person")
    answers = asked(prospeo, questions_about(providers.people(count, mobile=True)), MOBILE)
    for one in answers.values():
        assert (one.outcome, one.billed_units, one.free) == (Outcome.MATCH, 0, True)
        assert one.lost_units == 10
    assert providers.spent() == 10 * count


@pytest.mark.parametrize("kind", ["truncate", "html_login", "empty_body", "drop"])
def test_nonsense(providers: Providers, prospeo: Enricher, kind: str) -> None:
    """Half replies, web pages and nothing: an error per question that says what came, and the rest is not asked."""
    providers.prospeo.faults.order(kind, path="enrich-person", times=9, status=200)
    answers = asked(prospeo, questions_about(providers.people(60)))
    assert outcomes(answers) == {"error": 50, "retry_later": 10}
    first = answers[providers.people(1)[0]["id"]]
    assert first.lost_units == 3
    assert first.detail.startswith("prospeo: ")
    assert "@" not in first.detail
    assert {one.code for one in answers.values() if one.outcome == "retry_later"} == {"NOT_ASKED"}
    assert len(providers.prospeo.journal.entries(method="POST")) == 3


def test_a_web_page_is_named(providers: Providers, prospeo: Enricher) -> None:
    """The text says that a web page came where JSON was expected."""
    providers.prospeo.faults.order("html_login", times=3)
    answer = asked(prospeo, questions_about(providers.people(1)))
    assert "a web page of" in next(iter(answer.values())).detail


def test_nobody_is_there(providers: Providers) -> None:
    """Where no connection is made nothing was sent: the questions may be asked again, and no budget is counted."""
    providers.budget(day=10)
    providers.set(base_url="http://127.0.0.1:9/prospeo")
    with providers.opened() as account:
        answers = asked(as_enricher(account), questions_about(providers.people(2)))
    assert outcomes(answers) == {"retry_later": 2}
    assert {one.lost_units for one in answers.values()} == {0}
    with RateLimiter(providers.database, providers.clock) as limiter:
        days = [one.used for one in limiter.usage() if one.name == "credits_day"]
    assert days == [0]


ODD: dict[str, tuple[Any, str]] = {
    "a list": ([], "error"),
    "no parts": ({"error": False}, "error"),
    "numbers as names": ({"error": False, "person": {"first_name": 7, "headline": "Ok"}}, "match"),
    "a founding year as text": (
        {"error": False, "company": {"founded": "1999", "name": "Acme"}},
        "match",
    ),
    "jobs that are none": (
        {"error": False, "person": {"job_history": "many", "full_name": "Ada"}},
        "match",
    ),
    "an e-mail of another form": (
        {"error": False, "person": {"email": "ada@acme.example", "full_name": "Ada"}},
        "match",
    ),
    "an e-mail with a doubtful mark": (
        {
            "error": False,
            "person": {"email": {"email": "a@b.example", "revealed": "yes"}, "full_name": "Ada"},
        },
        "masked",
    ),
    "a person that is a list": ({"error": False, "person": [1, 2]}, "error"),
    "an error with status 200": ({"error": True, "error_code": "NO_MATCH"}, "no_match"),
    "an error without a code": ({"error": True}, "error"),
    "an unknown code": ({"error": True, "error_code": "TEAPOT"}, "error"),
}


@pytest.mark.parametrize("case", ODD)
def test_odd_answers(providers: Providers, prospeo: Enricher, case: str) -> None:
    """A value of another type than documented is left out and what was paid for is kept; a frame that cannot be read
    is an error."""
    body, outcome = ODD[case]
    providers.prospeo.faults.order("status", status=200, body=json.dumps(body), times=3)
    answer = asked(prospeo, [Question("x", NOBODY)])["x"]
    assert answer.outcome == outcome
    assert "email" not in facts(answer)
    if outcome == "error":
        assert answer.detail


BULK: dict[str, tuple[Any, Counter[str], list[int]]] = {
    "misses as objects": (
        {"matched": [], "not_matched": [{"identifier": "r0"}], "invalid_datapoints": ["r1"]},
        Counter(no_match=1, invalid_input=1),
        [0, 0],
    ),
    "one is left out": (
        {"matched": [{"identifier": "r0", "person": {"full_name": "A"}}], "total_cost": 1},
        Counter(match=1, error=1),
        [1, 0],
    ),
    "one is named twice, another is not ours": (
        {
            "matched": [{"identifier": n, "person": {"full_name": n}} for n in ("r0", "r0", "z")],
            "not_matched": ["r0", "r1", "z"],
            "total_cost": 1,
        },
        Counter(match=1, no_match=1),
        [1, 0],
    ),
    "free ones without a mark": (
        {
            "matched": [{"identifier": n, "person": {"full_name": n}} for n in ("r1", "r0")],
            "total_cost": 1,
        },
        Counter(match=2),
        [0, 1],
    ),
    "a cost that cannot be true counts as ten times the most": (
        {
            "matched": [{"identifier": n, "person": {"full_name": n}} for n in ("r0", "r1")],
            "total_cost": 999_999_999,
        },
        Counter(match=2),
        [19, 1],
    ),
    "a cost without matches": (
        {"matched": [], "not_matched": ["r0", "r1"], "total_cost": 2},
        Counter(no_match=2),
        [2, 0],
    ),
    "a match of another call": (
        {"matched": [{"identifier": "r0x0", "person": {"full_name": "A"}}], "total_cost": 1},
        Counter(error=2),
        [1, 0],
    ),
}


@pytest.mark.parametrize("case", BULK)
def test_odd_bulk_answers(providers: Providers, prospeo: Enricher, case: str) -> None:
    """Whatever a bulk call brings, each question gets one answer, and costs are what the provider says, within reason."""
    body, expected, costs = BULK[case]
    text = json.dumps({"error": False, **body})
    for number in (0, 1):
        text = text.replace(f'"r{number}"', f'"{identifier(number, NOBODY)}"')
    providers.prospeo.faults.order("status", status=200, body=text)
    answers = asked(prospeo, [Question("a", NOBODY), Question("b", NOBODY)])
    assert outcomes(answers) == expected
    assert [answers[name].billed_units for name in "ab"] == costs


def test_ids_have_to_differ(prospeo: Enricher) -> None:
    """Two questions with one id could not be told apart."""
    with pytest.raises(ValueError, match="same id"):
        list(prospeo.enrich([Question("a", NOBODY), Question("a", NOBODY)], Wanted()))


def test_budgets_hold(providers: Providers) -> None:
    """Of a budget of 25 a day no more is bought, whatever the batch, and what is left over is used."""
    providers.budget(day=25, month=90)
    with providers.opened() as account:
        rows = providers.people(40, mobile=True)
        first = asked(as_enricher(account), questions_about(rows[:20]))
        assert outcomes(first) == {"match": 20}
        second = asked(as_enricher(account), questions_about(rows[20:30]))
        assert outcomes(second) == {"match": 5, "no_credit": 5}
        third = asked(as_enricher(account), questions_about(rows[30:]), MOBILE)
        assert outcomes(third) == {"no_credit": 10}
        assert {one.code for one in third.values()} == {"OUR_BUDGET"}
    assert providers.spent() == 25


def test_misses_do_not_eat_the_budget(providers: Providers) -> None:
    """What is settled is what was charged: a hundred misses leave a budget of 12 whole."""
    providers.budget(month=12)
    with providers.opened() as account:
        misses = [Question(str(n), Person(email=f"x{n}@nowhere.example")) for n in range(100)]
        assert outcomes(asked(as_enricher(account), misses)) == {"no_match": 100}
        matches = asked(as_enricher(account), questions_about(providers.people(14)))
        assert outcomes(matches) == {"match": 12, "no_credit": 2}


def test_many_threads_share_a_budget(providers: Providers) -> None:
    """Four accounts that are opened at once never spend more than the budget together."""
    providers.budget(day=30)
    rows = providers.people(80)
    results: list[dict[str, Answer]] = []

    def work(part: int) -> None:
        with providers.opened() as account:
            results.append(asked(as_enricher(account), questions_about(rows[part::4])))

    threads = [threading.Thread(target=work, args=(part,)) for part in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    matched = sum(outcomes(one)["match"] for one in results)
    assert 20 <= providers.spent() == matched <= 30


def test_limits_are_kept(providers: Providers) -> None:
    """With the limits of a plan no call is refused, however the vendor counts bulk calls, and the calls are as large as
    they may be."""
    providers.limited()
    providers.prospeo.admin("set_limits", bulk_counts_in_second=True)
    limits = {"enrich_second": 5, "enrich_minute": 300, "enrich_day": 5_000}
    providers.set(limits={**providers.provider.limits, **limits}, share=1.0)
    with providers.opened(clock=None) as account:
        answers = asked(as_enricher(account), questions_about(providers.people(10)))
    assert outcomes(answers) == {"match": 10}
    assert [entry.status for entry in providers.prospeo.journal.entries()] == [200, 200]


def test_headers_are_heeded(providers: Providers) -> None:
    """What others have used counts, as the headers say; a limit that is smaller than ours is taken over."""
    providers.limited("starter")
    emulation: Any = providers.sandbox.emulations["prospeo"]
    emulation.limits.set_class("enrich", 1_000, 1_000, 2_000)
    emulation.limits.count("enrich", 900)
    with providers.opened() as account:
        asked(as_enricher(account), questions_about(providers.people(2)))
    with RateLimiter(providers.database, providers.clock) as limiter:
        seen = {one.name: one for one in limiter.usage(group_of(providers.provider))}
    assert (seen["enrich_day"].vendor_used, seen["enrich_day"].vendor_ceiling) == (902, 2_000)
    assert seen["enrich_minute"].vendor_ceiling == 1_000


@pytest.mark.parametrize("name", ["x-daily", "x-minute"])
def test_headers_that_lie(providers: Providers, prospeo: Enricher, name: str) -> None:
    """A counter that cannot be true stops nothing."""
    for left, total in (("0", "1" * 40), ("9", "0"), ("-1", "100"), ("99", "3"), ("x", "100")):
        headers = {f"{name}-request-left": left, f"{name}-rate-limit": total}
        body = json.dumps({"error": True, "error_code": "NO_MATCH"})
        providers.prospeo.faults.order("status", status=400, body=body, headers=headers)
        assert asked(prospeo, [Question("x", NOBODY)])["x"].outcome is Outcome.NO_MATCH


def test_throttling_is_waited_for(providers: Providers) -> None:
    """A refusal for too many calls is waited for as the headers say; too long a wait is put off to the caller."""
    body = json.dumps({"error": True, "error_code": "RATE_LIMITED"})

    def throttle(word: str, seconds: int, times: int = 1) -> None:
        headers = {f"x-{word}-request-left": "0", f"x-{word}-reset-seconds": str(seconds)}
        providers.prospeo.faults.order(
            "status", status=429, body=body, headers=headers, times=times
        )

    waits: list[float] = []

    class Policy(RetryPolicy):
        def wait_s(self, tries: int, error: Any) -> float:
            waits.append(super().wait_s(tries, error))
            return waits[-1]

    with providers.opened(retry=Policy(attempts=3, uniform=lambda a, b: 0.0)) as account:
        throttle("minute", 17)
        answers = asked(as_enricher(account), questions_about(providers.people(2)))
        assert (outcomes(answers), waits) == ({"match": 2}, [17.0])
        throttle("daily", 7_000)
        later = asked(as_enricher(account), questions_about(providers.people(4)[2:]))
    assert outcomes(later) == {"retry_later": 2}
    assert {one.retry_after_s for one in later.values()} == {7_000.0}


def test_without_waiting(providers: Providers) -> None:
    """An account that does not wait puts off what it cannot ask at once, and says for how long."""
    providers.set(limits={**providers.provider.limits, "enrich_minute": 3}, share=1.0)
    with providers.opened(patient=False) as account:
        answers = asked(as_enricher(account), questions_about(providers.people(5)))
    assert outcomes(answers) == {"match": 3, "retry_later": 2}
    (wait_s,) = {one.retry_after_s for one in answers.values() if one.outcome != "match"}
    assert wait_s is not None
    assert 0 < wait_s <= 61
    assert providers.spent() == 3


def test_the_account(providers: Providers, prospeo: Enricher) -> None:
    """Plan, credits and the day on which they are whole again, with the vendor's blank in the time."""
    asked(prospeo, questions_about(providers.people(3)))
    account = prospeo.account()
    assert (account.remaining, account.used) == (997, 3)
    assert account.renews_at == datetime(2026, 12, 15, tzinfo=UTC)
    assert providers.prospeo.journal.entries()[-1].method == "GET"
    unwrapped = {"error": False, "remaining_credits": 5, "used_credits": 7, "current_plan": "X"}
    providers.prospeo.faults.order("status", status=200, body=json.dumps(unwrapped))
    assert (prospeo.account().remaining, prospeo.account().renews_at is None) == (5, False)
    providers.prospeo.faults.order("status", status=200, body='{"error": false}', times=3)
    with pytest.raises(MalformedResponse, match="which credits are left"):
        prospeo.account()


def test_a_search(providers: Providers, prospeo: Enricher) -> None:
    """A targeted list: pages of people without contact values, each worth a question that buys them."""
    finder = as_finder(prospeo)
    filters = {"person_department": {"include": ["Sales", "Marketing"]}}
    expected = {
        row["id"]
        for row in providers.prospeo.rows("people")
        if row["department"] in {"Sales", "Marketing"}
    }
    pages = list(finder.search(filters, pages=50))
    found = [listed for page in pages for listed in page.people]
    assert {one.person.provider_id for one in found} == expected
    assert len(pages) > 1
    assert {page.total for page in pages} == {len(expected)}
    assert sum(page.billed_units for page in pages) == len(pages) == providers.spent()
    assert not {fact.name for one in found for fact in one.facts} & {"email", "mobile"}
    listed = found[0]
    answer = asked(prospeo, [Question("x", listed.person)])["x"]
    assert answer.provider_id == listed.person.provider_id
    assert len(list(finder.search(filters, pages=1))) == 1
    nobody = {"person_name": {"include": ["Nobody At All"]}}
    assert list(finder.search(nobody)) == []


@pytest.mark.parametrize(
    ("filters", "words"),
    [
        ({"person_titel": {"include": ["CEO"]}}, "unknown filter 'person_titel'"),
        ({"person_seniority": {"exclude": ["Head"]}}, "no filter of a search"),
        ({"person_name": {"include": ["x"] * 501}}, "more than 500 values"),
        ({"person_seniority": {"include": ["Head"]}, "company_type": "Private"}, "company_type"),
    ],
)
def test_filters_that_cannot_work(prospeo: Enricher, filters: dict[str, Any], words: str) -> None:
    """A wrong filter is an error that names it, before anything is bought, or as the vendor says."""
    with pytest.raises(ConfigError, match=words):
        list(as_finder(prospeo).search(filters))


def test_a_page_that_was_not_asked_for(providers: Providers, prospeo: Enricher) -> None:
    """A vendor that repeats its first page does not make an endless list."""
    page = {"current_page": 1, "per_page": 25, "total_page": 9, "total_count": 200}
    body = {"error": False, "results": [{"person": {"person_id": "x"}}], "pagination": page}
    providers.prospeo.faults.order("status", status=200, body=json.dumps(body), times=9)
    pages = as_finder(prospeo).search({"person_name": {"include": ["x"]}}, pages=5)
    assert next(pages).number == 1
    with pytest.raises(Exception, match="page 2 of a search was asked for, and page 1 came"):
        next(pages)


def test_filters_are_those_of_the_official_client() -> None:
    """The number of filters that its schema declares for people, person's and company's own."""
    assert len(FILTERS) == 12 + 19
    assert sum(name.startswith("person_") for name in FILTERS) == 11


def test_it_verifies_by_the_way(providers: Providers, prospeo: Enricher) -> None:
    """The verdict is on the address that was asked about; of somebody's other address it says nothing."""
    good, bad = providers.people(1, verified=True)[0], providers.people(1, verified=False)[0]
    moved = next(
        row for row in providers.prospeo.rows("people") if row["email"] != row["work_email"]
    )
    questions = [
        Question("good", Person(email=good["work_email"].upper())),
        Question("bad", Person(email=bad["work_email"])),
        Question("other", Person(email=moved["email"])),
        Question("miss", NOBODY),
    ]
    verdicts = {one.id: one for one in as_verifier(prospeo).verify(questions)}
    assert {name: str(one.verdict) for name, one in verdicts.items()} == {
        "good": "deliverable",
        "bad": "risky",
        "other": "unknown",
        "miss": "unknown",
    }
    assert verdicts["bad"].reasons == ("unconfirmed",)
    assert sum(one.billed_units for one in verdicts.values()) == 3


def test_a_key_that_is_not_there(providers: Providers) -> None:
    """A missing key or a provider that is not there is named, before anything is asked."""
    providers.set(key_variable="NOT_SET")
    words = "provider 'prospeo' needs the environment variable NOT_SET"
    with pytest.raises(SecretMissing, match=words), providers.opened():
        pass
    with pytest.raises(UnknownName, match="unknown provider 'prospo'"), providers.opened("prospo"):
        pass


def test_the_key_goes_nowhere_else(providers: Providers, prospeo: Enricher) -> None:
    """A redirect is not followed, and no text holds the key or an address."""
    providers.prospeo.faults.order(
        "status", status=302, headers={"Location": "http://127.0.0.1:1/steal"}
    )
    answer = asked(prospeo, questions_about(providers.people(1)))
    text = repr(answer)
    key = providers.prospeo.credentials["api_key"]
    assert key not in text
    assert "@" not in text
    assert next(iter(answer.values())).outcome is Outcome.ERROR


def test_usage_is_counted(providers: Providers) -> None:
    """Calls and credits stand in the usage by day, under the provider's name."""
    with providers.opened() as account:
        asked(as_enricher(account), questions_about(providers.people(4)))
        as_enricher(account).account()
    with RateLimiter(providers.database, providers.clock) as limiter:
        usage = {one.operation: (one.calls, one.cost) for one in limiter.usage_by_day()}
    assert usage == {"bulk-enrich-person": (1, 4), "account-information": (1, 0)}


def test_a_killed_process_counts_whole(
    providers: Providers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A call whose process ended before the reply keeps what it held: the budget is never too large."""
    providers.budget(day=20)
    send: Callable[..., Any] = lambda *_, **__: (_ for _ in ()).throw(SystemExit)  # noqa: E731
    with providers.opened() as account:
        monkeypatch.setattr("crm_pipeline.wire.session.HttpSession.request", send)
        with pytest.raises(SystemExit):
            asked(as_enricher(account), questions_about(providers.people(5)))
        monkeypatch.undo()
        answers = asked(as_enricher(account), questions_about(providers.people(20)))
    assert outcomes(answers) == {"match": 15, "no_credit": 5}
