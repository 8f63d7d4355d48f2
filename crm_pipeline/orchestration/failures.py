"""Turns errors into failures of a Dagster step: one sentence, a cure, and whether to try again.

Dagster stores the errors of a step, and shows them to everybody. Our errors hold neither secrets nor personal
data; texts of other errors are redacted first.
"""

import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import dagster as dg

from crm_pipeline.kernel.errors import (
    BudgetExhausted,
    CommitConflict,
    CrmError,
    DatabaseUnavailable,
    Retriable,
    VendorError,
)
from crm_pipeline.kernel.secret import redacted
from crm_pipeline.kernel.text import printable, shortened
from crm_pipeline.store.postgres.outages import foreseen

_UNEXPECTED_CHARACTERS = 2_000
GENTLE = dg.RetryPolicy(
    max_retries=2, delay=20, backoff=dg.Backoff.EXPONENTIAL, jitter=dg.Jitter.PLUS_MINUS
)
"""For steps that build tables: a commit that lost a race starts again from the new version, and a database
that went away may be back. A full disk is not retried: a person has to make room.

Raw steps have no retries: each request has its own, and the next run calls a CRM again that was unreachable.
"""


@contextmanager
def as_failure(
    log: Callable[[str], Any], *, but: tuple[type[CrmError], ...] = ()
) -> Iterator[None]:
    """Raise `dg.Failure` instead of any error.

    Args:
        log: gets the traceback of an unexpected error.
        but: errors that the caller handles itself.
    """
    try:
        yield
    except dg.Failure:
        raise
    except CrmError as error:
        if isinstance(error, but):
            raise
        raise failure(error) from None
    except Exception as error:  # noqa: BLE001 - whatever it is, Dagster would store its text
        log(printable(redacted(traceback.format_exc())))
        if (cause := foreseen(error)) is not None:
            raise failure(cause) from None
        # `from None`: Dagster would store the original text beside ours.
        raise unexpected(error) from None


def failure(error: CrmError) -> dg.Failure:
    """Return an error of ours as a failure."""
    metadata: dict[str, Any] = {"error": type(error).__name__}
    if error.cure:
        metadata["cure"] = error.cure
    if isinstance(error, VendorError):
        if error.status is not None:
            metadata["http_status"] = error.status
        if error.code:
            metadata["vendor_code"] = error.code
    if isinstance(error, BudgetExhausted):
        metadata["budget_frees_up_in_s"] = float(error.wait_s)
    return dg.Failure(
        description=printable(redacted(str(error))),
        metadata=metadata,
        allow_retries=isinstance(error, Retriable | CommitConflict | DatabaseUnavailable),
    )


def unexpected(error: Exception) -> dg.Failure:
    """Return an unexpected error as a failure, which is not retried."""
    kind = type(error).__name__
    words = shortened(printable(redacted(str(error))), _UNEXPECTED_CHARACTERS)
    return dg.Failure(
        description=f"{kind}: {words}".strip(": "),
        metadata={
            "error": kind,
            "cure": "This is a fault of crm-pipeline; the step's log has more.",
        },
        allow_retries=False,
    )
