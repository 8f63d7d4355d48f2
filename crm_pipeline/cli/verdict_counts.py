"""How many addresses and numbers have which verdict, for `status`; read from the metadata of the tables only."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any


def verdict_counts(data: Path) -> dict[str, Any]:
    """Return the counts of contact points by kind and verdict, and when they were counted; empty before the first."""
    from crm_pipeline.kernel.errors import StoreError
    from crm_pipeline.model.stages import VERIFIED
    from crm_pipeline.model.verified_tables import CONTACT_POINTS
    from crm_pipeline.stages.verified import counts_in
    from crm_pipeline.store.tables import Tables

    try:
        version = Tables(data).version(VERIFIED.stored_name(CONTACT_POINTS.name))
    except StoreError as error:
        return {"problem": str(error)}
    if version is None:
        return {}
    kinds: dict[str, dict[str, int]] = {}
    for count in counts_in(version):
        verdicts = kinds.setdefault(count.kind, {})
        verdicts[count.verdict] = verdicts.get(count.verdict, 0) + count.points
    return {"at": version.committed_at, "points": kinds}


def lines(counts: Mapping[str, Any]) -> Iterator[str]:
    """Yield a line for each kind of contact point."""
    if "problem" in counts:
        yield f"verified: {counts['problem']}"
    for kind, verdicts in counts.get("points", {}).items():
        total = sum(verdicts.values())
        listed = ", ".join(f"{n:,} {verdict}" for verdict, n in sorted(verdicts.items()))
        yield f"verified: {total:,} {kind}s: {listed}"
