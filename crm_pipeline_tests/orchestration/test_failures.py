import errno

import dagster as dg
import psycopg2
import pytest

from crm_pipeline.kernel.errors import (
    BudgetExhausted,
    CommitConflict,
    ConnectionLost,
    ContractError,
    CrmError,
    DatabaseUnavailable,
    DiskFull,
    Rejected,
    SecretMissing,
)
from crm_pipeline.orchestration.failures import as_failure


@pytest.mark.parametrize(
    ("error", "retried"),
    [
        (ConnectionLost("gone"), True),
        (CommitConflict("somebody was first"), True),
        (DatabaseUnavailable("gone"), True),
        (DiskFull("no room"), False),
        (Rejected("no", status=400, code="MALFORMED_QUERY"), False),
        (SecretMissing("ACME_SECRET", owner="connection 'acme'"), False),
        (BudgetExhausted("spent", wait_s=3600), False),
    ],
)
def test_only_what_may_succeed_is_tried_again(error: CrmError, retried: bool) -> None:
    """An error of ours keeps its sentence; its class decides about retries."""
    with pytest.raises(dg.Failure) as caught, as_failure(print):
        raise error
    assert caught.value.description == str(error)
    assert caught.value.allow_retries is retried
    assert caught.value.metadata["error"].value == type(error).__name__


def test_foreign_errors_are_redacted() -> None:
    """Texts of other libraries are stored without tokens, and without the original error beside them."""
    logged: list[str] = []
    with pytest.raises(dg.Failure) as caught, as_failure(logged.append):
        raise RuntimeError("GET https://x/?access_token=abc123 failed")
    assert "abc123" not in str(caught.value.description) + "".join(logged)
    assert caught.value.__suppress_context__
    assert caught.value.allow_retries is False


def test_foreign_errors_are_harmless_and_cut() -> None:
    """Foreign texts have no control characters and a bounded length."""
    logged: list[str] = []
    with pytest.raises(dg.Failure) as caught, as_failure(logged.append):
        raise RuntimeError("\x1b[2J\u202e" + "x" * 1_000_000)
    assert str(caught.value.description).startswith("RuntimeError: \\x1b[2J\\u202ex")
    assert len(str(caught.value.description)) < 2_100
    assert "\x1b" not in "".join(logged)


def test_the_caller_may_say_more() -> None:
    """An error of a type in `but` is raised unchanged."""
    with pytest.raises(ContractError), as_failure(print, but=(ContractError,)):
        raise ContractError("broken")


@pytest.mark.parametrize(
    ("error", "name", "retried"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "/x/y"), "DiskFull", False),
        (psycopg2.OperationalError("server closed the connection"), "DatabaseUnavailable", True),
    ],
)
def test_outages_are_named(error: Exception, name: str, retried: bool) -> None:
    """A full disk or a lost database that another library met is no fault of crm-pipeline."""
    with pytest.raises(dg.Failure) as caught, as_failure(lambda _: None):
        raise error
    assert caught.value.metadata["error"].value == name
    assert "fault of crm-pipeline" not in str(caught.value.metadata)
    assert caught.value.allow_retries is retried
