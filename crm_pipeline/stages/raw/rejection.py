"""Refuse a window of which so many records cannot be read that the fault is not with the records."""

from crm_pipeline.kernel.errors import TooManyRejects
from crm_pipeline.settings import Connection

FEW = 10
"""Number of records that may be quarantined in any window, however small it is."""


def refuse_many_rejects(connection: Connection, obj: str, rejected: int, read: int) -> None:
    """Refuse a window of which more records are quarantined than the connection allows.

    Args:
        connection: of the object; it sets the greatest share.
        obj: the object.
        rejected: number of quarantined records.
        read: number of all records of the window, including the quarantined ones.

    Raises:
        TooManyRejects: too many are quarantined; nothing of the window is kept.
    """
    share = connection.quarantine_share
    if rejected <= max(FEW, share * read):
        return
    raise TooManyRejects(
        f"{connection.name}.{obj}: {rejected:,} of {read:,} records cannot be read; at most {share:.0%} of a "
        f"window (and any {FEW}) are set aside.",
        cure="Nothing of this window was kept. So many point to a change at the vendor or a fault in the "
        "connector: run again, and report it if it persists. To go on without these records, set "
        f"`quarantine_share` of {connection.name} higher in connections.yaml.",
    )
