"""Answers of DNS, kept in PostgreSQL, so that all runs and processes use them."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from crm_pipeline.store.postgres.database import Database
from crm_pipeline.verification import DomainAnswer
from crm_pipeline.verification.mail_servers import DNS_REASONS

_KEPT = """
SELECT domain, reason, checked_at, expires_at FROM crm_state.dns_answers
WHERE domain = ANY(%s) AND expires_at > %s AND checked_at < %s
"""
_AHEAD = timedelta(minutes=10)
"""Clocks of machines differ by less; an answer from further ahead is of a clock that was wrong."""
_REASONS = {str(reason): reason for reason in DNS_REASONS}
_KEEP = """
INSERT INTO crm_state.dns_answers (domain, reason, checked_at, expires_at)
SELECT * FROM unnest(%s::text[], %s::text[], %s::timestamptz[], %s::timestamptz[])
ON CONFLICT (domain) DO UPDATE SET
    reason = excluded.reason, checked_at = excluded.checked_at, expires_at = excluded.expires_at
WHERE dns_answers.checked_at <= excluded.checked_at OR dns_answers.checked_at > excluded.checked_at + %s
"""
_FORGET = "DELETE FROM crm_state.dns_answers WHERE expires_at <= %s"
_KNOWN = "SELECT domain FROM crm_state.dns_answers WHERE domain = ANY(%s)"
_FORGET_DOMAINS = "DELETE FROM crm_state.dns_answers WHERE domain = ANY(%s)"


class StoredAnswers:
    """The answers in a database; an `AnswerCache`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, domains: Sequence[str], now: datetime) -> Mapping[str, DomainAnswer]:
        """Return the answers about some of the domains that have not expired.

        Answers from the future, and those that DNS cannot give, are left out: the domain is asked about again.
        """
        with self._database.transaction() as cursor:
            cursor.execute(_KEPT, (list(domains), now, now + _AHEAD))
            rows = cursor.fetchall()
        return {
            domain: DomainAnswer(domain, _REASONS[reason], checked_at, expires_at)
            for domain, reason, checked_at, expires_at in rows
            if reason in _REASONS
        }

    def put(self, answers: Iterable[DomainAnswer]) -> None:
        """Keep answers, and forget those that have expired."""
        listed = sorted(answers, key=lambda answer: answer.domain)
        if not listed:
            return
        columns = (
            [answer.domain for answer in listed],
            [str(answer.reason) for answer in listed],
            [answer.checked_at for answer in listed],
            [answer.expires_at for answer in listed],
        )
        with self._database.transaction() as cursor:
            cursor.execute(_KEEP, (*columns, _AHEAD))
            cursor.execute(_FORGET, (max(answer.checked_at for answer in listed),))


def known_domains(database: Database, domains: Iterable[str]) -> list[str]:
    """Return those of some domains about which there is an answer, expired ones included."""
    with database.transaction() as cursor:
        cursor.execute(_KNOWN, (sorted(domains),))
        return [domain for (domain,) in cursor.fetchall()]


def forget_domains(database: Database, domains: Iterable[str]) -> None:
    """Remove the answers about some domains."""
    with database.transaction() as cursor:
        cursor.execute(_FORGET_DOMAINS, (sorted(domains),))
