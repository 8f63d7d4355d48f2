"""What an account says about itself: asked once a day, and what becomes of answers that lack something."""

from types import SimpleNamespace
from typing import Any

import pytest

from crm_pipeline.kernel.errors import CorruptFile, Rejected
from crm_pipeline.model.account import AccountFacts
from crm_pipeline.stages.raw import note_account
from crm_pipeline.store.account_facts import account_facts, facts_path
from crm_pipeline.store.scrub import scrub

FACTS = AccountFacts("Europe/Berlin", "EUR", "https://acme.example")


class Portal:
    """An account that answers what it is told to."""

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


def test_once_a_day(org, portal: Any) -> None:
    """A refresh every minute costs no call more; a zone that has changed is known a day later."""
    for _ in range(3):
        note_account(portal, org.landing)
    assert (portal.asked, account_facts(org.landing, "acme")) == (1, FACTS)
    portal.answer = AccountFacts("Asia/Tokyo", "EUR", "https://acme.example")
    org.clock.advance(86_400)
    note_account(portal, org.landing)
    assert account_facts(org.landing, "acme") == portal.answer


@pytest.mark.parametrize("answer", [AccountFacts(), Rejected("no such scope")])
def test_what_is_not_answered_stays_known(org, portal: Any, answer: Any) -> None:
    """Days of all records depend on it."""
    note_account(portal, org.landing)
    org.clock.advance(86_400)
    portal.answer = answer
    note_account(portal, org.landing)
    assert account_facts(org.landing, "acme") == FACTS


def test_a_damaged_note(org, portal: Any) -> None:
    """It is named, used by nobody, and asked for again."""
    note_account(portal, org.landing)
    path = facts_path(org.data, "acme")
    path.write_text(path.read_text().replace("Berlin", "Merlin"))
    with pytest.raises(CorruptFile, match="is damaged"):
        account_facts(org.landing, "acme")
    assert [one.path for one in scrub(org.data).damage] == [path]
    note_account(portal, org.landing)
    assert account_facts(org.landing, "acme") == FACTS
