"""How fresh an object is, for tests of what is made of it."""

from datetime import datetime, timedelta

from crm_pipeline.store.landing.freshness import Freshness


def looked_at(obj: str, now: datetime, *, tables: tuple[str, ...] = ()) -> Freshness:
    """An object of the account acme that was read whole, just now."""
    return Freshness(
        connection="acme",
        object=obj,
        state="current",
        is_whole=True,
        read_to=now,
        history_from=None,
        current_at=now,
        looked_at=now,
        good_at=now,
        error="",
        failing_since=None,
        next_try_at=None,
        refresh_every_s=900.0,
        due_at=now - timedelta(hours=1),
        tables=tables,
    )
