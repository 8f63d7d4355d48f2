"""What a login may see, as a short text that changes when that does, and whether the check-up finds it in order."""

from weakref import WeakKeyDictionary

import structlog

from crm_pipeline.connectors.base import Account, ReportsSight
from crm_pipeline.kernel.errors import CrmError
from crm_pipeline.kernel.identity import fingerprint

_log = structlog.get_logger(__name__)
# Findings that are about other things than permissions.
_OTHERS = frozenset({"budget", "pace", "clock", "version"})

_FIRST = WeakKeyDictionary[Account, str]()


def sight_at_first(account: Account) -> str:
    """Return what it was when it was asked for first, so that one run over many objects asks once.

    What is taken from the login's sight meanwhile does not count as seen by this.
    """
    if account not in _FIRST:
        _FIRST[account] = sight_of(account)
    return _FIRST[account]


def sight_of(account: Account) -> str:
    """Return what stands for what a login may see; "" where that is not known. One or two calls."""
    try:
        told = account.sight() if isinstance(account, ReportsSight) else account.identity()
    except CrmError as error:
        _log.info("what the login sees is not known", reason=error.message)
        return ""
    # Not the text itself: it may name a person.
    return fingerprint(told) if told else ""


def is_healthy(account: Account) -> bool:
    """Say whether the check-up finds nothing wrong with what a login may do; costs the calls of `check`."""
    findings = account.check().findings
    return all(one.level != "fail" for one in findings if one.topic not in _OTHERS)
