"""The verdicts of audits as sentences."""

from crm_pipeline.stages.raw.audit.confirm import Found

EQUAL_COUNT = "the counts are equal; a lost record and a ghost in the same month would cancel out, which only ids show"
EQUAL_IDS = "the same records with the same modification times"


def found_text(found: Found, counted: str = "") -> str:
    """Return what an audit has found in a span, and what became of it."""
    kinds = {
        "lost": len(found.lost),
        "ghosts (here, and not in the CRM)": len(found.ghosts),
        "stale": len(found.stale),
    }
    named = ", ".join(f"{count:,} {kind}" for kind, count in kinds.items() if count)
    parts = [named or EQUAL_IDS]
    if found.different:
        parts.append(f"{len(found.healed):,} of {len(found.different):,} healed")
    if found.apart:
        parts.append(f"{len(found.apart):,} quarantined, or of erased persons")
    if found.moved:
        parts.append(f"{len(found.moved):,} changed during the audit")
    doubts = list(dict.fromkeys(found.doubts))
    if doubts:
        parts.append(f"nothing was deleted on the vendor's silence: {'; '.join(doubts)}")
    if counted:
        parts.append(counted)
    return "; ".join(parts)
