"""The check of a connection: login first, then the vendor's own checks, each independent of the others.

The vendor's own checks are in its folder.
"""

import difflib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from crm_pipeline.connectors.api import VendorApi
from crm_pipeline.connectors.base import Finding
from crm_pipeline.connectors.vendor_clock import CLOCK_CURE, tolerated
from crm_pipeline.kernel.errors import BudgetExhausted, CrmError

Check = tuple[str, Callable[[], Iterator[Finding]]]
_LOW_BUDGET = 0.9
# Unlike the finding `budget`, it ends the check: permissions cannot be read without calls.
_SPENT = "call budget"


def findings(
    api: VendorApi, ping: Callable[[], object], checks: Sequence[Check]
) -> Iterator[Finding]:
    """Yield the findings; stop early where the login fails or no calls are left.

    Args:
        api: of the account.
        ping: makes a call that every login may make.
        checks: the vendor's own checks, each with the topic under which its error is reported.
    """
    try:
        api.log_in()
        spent = _pinged(ping)
    except CrmError as error:
        topic = _SPENT if isinstance(error, BudgetExhausted) else "login"
        yield Finding("fail", topic, error.message, error.cure)
        return
    address = api.token().instance_url
    scheme = "TLS 1.2 or newer" if address.startswith("https") else "plain HTTP (sandbox)"
    yield Finding("ok", "login", f"{api.connection.auth.kind}, {address}, {scheme}")
    if spent:
        yield Finding("fail", _SPENT, spent.message, spent.cure)
        return
    if api.passed_over:
        yield Finding(
            "warn",
            "refresh token",
            f"{api.profile.vendor} refuses the one of the environment; the stored one is used.",
            api.passed_over,
        )
    for topic, check in checks:
        try:
            yield from check()
        except CrmError as error:
            yield Finding("fail", topic, error.message, error.cure)
    yield _clock(api)
    for where, why in api.implausible.reasons.items():
        yield Finding(
            "warn",
            "answers",
            f"{where} is ignored: {why}.",
            f"{api.profile.vendor}, or a proxy on the way, sends it. Where it is a counter, our own count and the "
            "configured limits are used instead; set the correct ones as `ceilings` in connections.yaml.",
        )


def _pinged(ping: Callable[[], object]) -> BudgetExhausted | None:
    """Make the short call; return the error where no calls are left, which says nothing about the login."""
    try:
        ping()
    except BudgetExhausted as error:
        return error
    return None


def _clock(api: VendorApi) -> Finding:
    """Return the finding about the vendor's clock, by the responses so far."""
    skew, topic = api.vendor_clock.skew, "clock"
    if skew is None:
        detail = (
            "no response has a date; windows end by this machine's clock, which has to be right."
        )
        return Finding("ok", topic, detail)
    difference = f"the vendor's is {skew}"
    if not skew.is_steady:
        return Finding(
            "warn",
            topic,
            f"{skew.of} responses disagree about the time; by most of them {difference}.",
            "Windows end by the earlier clock, so nothing is lost. Look for a proxy or a cache between here and "
            "the vendor; or report it to the vendor.",
        )
    if skew.exceeds(tolerated(api.connection.lookback_s)):
        return Finding(
            "warn",
            topic,
            f"{difference}, which is too much to be plausible.",
            f"{CLOCK_CURE} Until the two agree, windows end by the earlier one, or at the latest record: "
            "nothing is lost, but some records are read repeatedly.",
        )
    return Finding("ok", topic, difference)


def budget(api: VendorApi, used: int, allowed: int, *, period: str) -> Finding:
    """Return the finding about the vendor's counter; `period` names what it counts, such as `today`."""
    ours = int(allowed * api.connection.share)
    unit = api.meter.unit
    detail = f"{used:,} of {allowed:,} {unit} used {period}; we stop at {ours:,}"
    if used >= ours:
        cure = "Wait, or raise `share` in connections.yaml knowingly."
        return Finding("fail", "budget", detail, cure)
    is_low = used >= ours * _LOW_BUDGET
    return Finding("warn" if is_low else "ok", "budget", detail, "Little is left." * is_low)


def objects(
    api: VendorApi, listed: Mapping[str, bool] | Iterable[str], *, cure: str
) -> Iterator[Finding]:
    """Yield the findings about the configured objects: whether the login may read each.

    Args:
        api: of the account.
        listed: the account's objects; as a mapping, with whether each can be read.
        cure: how to make a missing object readable.
    """
    is_readable = listed if isinstance(listed, Mapping) else dict.fromkeys(listed, True)
    wanted = [settings.name for settings in api.connection.objects]
    if not wanted:
        yield Finding(
            "warn",
            "objects",
            "none are named in connections.yaml yet.",
            f"`crm-pipeline discover {api.connection.name} --write` adds those of this account.",
        )
        return
    missing = [name for name in wanted if not is_readable.get(name)]
    for name in missing:
        close = difflib.get_close_matches(name, is_readable, n=1) if name not in is_readable else []
        meant = f"Did you mean '{close[0]}'? " if close else ""
        yield Finding(
            "fail",
            "object",
            f"{name} does not exist or is not readable for this login.",
            f"{meant}{cure}",
        )
    readable = len(wanted) - len(missing)
    detail = f"{readable} of {len(wanted)} readable"
    yield Finding("ok" if readable else "fail", "objects", detail)
