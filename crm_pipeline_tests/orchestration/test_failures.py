import dagster as dg
import pytest

from crm_pipeline.kernel.errors import (
    BudgetExhausted,
    CommitConflict,
    ConnectionLost,
    ContractError,
    CrmError,
    Rejected,
    SecretMissing,
)
from crm_pipeline.orchestration.failures import as_failure


@pytest.mark.parametrize(
    ("error", "retried"),
    [
        (ConnectionLost("gone"), True),
        (CommitConflict("somebody was first"), True),
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
    """What other libraries say is stored without tokens, and without the original beside it."""
    told: list[str] = []
    with pytest.raises(dg.Failure) as caught, as_failure(told.append):
        raise RuntimeError("GET https://x/?access_token=abc123 failed")
    assert "abc123" not in str(caught.value.description) + "".join(told)
    assert caught.value.__suppress_context__
    assert caught.value.allow_retries is False


def test_the_caller_may_say_more() -> None:
    """An error that is asked for comes through as it is."""
    with pytest.raises(ContractError), as_failure(print, but=(ContractError,)):
        raise ContractError("broken")
