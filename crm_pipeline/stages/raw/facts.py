"""Asks an account once a day what it says about itself: its zone, main currency, web address."""

from dataclasses import asdict, replace
from datetime import timedelta

import structlog

from crm_pipeline.connectors.base import Account, ReportsFacts
from crm_pipeline.kernel.errors import CorruptFile, CrmError
from crm_pipeline.model.account import AccountFacts
from crm_pipeline.store.landing import Landing
from crm_pipeline.store.landing.account_facts import Note, account_note, note_facts

_EVERY = timedelta(days=1)
_AGAIN = timedelta(hours=1)
"""How long an account that did not answer is left alone: each object of each refresh would ask it."""
_log = structlog.get_logger("crm_pipeline.raw")


def note_account(account: Account, landing: Landing) -> None:
    """Note what an account says about itself, where it was not asked within a day.

    An account that does not answer keeps what is known of it, and so does a fact that is missing from the
    answer, or cannot be so: tables are made with these. Another time zone moves every day of every table, so
    it counts once the account has named it on two days.
    """
    if not isinstance(account, ReportsFacts):
        return
    name = account.connection.name
    try:
        note, is_damaged = account_note(landing, name), False
    except CorruptFile:
        note, is_damaged = Note(), True
    if _is_fresh(note, landing):
        return
    try:
        stated = account.facts()
    except CrmError as error:
        _log.warning(
            "what the account says about itself is not known",
            connection=name,
            reason=error.message,
        )
        # A damaged note stays as it is: one that knows nothing would move days.
        if not is_damaged:
            note_facts(landing, name, note.facts, replace(note, has_answered=False))
        return
    facts, note = _learnt(name, note, _credible(name, stated), landing)
    note_facts(landing, name, facts, note)


def _is_fresh(note: Note, landing: Landing) -> bool:
    """Say whether an account need not be asked; a note from a clock that went ahead says nothing."""
    if note.asked_at is None:
        return False
    wait = _EVERY if note.has_answered else _AGAIN
    return timedelta() <= landing.clock.now() - note.asked_at < wait


def _credible(name: str, stated: AccountFacts) -> AccountFacts:
    facts = stated.credible
    refused = [one for one, value in asdict(stated).items() if value and not asdict(facts)[one]]
    if refused:
        _log.warning(
            "the account says something of itself that cannot be so",
            connection=name,
            facts=refused,
        )
    return facts


def _learnt(
    name: str, note: Note, stated: AccountFacts, landing: Landing
) -> tuple[AccountFacts, Note]:
    """Return what is known of an account after its answer, and what is to be noted beside it."""
    known = note.facts
    answered = {fact: value for fact, value in asdict(stated).items() if value}
    facts = AccountFacts(**(asdict(known) | answered))
    if not stated.zone:
        return facts, replace(note, has_answered=True)
    if known.zone in {"", facts.zone}:
        return facts, Note()
    now = landing.clock.now()
    is_again = note.next_zone == facts.zone and note.next_zone_at is not None
    since = note.next_zone_at if is_again and note.next_zone_at else now
    if now - since >= _EVERY:
        text = "the account's time zone has changed: its days are made anew"
        _log.warning(text, connection=name, before=known.zone, now=facts.zone)
        return facts, Note()
    text = "the account names another time zone: it counts if the next answer of a later day names it too"
    _log.warning(text, connection=name, before=known.zone, now=facts.zone)
    # A clock that was set back would make it wait for ever.
    waiting = Note(next_zone=facts.zone, next_zone_at=min(since, now))
    return replace(facts, time_zone=known.zone), waiting
