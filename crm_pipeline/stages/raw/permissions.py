"""What a login may see, as a short text that changes when that does, and whether the check-up finds it in order."""

import structlog

from crm_pipeline.connectors.base import Account, TellsSight
from crm_pipeline.kernel.errors import CrmError
from crm_pipeline.kernel.identity import fingerprint

_log = structlog.get_logger(__name__)
# Findings that are about other things than permissions.
_OTHERS = frozenset({"budget", "pace", "clock", "version"})


def sight_of(account: Account) -> str:
    """Return what stands for what a login may see; "" where that is not known. One or two calls."""
    try:
        told = account.sight() if isinstance(account, TellsSight) else account.who()
    except CrmError as error:
        _log.info("what the login sees is not known", reason=error.message)
        return ""
    # Not the text itself: it may name a person.
    return fingerprint(told) if told else ""


def is_healthy(account: Account) -> bool:
    """Say whether the check-up finds nothing wrong with what a login may do; costs the calls of `check`."""
    findings = account.check().findings
    return all(one.level != "fail" for one in findings if one.what not in _OTHERS)
