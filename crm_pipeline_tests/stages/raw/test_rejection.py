"""How many records of a window may be quarantined."""

from dataclasses import replace

import pytest

from crm_pipeline.kernel.errors import TooManyRejects
from crm_pipeline.stages.raw.rejection import refuse_many_rejects


@pytest.mark.parametrize(
    ("rejected", "read", "share"), [(0, 0, 0.05), (10, 10, 0.05), (10, 10, 0.0), (50, 1000, 0.05)]
)
def test_few_records_are_set_aside(org, rejected: int, read: int, share: float) -> None:
    """Ten in any window, and the configured share of a large one."""
    connection = replace(org.connection(), quarantine_share=share)
    refuse_many_rejects(connection, "Contact", rejected, read)


@pytest.mark.parametrize(
    ("rejected", "read", "share"), [(11, 11, 0.05), (51, 1000, 0.05), (11, 9000, 0.0)]
)
def test_many_refuse_the_window(org, rejected: int, read: int, share: float) -> None:
    """The error counts them and names the key that allows more."""
    connection = replace(org.connection(), quarantine_share=share)
    with pytest.raises(
        TooManyRejects, match=rf"acme.Contact: {rejected} of {read:,} records"
    ) as caught:
        refuse_many_rejects(connection, "Contact", rejected, read)
    assert "quarantine_share" in caught.value.cure
