"""Hunter's verifier as the second provider: it proves that the protocol fits another one."""

import json
from typing import Any

import pytest
import structlog

from crm_pipeline.kernel.errors import AuthFailed, ConfigError, NotPermitted
from crm_pipeline.providers import (
    Company,
    EmailAnswer,
    EmailVerifier,
    Enricher,
    Outcome,
    Person,
    Question,
    as_enricher,
    as_finder,
    as_verifier,
)
from crm_pipeline.settings import Budget
from crm_pipeline_tests.providing import Providers


def verified(providers: Providers, *addresses: str, **options: Any) -> dict[str, EmailAnswer]:
    questions = [Question(str(n), Person(email=one)) for n, one in enumerate(addresses)]
    with providers.opened("hunter", **options) as account:
        answers = list(as_verifier(account).verify(questions))
    assert sorted(one.id for one in answers) == sorted(one.id for one in questions)
    return {addresses[int(one.id)]: one for one in answers}


def answered(providers: Providers, **data: Any) -> EmailAnswer:
    """Return what becomes of a response with this content."""
    body = json.dumps({"data": data})
    providers.hunter.faults.order("status", status=200, body=body)
    return verified(providers, "x@acme.example")["x@acme.example"]


def test_verdicts_are_the_worlds(providers: Providers) -> None:
    """What the world says of an address becomes a verdict with its reasons, and each costs one."""
    providers.hunter.admin("set_account", accept_all_percent=0)
    world = providers.sandbox.world
    domain = world.companies()["domain"][0].as_py()
    cards = world.contact_cards("salesforce", world.companies()).to_pylist()
    found: dict[str, str] = {}
    for card in cards:
        if card["email"]:
            found.setdefault(card["email_verdict"], card["email"])
    valid = next(
        c["email"] for c in cards if c["email_verdict"] == "valid" and "gmail" in c["email"].lower()
    )
    asked = dict.fromkeys([*found.values(), f"nobody@{domain}", valid])
    answers = verified(providers, *asked)
    verdicts = {kind: str(answers[address].verdict) for kind, address in found.items()}
    assert verdicts == {
        "valid": "deliverable",
        "role": "deliverable",
        "typo": "undeliverable",
        "placeholder": "undeliverable",
        "disposable": "risky",
    }
    assert answers[f"nobody@{domain}"].reasons == ("mailbox_not_found",)
    assert set(answers[valid].reasons) == {"confirmed", "free_provider"}
    assert answers[valid].verdict == "deliverable"
    assert sum(one.billed_units for one in answers.values()) == len(answers)
    assert providers.hunter.count("verifications") == len(answers)


CASES: dict[str, tuple[dict[str, Any], str, tuple[str, ...]]] = {
    "valid": ({"status": "valid", "score": 96}, "deliverable", ("confirmed",)),
    "valid by a program": (
        {"status": "valid", "gibberish": True},
        "deliverable",
        ("confirmed", "gibberish"),
    ),
    "valid at a domain that takes all": (
        {"status": "valid", "accept_all": True},
        "risky",
        ("confirmed", "catch_all"),
    ),
    "invalid": ({"status": "invalid"}, "undeliverable", ("mailbox_not_found",)),
    "no address": ({"status": "invalid", "regexp": False}, "undeliverable", ("bad_syntax",)),
    "no servers": ({"status": "invalid", "mx_records": False}, "undeliverable", ("no_mx",)),
    "accepts all": ({"status": "accept_all"}, "risky", ("catch_all",)),
    "disposable": ({"status": "disposable"}, "risky", ("disposable",)),
    "webmail": (
        {"status": "webmail", "smtp_check": True},
        "deliverable",
        ("confirmed", "free_provider"),
    ),
    "webmail, not checked": (
        {"status": "webmail", "smtp_check": False},
        "unknown",
        ("no_result", "free_provider"),
    ),
    "unknown": ({"status": "unknown"}, "unknown", ("no_result",)),
    "shut out": (
        {"status": "unknown", "block": True},
        "unknown",
        ("no_result", "smtp_blocked"),
    ),
    "a new word": ({"status": "sunny"}, "unknown", ("no_result",)),
}


@pytest.mark.parametrize("case", CASES)
def test_the_table(providers: Providers, case: str) -> None:
    """The neutral table: statuses are verdicts, flags are reasons, and an unknown word is unknown."""
    data, verdict, reasons = CASES[case]
    with structlog.testing.capture_logs() as logs:
        answer = answered(providers, **data)
    assert (answer.outcome, str(answer.verdict)) == (Outcome.MATCH, verdict)
    assert tuple(map(str, answer.reasons)) == reasons
    assert bool(logs) is (case == "a new word")
    assert answer.code == data["status"]


@pytest.mark.parametrize(("score", "expected"), [(0, 0.0), (96, 0.96), (101, None), (-1, None)])
def test_scores(providers: Providers, score: int, expected: float | None) -> None:
    """A score from 0 to 100 is one from 0 to 1; any other is none."""
    assert answered(providers, status="valid", score=score).score == expected


def test_pending(providers: Providers) -> None:
    """202 is asked again after a while, and only then is it charged."""
    providers.hunter.admin("set_account", pending=2, accept_all_percent=0)
    answers = verified(providers, "a@gmail.com", "info@mailinator.com")
    assert {one.outcome for one in answers.values()} == {"match"}
    assert providers.hunter.count("verifications") == 2
    assert len(providers.hunter.journal) == 6
    assert providers.clock.slept == [5.0, 5.0]


@pytest.mark.parametrize(("patient", "calls"), [(True, 4), (False, 1)])
def test_pending_for_long(providers: Providers, patient: bool, calls: int) -> None:
    """What is never ready stays pending, costs nothing, and says when to ask again."""
    providers.hunter.admin("set_account", pending=99)
    answer = verified(providers, "a@gmail.com", patient=patient)["a@gmail.com"]
    assert (answer.outcome, answer.billed_units) == (Outcome.PENDING, 0)
    assert answer.retry_after_s == 60.0
    assert len(providers.hunter.journal) == calls


def test_restricted(providers: Providers) -> None:
    """451 is an outcome of its own, for the register of those who are never asked about; the others go on."""
    providers.hunter.admin("restrict", email="ada@gmail.com")
    answers = verified(providers, "ada@gmail.com", "info@mailinator.com")
    assert answers["ada@gmail.com"].outcome is Outcome.RESTRICTED
    assert str(answers["ada@gmail.com"].verdict) == "unknown"
    assert answers["info@mailinator.com"].outcome is Outcome.MATCH
    assert sum(one.billed_units for one in answers.values()) == 1


def test_no_verifications_left(providers: Providers) -> None:
    """429 with the words of the allowance stops the rest; nothing more is asked."""
    providers.hunter.admin("set_account", verifications=1)
    answers = verified(providers, "a@gmail.com", "b@gmail.com", "c@gmail.com")
    assert [one.outcome for one in answers.values()] == ["match", "no_credit", "no_credit"]
    assert len(providers.hunter.journal) == 2


@pytest.mark.parametrize("status", [403, 429])
def test_throttled(providers: Providers, status: int) -> None:
    """Either status for too many calls is tried again."""
    error = {"id": "too_many_requests", "code": status, "details": "You reached the rate limit"}
    body = json.dumps({"errors": [error]})
    providers.hunter.faults.order("status", status=status, body=body, times=2)
    assert verified(providers, "a@gmail.com")["a@gmail.com"].outcome is Outcome.MATCH


@pytest.mark.parametrize("kind", ["html_login", "truncate", "empty_body"])
def test_nonsense(providers: Providers, kind: str) -> None:
    """An unreadable answer is an error that says what came, and may have been charged."""
    providers.hunter.faults.order(kind, times=3, status=200)
    answers = verified(providers, "a@gmail.com", "b@gmail.com")
    first, second = answers.values()
    assert (first.outcome, first.lost_units) == (Outcome.ERROR, 3)
    assert first.detail.startswith("hunter: ")
    assert "gmail" not in first.detail
    assert (second.outcome, second.code) == (Outcome.RETRY_LATER, "NOT_ASKED")


def test_a_budget_holds(providers: Providers) -> None:
    """The budget of a day is in verifications, and pending ones do not count."""
    providers.hunter.admin("set_account", pending=1)
    providers.set("hunter", budget=Budget(run=None, day=2, month=None))
    answers = verified(providers, "a@gmail.com", "b@gmail.com", "c@gmail.com")
    assert [one.outcome for one in answers.values()] == ["match", "match", "no_credit"]
    assert providers.hunter.count("verifications") == 2


def test_what_cannot_be_asked(providers: Providers) -> None:
    """No address is no question, a company has none, and a refused text is the fault of the text."""
    with providers.opened("hunter") as account:
        questions = [Question("a", Person(profile="x")), Question("b", Company(name="x"))]
        answers = list(as_verifier(account).verify(questions))
    assert {one.outcome for one in answers} == {"invalid_input"}
    assert not len(providers.hunter.journal)
    error = {"errors": [{"id": "wrong_params", "code": 400, "details": "no"}]}
    providers.hunter.faults.order("status", status=400, body=json.dumps(error))
    assert verified(providers, "x")["x"].outcome is Outcome.INVALID_INPUT


@pytest.mark.parametrize(("status", "error"), [(401, AuthFailed), (403, NotPermitted)])
def test_a_refused_key(providers: Providers, status: int, error: type[Exception]) -> None:
    """It is an error with a cure; the key stands in no query string."""
    body = json.dumps({"errors": [{"id": "forbidden", "code": status, "details": "no"}]})
    providers.hunter.faults.order("status", status=status, body=body)
    with pytest.raises(error, match="hunter: Hunter"):
        verified(providers, "a@gmail.com")
    (entry,) = providers.hunter.journal.entries()
    assert "key" not in entry.query


def test_what_it_is_not(providers: Providers) -> None:
    """A provider that is asked for what it does not sell is named with its type."""
    with providers.opened("hunter") as account:
        assert isinstance(account, EmailVerifier)
        assert not isinstance(account, Enricher)
        for wrong in (as_enricher, as_finder):
            with pytest.raises(ConfigError, match="provider 'hunter' is of type hunter, which"):
                wrong(account)
