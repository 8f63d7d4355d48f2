import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
import stamina
import tenacity
from hypothesis import given
from hypothesis import strategies as st

from crm_pipeline.kernel.errors import (
    AuthFailed,
    BudgetExhausted,
    ConnectionLost,
    CrmError,
    Rejected,
    Retriable,
    SessionExpired,
    Skippable,
    Throttled,
    Unavailable,
)
from crm_pipeline.wire.retry import RetryBudget, RetryPolicy


def failing(*errors: BaseException) -> tuple[Callable[[], str], list[int]]:
    """Return a call that fails with each error in turn and then succeeds, and its count of calls."""
    left = iter(errors)
    calls: list[int] = []

    def attempt() -> str:
        calls.append(len(calls))
        error = next(left, None)
        if error is not None:
            raise error
        return "done"

    return attempt, calls


class Waits:
    """A clock on which waits take no time but are recorded."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, policy: RetryPolicy) -> None:
        self.slept: list[float] = []
        self.passed = 0.0
        object.__setattr__(policy, "monotonic", lambda: self.passed)
        self._patch = monkeypatch

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.passed += seconds

    def call(self, policy: RetryPolicy, attempt: Callable[[], str]) -> str:
        with self._patch.context() as patch:
            patch.setattr(tenacity.nap.time, "sleep", self.sleep)  # type: ignore[attr-defined]
            stamina.set_testing(False)
            try:
                return policy.call(attempt)
            finally:
                stamina.set_testing(True, attempts=1_000, cap=True)


@given(
    st.integers(1, 40),
    st.floats(0.01, 5),
    st.floats(0.01, 60),
    st.floats(0, 1),
)
def test_waits_are_uniform_up_to_a_growing_cap(
    tries: int, base: float, cap: float, at: float
) -> None:
    """The n-th wait lies anywhere in [0, min(cap, base * 2**(n - 1))]: full jitter."""
    spans: list[tuple[float, float]] = []

    def uniform(low: float, high: float) -> float:
        spans.append((low, high))
        return low + (high - low) * at

    policy = RetryPolicy(base_s=base, cap_s=cap, uniform=uniform)
    wait = policy.wait_s(tries, Unavailable("busy"))
    assert spans == [(0, min(cap, base * 2 ** (tries - 1)))]
    assert 0 <= wait <= cap


@given(st.floats(-100, 10_000), st.floats(0, 1))
def test_the_vendors_figure_wins(retry_after_s: float, jitter: float) -> None:
    """Where the vendor names a wait, we wait so long and up to a second more, never less."""
    policy = RetryPolicy(cap_s=0.1, uniform=lambda low, high: low + (high - low) * jitter)
    wait = policy.wait_s(1, Throttled("slow", retry_after_s=retry_after_s))
    assert max(0, retry_after_s) <= wait <= max(0, retry_after_s) + 1


def test_a_figure_of_zero_is_a_figure() -> None:
    """Retry-After: 0 means at once, not the usual back-off."""
    policy = RetryPolicy(base_s=50, cap_s=50, uniform=lambda low, high: high)
    assert policy.wait_s(5, Throttled("slow", retry_after_s=0)) == 1


def test_the_waits_are_really_waited(monkeypatch: pytest.MonkeyPatch) -> None:
    """The computed waits are the waits between the tries, the vendor's own included."""
    policy = RetryPolicy(uniform=lambda low, high: high)
    attempt, calls = failing(
        Unavailable("busy"), Throttled("slow", retry_after_s=42), ConnectionLost("lost")
    )
    waits = Waits(monkeypatch, policy)
    assert waits.call(policy, attempt) == "done"
    assert waits.slept == [0.5, 43.0, 2.0]
    assert len(calls) == 4


@pytest.mark.parametrize(
    "error",
    [
        AuthFailed("no"),
        Rejected("no"),
        SessionExpired("no"),
        Skippable("no"),
        BudgetExhausted("no", wait_s=1),
        ValueError("no"),
        ConnectionError("a foreign one"),
        KeyboardInterrupt(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_no_retry_helps_is_not_retried(error: BaseException) -> None:
    """Only Retriable is retried; every other error is raised unchanged and costs no token."""
    policy = RetryPolicy(budget=RetryBudget(1))
    attempt, calls = failing(error)
    with pytest.raises(type(error)) as caught:
        policy.call(attempt)
    assert caught.value is error
    assert len(calls) == 1
    assert policy.budget.spend()


@pytest.mark.parametrize("attempts", [1, 2, 6])
def test_patience_ends_after_the_last_attempt(attempts: int) -> None:
    """After the last try its error is raised, and no token is paid for a try that was not made."""
    budget = RetryBudget(attempts)
    errors = [Unavailable(str(number)) for number in range(10)]
    attempt, calls = failing(*errors)
    with pytest.raises(Unavailable) as caught:
        RetryPolicy(attempts=attempts, budget=budget).call(attempt)
    assert len(calls) == attempts
    assert caught.value is errors[attempts - 1]
    assert budget.spend()  # attempts - 1 retries were paid
    assert not budget.spend()


def test_a_spent_budget_stops_retries() -> None:
    """With no token left the first error is raised at once, for every request of the connection."""
    budget = RetryBudget(3, earned_per_success=0.5)
    policy = RetryPolicy(attempts=10, budget=budget)
    attempt, calls = failing(*[Unavailable("busy")] * 100)
    with pytest.raises(Unavailable):
        policy.call(attempt)
    assert len(calls) == 1 + 3
    with pytest.raises(Unavailable):
        policy.call(attempt)
    assert len(calls) == 4 + 1


def test_successes_earn_the_budget_back_up_to_its_capacity() -> None:
    """Two successes at half a token each pay one retry; no number of them pays for more than the capacity."""
    budget = RetryBudget(1, earned_per_success=0.5)
    policy = RetryPolicy(budget=budget)
    assert budget.spend()
    attempt, calls = failing(Unavailable("busy"))
    policy.call(lambda: "ok")
    with pytest.raises(Unavailable):
        policy.call(attempt)
    policy.call(lambda: "ok")
    assert policy.call(failing(Unavailable("busy"))[0]) == "done"
    for _ in range(50):
        policy.call(lambda: "ok")
    assert [budget.spend(), budget.spend()] == [True, False]
    assert len(calls) == 1


def test_no_try_is_started_after_the_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wait that would end after the timeout is not started, even one that the vendor asks for."""
    policy = RetryPolicy(
        attempts=100, timeout_s=10, base_s=1, cap_s=4, uniform=lambda low, high: high
    )
    attempt, calls = failing(*[Unavailable("busy")] * 100)
    waits = Waits(monkeypatch, policy)
    with pytest.raises(Unavailable):
        waits.call(policy, attempt)
    assert waits.slept == [1, 2, 4]
    attempt, calls = failing(Throttled("an hour", retry_after_s=3_600))
    waits = Waits(monkeypatch, policy)
    with pytest.raises(Throttled):
        waits.call(policy, attempt)
    assert waits.slept == []
    assert len(calls) == 1


def test_the_budget_is_exact_among_threads() -> None:
    """However many threads ask, no more tokens are spent than there are."""
    budget = RetryBudget(500)
    start = threading.Barrier(4)

    def spend(_: int) -> int:
        start.wait()
        return sum(budget.spend() for _ in range(400))

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(spend, range(4))) == 500


def test_policies_do_not_share_a_budget() -> None:
    """One connection's broken vendor does not take another connection's retries."""
    assert RetryPolicy().budget is not RetryPolicy().budget


def test_the_error_is_the_vendors_not_the_librarys() -> None:
    """After the last try the caller sees our error, not a wrapper of the retry library."""
    attempt, _ = failing(*[Unavailable("busy")] * 10)
    with pytest.raises(CrmError) as caught:
        RetryPolicy(attempts=2).call(attempt)
    assert isinstance(caught.value, Retriable)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("told_s", "words"),
    [(600.0, "The next try is due in 600 s,"), (86_400.0, "86,400 s, 24.0 hours,"), (90.0, "")],
)
def test_a_wait_that_is_too_long_is_said(
    monkeypatch: pytest.MonkeyPatch, told_s: float, words: str
) -> None:
    """Where the vendor asks for a wait beyond the timeout there is no retry, and the text says when to run again; it
    says nothing of a shorter wait that would only end too late."""
    policy = RetryPolicy(attempts=9, timeout_s=100, uniform=lambda low, high: low)
    attempt, calls = failing(*[Throttled("slow", retry_after_s=told_s, cure="Lower `share`.")] * 9)
    waits = Waits(monkeypatch, policy)
    with pytest.raises(Throttled) as caught:
        waits.call(policy, attempt)
    assert len(calls) == (1 if words else 2)
    assert words in caught.value.cure
    assert caught.value.cure.endswith("Lower `share`.")
    assert ("CRM_PATIENCE_S" in caught.value.cure) == bool(words)
