"""The permissions of a login, as a fingerprint, and whether the check finds them in order."""

from weakref import WeakKeyDictionary

import structlog

from crm_pipeline.connectors.base import Account, ReportsSight
from crm_pipeline.kernel.errors import CrmError
from crm_pipeline.kernel.identity import fingerprint

_log = structlog.get_logger(__name__)
# Findings of the check that are not about permissions.
_OTHER_CHECKS = frozenset({"budget", "pace", "clock", "version"})

_INITIAL = WeakKeyDictionary[Account, str]()


def initial_sight(account: Account) -> str:
    """Return the fingerprint of the first request for it, so that one run over many objects asks once.

    It does not follow permissions that the login loses during the run.
    """
    if account not in _INITIAL:
        _INITIAL[account] = sight_of(account)
    return _INITIAL[account]


def sight_of(account: Account) -> str:
    """Return a fingerprint of what a login may see; "" where that is not known. Costs one or two calls."""
    try:
        visible = account.sight() if isinstance(account, ReportsSight) else account.identity()
    except CrmError as error:
        _log.info("what the login sees is not known", reason=error.message)
        return ""
    # Not the text itself: it may name a person.
    return fingerprint(visible) if visible else ""


def is_healthy(account: Account) -> bool:
    """Say whether the check finds nothing wrong with a login's permissions; costs the calls of `check`."""
    return all(
        finding.level != "fail"
        for finding in account.check().findings
        if finding.topic not in _OTHER_CHECKS
    )
