"""What DNS said about the domains of addresses: answers with their expiry, where they are kept, and what verdicts follow.

Nothing here asks anybody; `dns` does.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from crm_pipeline.verification.reasons import column, flagged, listed, verdicts
from crm_pipeline.verification.vocabulary import EMAIL_RULE, EmailReason, Method

DNS_REASONS = (
    *(EmailReason.NO_DOMAIN, EmailReason.NO_MX, EmailReason.NULL_MX, EmailReason.DNS_FAILED),
    *(EmailReason.ACCEPTS_MAIL, EmailReason.ACCEPTS_BY_ADDRESS),
)
"""What DNS can say about a domain."""


@dataclass(frozen=True)
class DomainAnswer:
    """What DNS said about one domain.

    Attributes:
        domain: in ASCII and lower case.
        reason: one of `DNS_REASONS`.
        checked_at: when it was asked.
        expires_at: until when the answer may be used.
    """

    domain: str
    reason: EmailReason
    checked_at: datetime
    expires_at: datetime


class AnswerCache(Protocol):
    """Keeps answers between runs."""

    def get(self, domains: Sequence[str], now: datetime) -> Mapping[str, DomainAnswer]:
        """Return the answers that are kept about some of the domains and have not expired."""

    def put(self, answers: Iterable[DomainAnswer]) -> None:
        """Keep answers; a newer one about a domain replaces the older one."""


class MemoryCache:
    """Keeps answers as long as the process lives."""

    def __init__(self) -> None:
        self._answers: dict[str, DomainAnswer] = {}

    def get(self, domains: Sequence[str], now: datetime) -> Mapping[str, DomainAnswer]:
        """Return the answers that are kept about some of the domains and have not expired."""
        kept = (self._answers.get(domain) for domain in domains)
        return {answer.domain: answer for answer in kept if answer and now < answer.expires_at}

    def put(self, answers: Iterable[DomainAnswer]) -> None:
        """Keep answers; a newer one about a domain replaces the older one."""
        self._answers |= {answer.domain: answer for answer in answers}


def apply_dns(judged: pa.Table, answers: Mapping[str, DomainAnswer]) -> pa.Table:
    """Return verdicts that follow from the answers of DNS as well.

    Rows whose domain has no answer stay as they are, `not_checked` among their reasons; so do those without a domain.

    Args:
        judged: what `judge_emails` returned, or rows of it; earlier answers in it are replaced.
        answers: by domain.
    """
    flags = flagged(judged["reasons"], EMAIL_RULE)
    domains = pa.array(list(answers), pa.string())
    found = pc.index_in(judged["domain"], value_set=domains)
    row = np.flatnonzero(np.asarray(found.is_valid()))
    columns = np.array([column(answer.reason, EMAIL_RULE) for answer in answers.values()], np.int64)
    replaced = [column(reason, EMAIL_RULE) for reason in (*DNS_REASONS, EmailReason.NOT_CHECKED)]
    flags[row[:, None], replaced] = False
    flags[row, columns[np.asarray(found.drop_null(), np.int64)]] = True
    method = pc.if_else(found.is_valid(), str(Method.DNS), judged["method"])
    changed = {
        "verdict": verdicts(flags, EMAIL_RULE),
        "reasons": listed(flags, EMAIL_RULE),
        "method": method,
    }
    for name, values in changed.items():
        judged = judged.set_column(judged.schema.get_field_index(name), name, values)
    return judged
