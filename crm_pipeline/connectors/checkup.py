"""The frame of a check-up: login first, then one question after the other, none of which ends the others.

What is asked of a vendor stands in its own folder.
"""

import difflib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from crm_pipeline.connectors.api import VendorApi
from crm_pipeline.connectors.base import Finding
from crm_pipeline.connectors.vendor_clock import CLOCK_CURE, tolerated
from crm_pipeline.kernel.errors import BudgetExhausted, CrmError

Ask = tuple[str, Callable[[], Iterator[Finding]]]
_LOW_BUDGET = 0.9
# Unlike `budget`, which the vendor tells among other things, it ends the check-up: nothing is known of permissions.
_SPENT = "call budget"


def findings(api: VendorApi, ping: Callable[[], object], asks: Sequence[Ask]) -> Iterator[Finding]:
    """Yield one finding after the other; without an answer, a login or calls it ends there.

    Args:
        api: the account's.
        ping: asks something that every login may ask.
        asks: the vendor's own questions, each with the name that a refusal is reported under.
    """
    try:
        api.log_in()
        spent = _pinged(ping)
    except CrmError as error:
        what = _SPENT if isinstance(error, BudgetExhausted) else "login"
        yield Finding("fail", what, error.message, error.cure)
        return
    place = api.token().instance_url
    scheme = "TLS 1.2 or newer" if place.startswith("https") else "plain HTTP (sandbox)"
    yield Finding("ok", "login", f"{api.connection.auth.kind}, {place}, {scheme}")
    if spent:
        yield Finding("fail", _SPENT, spent.message, spent.cure)
        return
    if api.passed_over:
        yield Finding(
            "warn",
            "refresh token",
            f"{api.profile.vendor} refuses that of the environment; the stored one is used.",
            api.passed_over,
        )
    for what, ask in asks:
        try:
            yield from ask()
        except CrmError as error:
            yield Finding("fail", what, error.message, error.cure)
    yield _clock(api)
    for where, why in api.implausible.reasons.items():
        yield Finding(
            "warn",
            "answers",
            f"{where} is ignored: {why}.",
            f"{api.profile.vendor}, or a proxy on the way, sends it so. Where it is a counter we go by our own "
            "count and by what is configured: `ceilings` in connections.yaml says what is right.",
        )


def _pinged(ping: Callable[[], object]) -> BudgetExhausted | None:
    """Ask what every login may ask; return why it may not be asked now, which says nothing of the login."""
    try:
        ping()
    except BudgetExhausted as error:
        return error
    return None


def _clock(api: VendorApi) -> Finding:
    """Judge what the answers so far have said of the time."""
    skew, what = api.vendor_clock.skew, "clock"
    if skew is None:
        detail = (
            "no answer carries a date; windows end by this machine's clock, which has to be right."
        )
        return Finding("ok", what, detail)
    told = f"the vendor's is {skew}"
    if not skew.is_steady:
        return Finding(
            "warn",
            what,
            f"{skew.of} answers disagree about the time; by most of them {told}.",
            "Windows end by the earlier clock, so nothing is lost. Look for a proxy or a cache between here and "
            "the vendor; or report it to the vendor.",
        )
    if skew.exceeds(tolerated(api.connection.lookback_s)):
        return Finding(
            "warn",
            what,
            f"{told}, and that is not believed.",
            f"{CLOCK_CURE} Until the two agree windows end by the earlier one, or where the newest record is: "
            "nothing is lost, but some is read again and again.",
        )
    return Finding("ok", what, told)


def budget(api: VendorApi, used: int, ceiling: int, *, period: str) -> Finding:
    """Judge the vendor's own counter; `period` says since when it counts, such as `today`."""
    ours = int(ceiling * api.connection.share)
    unit = api.meter.unit
    detail = f"{used:,} of {ceiling:,} {unit} used {period}; we stop at {ours:,}"
    if used >= ours:
        cure = "Wait, or raise `share` in connections.yaml knowingly."
        return Finding("fail", "budget", detail, cure)
    is_low = used >= ours * _LOW_BUDGET
    return Finding("warn" if is_low else "ok", "budget", detail, "Little is left." * is_low)


def objects(
    api: VendorApi, listed: Mapping[str, bool] | Iterable[str], *, cure: str
) -> Iterator[Finding]:
    """Compare the configured objects with those that the login may read.

    Args:
        api: the account's.
        listed: the objects that there are; as a mapping also whether each can be read.
        cure: how a missing one is made readable.
    """
    known = listed if isinstance(listed, Mapping) else dict.fromkeys(listed, True)
    wanted = [settings.name for settings in api.connection.objects]
    if not wanted:
        yield Finding(
            "warn",
            "objects",
            "none are named in connections.yaml yet.",
            f"`crm-pipeline discover {api.connection.name} --write` adds those of this account.",
        )
        return
    missing = [name for name in wanted if not known.get(name)]
    for name in missing:
        close = difflib.get_close_matches(name, known, n=1) if name not in known else []
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
