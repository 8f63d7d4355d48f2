"""Asks an account once a day what it says about itself: its zone, main currency, web address."""

from dataclasses import asdict
from datetime import timedelta

import structlog

from crm_pipeline.connectors.base import Account, TellsFacts
from crm_pipeline.kernel.errors import CorruptFile, CrmError
from crm_pipeline.model.account import AccountFacts
from crm_pipeline.store.account_facts import account_facts, facts_noted_at, note_facts
from crm_pipeline.store.landing import Landing

_EVERY = timedelta(days=1)
_log = structlog.get_logger("crm_pipeline.raw")


def note_account(account: Account, landing: Landing) -> None:
    """Note what an account says about itself, where it was not asked within a day.

    An account that does not answer keeps what is known of it, and so does a fact that is missing from the
    answer: tables are made with these.
    """
    if not isinstance(account, TellsFacts):
        return
    name = account.connection.name
    noted_at = facts_noted_at(landing, name)
    if noted_at is not None and landing.clock.now() - noted_at < _EVERY:
        return
    try:
        stated = account.facts()
    except CrmError as error:
        _log.warning("what the account says about itself is not known", reason=error.message)
        return
    known = _known(landing, name)
    answered = {fact: value for fact, value in asdict(stated).items() if value}
    facts = AccountFacts(**(asdict(known) | answered))
    if known.zone != facts.zone and known != AccountFacts():
        _log.warning(
            "the account's time zone has changed: its days are made anew",
            connection=name,
            before=known.zone,
            now=facts.zone,
        )
    note_facts(landing, name, facts)


def _known(landing: Landing, connection: str) -> AccountFacts:
    try:
        return account_facts(landing, connection)
    except CorruptFile:
        return AccountFacts()
