"""The checks of the verified assets, whose verdicts were reached before the commit."""

from collections.abc import Iterable, Sequence
from statistics import fmean, pstdev

import dagster as dg

from crm_pipeline.kernel.errors import ContractError
from crm_pipeline.model.verified_tables import EMAIL, PHONE
from crm_pipeline.orchestration.checks import CONTRACT, contract_refused
from crm_pipeline.stages.verified import SPEAKS_AGAINST, Verified

UNANSWERED = "unanswered"
JUMP = "jump"
UNANSWERED_SHARE = 0.2
"""More addresses without an answer of DNS than this share mean that the resolver fails."""
JUMP_SHARE = 0.02
"""A rate that moves by less is no jump."""
_SPREADS = 4


def specs(key: dg.AssetKey) -> list[dg.AssetCheckSpec]:
    """Declare the checks."""
    return [
        dg.AssetCheckSpec(
            CONTRACT,
            asset=key,
            description="Every address and number has a verdict, and each point is there once. Judged before the "
            "commit: where it is not so, the tables keep their current versions.",
        ),
        dg.AssetCheckSpec(
            UNANSWERED,
            asset=key,
            description="DNS answered for the domains of addresses. Passes where DNS is not asked (`verification: {dns: "
            "off}`).",
        ),
        dg.AssetCheckSpec(
            JUMP,
            asset=key,
            description="The shares of undeliverable addresses and of invalid numbers are about what they were after "
            "the last ten builds.",
        ),
    ]


def results(
    key: dg.AssetKey, done: Verified, unsure: Sequence[str]
) -> Iterable[dg.AssetCheckResult]:
    """Show the results of a build."""
    points = done.points(EMAIL) + done.points(PHONE)
    yield dg.AssetCheckResult(
        asset_key=key, check_name=CONTRACT, passed=True, metadata={"points": points}
    )
    yield _unanswered(key, done, unsure)
    yield _jump(key, done)


def refused(key: dg.AssetKey, error: ContractError) -> dg.AssetCheckResult:
    """Show why nothing was committed."""
    return contract_refused(error)._replace(asset_key=key)


def _unanswered(key: dg.AssetKey, done: Verified, unsure: Sequence[str]) -> dg.AssetCheckResult:
    points = done.points(EMAIL)
    reasons = done.by_reason(EMAIL)
    waiting = sum(reasons.get(reason, 0) for reason in unsure)
    share = waiting / points if points else 0.0
    words = (
        f"{waiting:,} of {points:,} addresses have no answer of DNS."
        if unsure
        else "DNS is not asked."
    )
    return dg.AssetCheckResult(
        asset_key=key,
        check_name=UNANSWERED,
        passed=share <= UNANSWERED_SHARE,
        severity=dg.AssetCheckSeverity.WARN,
        description=words,
        metadata={"share": round(share, 6)},
    )


def _jump(key: dg.AssetKey, done: Verified) -> dg.AssetCheckResult:
    jumps = {}
    for kind, verdict in SPEAKS_AGAINST.items():
        before = [shares[kind] for shares in done.history[:-1]]
        if before and has_jumped(done.share(kind, verdict), before):
            jumps[kind] = (fmean(before), done.share(kind, verdict))
    words = "; ".join(
        f"{kind}: {SPEAKS_AGAINST[kind]} were {then:.1%}, now {now:.1%}"
        for kind, (then, now) in jumps.items()
    )
    return dg.AssetCheckResult(
        asset_key=key,
        check_name=JUMP,
        passed=not jumps,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{words or 'No rate has jumped'}.",
        metadata={f"{kind}_before": then for kind, (then, _) in jumps.items()},
    )


def has_jumped(now: float, before: Sequence[float]) -> bool:
    """Say whether a rate is far from those before: by more than two points, and more than four times their spread."""
    return abs(now - fmean(before)) > max(JUMP_SHARE, _SPREADS * pstdev(before))
