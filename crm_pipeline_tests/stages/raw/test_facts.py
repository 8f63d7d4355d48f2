"""Facts of an account: requested once a day, and kept if a response lacks them."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any
from zoneinfo import available_timezones

import duckdb
import pytest
from structlog.testing import capture_logs

from crm_pipeline.kernel.errors import CorruptFile, Rejected
from crm_pipeline.model.account import AccountFacts, is_time_zone
from crm_pipeline.stages.raw import note_account
from crm_pipeline.store.landing.account_facts import Note, account_facts, facts_path, note_facts
from crm_pipeline.store.scrub import scrub

FACTS = AccountFacts("Europe/Berlin", "EUR", "https://acme.example")


class Portal:
    """An account with given facts."""

    connection = SimpleNamespace(name="acme")

    def __init__(self) -> None:
        self.answer: Any = FACTS
        self.asked = 0

    def facts(self) -> AccountFacts:
        self.asked += 1
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.fixture
def portal() -> Any:
    return Portal()


def asked(portal: Any, org: Any, answer: Any, *, after: float = 86_400) -> AccountFacts:
    """Ask the account after some seconds, and return its facts then."""
    org.clock.advance(after)
    portal.answer = answer
    note_account(portal, org.landing)
    return account_facts(org.landing, "acme")


def test_once_a_day(org, portal: Any) -> None:
    """A refresh every minute costs no further call; a change is noticed a day later."""
    for _ in range(3):
        note_account(portal, org.landing)
    assert (portal.asked, account_facts(org.landing, "acme")) == (1, FACTS)
    changed = replace(FACTS, currency="USD")
    assert asked(portal, org, changed, after=86_399) == FACTS
    assert asked(portal, org, changed, after=1) == changed


def test_another_zone_is_named_twice(org, portal: Any) -> None:
    """One response changes no day: a new zone counts once the response of a later day states it, too."""
    tokyo, paris = replace(FACTS, time_zone="Asia/Tokyo"), replace(FACTS, time_zone="Europe/Paris")
    note_account(portal, org.landing)
    assert asked(portal, org, tokyo) == FACTS
    # Another process that asked at the same time is no second day.
    facts_path(org.data, "acme").unlink()
    note_facts(
        org.landing, "acme", FACTS, Note(next_zone="Asia/Tokyo", next_zone_at=org.clock.now())
    )
    assert asked(portal, org, tokyo, after=-3_600) == FACTS
    assert asked(portal, org, paris) == FACTS
    assert asked(portal, org, replace(paris, time_zone="")) == FACTS
    assert asked(portal, org, paris) == paris
    assert asked(portal, org, FACTS) == paris
    assert asked(portal, org, paris) == paris
    assert asked(portal, org, FACTS) == paris


@pytest.mark.parametrize(
    "answer",
    [
        AccountFacts("Mars/Base", "eur;--", "javascript:alert(1)"),
        AccountFacts("posix/Europe/Paris", "EURO", "https://evil.example/?/contacts"),
        AccountFacts("localtime", "eur", "http://acme.example"),
        AccountFacts("Factory", "", "https://a@evil.example"),
        AccountFacts("../etc/passwd", " EUR", "https://evil.example/#"),
        AccountFacts("europe/berlin", "EUR\n", "https://evil.example/\n"),
        AccountFacts("Europe/Berlin'", "", "https://[::1"),
    ],
)
def test_what_cannot_be_so_is_not_known(org, portal: Any, answer: AccountFacts) -> None:
    """Impossible facts are not used, neither from the first response nor later, nor from notes of an earlier version."""
    assert asked(portal, org, answer) == AccountFacts()
    assert asked(portal, org, FACTS) == FACTS
    for _ in range(2):
        assert asked(portal, org, answer) == FACTS
    note_facts(org.landing, "acme", answer)
    assert account_facts(org.landing, "acme") == AccountFacts()


def test_duckdb_makes_days_in_every_zone_that_is_known() -> None:
    """Further names of Python's zones are names of settings, not of places."""
    with duckdb.connect() as session:
        found = session.execute("SELECT name FROM pg_timezone_names()").fetchall()
    in_duckdb = {name for (name,) in found}
    known = {name for name in available_timezones() if is_time_zone(name)}
    assert known <= in_duckdb
    assert {"Europe/Berlin", "America/Los_Angeles", "Asia/Kolkata", "UTC", "Etc/GMT+5"} <= known
    places = {name for name in available_timezones() & in_duckdb if "/" in name}
    assert {name for name in places - known if not name.startswith("SystemV/")} == set()
    others = ("posix/Europe/Berlin", "right/UTC", "posixrules", "localtime", "Factory", "")
    assert [name for name in others if is_time_zone(name)] == []


def test_an_account_that_does_not_answer(org, portal: Any) -> None:
    """A silent account is asked again after an hour, not by each object; the log names the connection."""
    with capture_logs() as logs:
        for _ in range(3):
            assert asked(portal, org, Rejected("no such scope"), after=60) == AccountFacts()
    assert portal.asked == 1
    assert [entry["connection"] for entry in logs] == ["acme"]
    assert asked(portal, org, FACTS, after=3_600) == FACTS


def test_a_note_from_a_clock_that_went_ahead(org, portal: Any) -> None:
    """A note from the future does not count: the account is asked."""
    note_account(portal, org.landing)
    assert asked(portal, org, replace(FACTS, currency="USD"), after=-90_000).currency == "USD"


@pytest.mark.parametrize("answer", [AccountFacts(), Rejected("no such scope")])
def test_what_is_not_answered_stays_known(org, portal: Any, answer: Any) -> None:
    """A fact that a later response lacks stays known, because days of all records depend on it."""
    note_account(portal, org.landing)
    org.clock.advance(86_400)
    portal.answer = answer
    note_account(portal, org.landing)
    assert account_facts(org.landing, "acme") == FACTS


def test_a_damaged_note(org, portal: Any) -> None:
    """A damaged note is named and not used, and the facts are requested again."""
    note_account(portal, org.landing)
    path = facts_path(org.data, "acme")
    path.write_text(path.read_text().replace("Berlin", "Merlin"))
    with pytest.raises(CorruptFile, match="is damaged") as caught:
        account_facts(org.landing, "acme")
    assert "crm-pipeline refresh acme" in caught.value.cure
    [damage] = scrub(org.data).corruption
    assert (damage.path, "crm-pipeline refresh acme" in damage.cure) == (path, True)
    note_account(portal, org.landing)
    assert account_facts(org.landing, "acme") == FACTS
