"""When so many records cannot be read that the fault is not with the records."""

from crm_pipeline.kernel.errors import TooManyRejects
from crm_pipeline.settings import Connection

FEW = 10
"""So many may be set aside in any window, however small it is."""


def refuse_many_rejects(connection: Connection, obj: str, rejected: int, read: int) -> None:
    """Refuse a window of which more was set aside than the connection allows.

    Args:
        connection: whose object it is; it says the greatest share.
        obj: the object.
        rejected: records that were set aside.
        read: all records of the window, those included.

    Raises:
        TooManyRejects: they are too many; nothing of the window is kept.
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
