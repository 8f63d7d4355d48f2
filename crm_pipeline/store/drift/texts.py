"""What is said about changed fields, in the same words everywhere."""

from collections.abc import Sequence

from crm_pipeline.store.drift.change import Change

CHANGES_CURE = "`crm-pipeline drift accept <number>` takes a change over, `drift ignore <number>` stops asking about it."
_NAMED = 5


def changes_text(changes: Sequence[Change]) -> str:
    """Return changes as one sentence, each with its number."""
    named = "; ".join(f"[{change.number}] {change.text}" for change in changes[:_NAMED])
    more = f"; and {len(changes) - _NAMED} more" if len(changes) > _NAMED else ""
    return f"{named}{more}"
