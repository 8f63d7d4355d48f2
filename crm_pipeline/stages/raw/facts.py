"""Request an account's time zone, main currency and web address from the vendor, once a day."""

from dataclasses import asdict, replace
from datetime import timedelta

import structlog

from crm_pipeline.connectors.base import Account, ReportsFacts
from crm_pipeline.kernel.errors import CorruptFile, CrmError
from crm_pipeline.model.account import AccountFacts
from crm_pipeline.store.landing import Landing
from crm_pipeline.store.landing.account_facts import Note, account_note, note_facts

_INTERVAL = timedelta(days=1)
_RETRY_INTERVAL = timedelta(hours=1)
"""Time until an account that did not answer is asked again; each object of each refresh would ask it otherwise."""
_log = structlog.get_logger("crm_pipeline.raw")


def note_account(account: Account, landing: Landing) -> None:
    """Store an account's facts, if it was not asked within a day.

    Tables are built with these facts. So the earlier facts stay if the account does not answer, and an
    earlier fact stays if the response lacks it or states an impossible value. Another time zone moves every
    day of every table, so it counts only once the account has stated it on two days.
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
        # A damaged note stays as it is: without the zone in it, days would move.
        if not is_damaged:
            note_facts(landing, name, note.facts, replace(note, has_answered=False))
        return
    facts, note = _merged(name, note, _credible(name, stated), landing)
    note_facts(landing, name, facts, note)


def _is_fresh(note: Note, landing: Landing) -> bool:
    """Say whether an account need not be asked now; a note with a time in the future does not count."""
    if note.asked_at is None:
        return False
    wait = _INTERVAL if note.has_answered else _RETRY_INTERVAL
    return timedelta() <= landing.clock.now() - note.asked_at < wait


def _credible(name: str, stated: AccountFacts) -> AccountFacts:
    facts = stated.credible
    refused = [fact for fact, value in asdict(stated).items() if value and not asdict(facts)[fact]]
    if refused:
        _log.warning(
            "the account says something of itself that cannot be so",
            connection=name,
            facts=refused,
        )
    return facts


def _merged(
    name: str, note: Note, stated: AccountFacts, landing: Landing
) -> tuple[AccountFacts, Note]:
    """Return an account's facts after its response, and the note to store beside them."""
    before = note.facts
    present = {fact: value for fact, value in asdict(stated).items() if value}
    facts = AccountFacts(**(asdict(before) | present))
    if not stated.zone:
        return facts, replace(note, has_answered=True)
    if before.zone in {"", facts.zone}:
        return facts, Note()
    now = landing.clock.now()
    is_again = note.next_zone == facts.zone and note.next_zone_at is not None
    since = note.next_zone_at if is_again and note.next_zone_at else now
    if now - since >= _INTERVAL:
        text = "the account's time zone has changed: its days are made anew"
        _log.warning(text, connection=name, before=before.zone, now=facts.zone)
        return facts, Note()
    text = "the account states another time zone: it counts if the response of a later day states it too"
    _log.warning(text, connection=name, before=before.zone, now=facts.zone)
    # Without `min` a clock that was set back would make it wait for ever.
    waiting = Note(next_zone=facts.zone, next_zone_at=min(since, now))
    return replace(facts, time_zone=before.zone), waiting
