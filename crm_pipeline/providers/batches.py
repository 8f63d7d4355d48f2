"""Ask in batches until all is answered, or until nothing more can be asked: the same for every provider.

What stops one batch stops those behind it, and each of their questions gets an answer that says so.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from crm_pipeline.kernel.errors import (
    AuthFailed,
    BudgetExhausted,
    NotPermitted,
    Retriable,
    VendorError,
)
from crm_pipeline.providers.budgets import BUDGETS
from crm_pipeline.providers.calls import Lost
from crm_pipeline.providers.errors import OutOfCredits, PutOff
from crm_pipeline.providers.values import Outcome, Question


class Answered(Protocol):
    """Whatever names the question that it answers."""

    @property
    def id(self) -> str:
        """The id of the question."""


class Sizes(Protocol):
    """How large batches may be."""

    def size(self, left: int) -> int:
        """Return how many of the questions that are left may be asked at once; 0 where our budget allows none."""

    def shrink(self, asked: int) -> bool:
        """Say whether fewer could be asked, after the provider had too few credits for so many."""


A = TypeVar("A", bound=Answered)
OUR_BUDGET, NOT_ASKED = "OUR_BUDGET", "NOT_ASKED"
_SOON_S = 60.0


@dataclass(frozen=True)
class Failure:
    """Why questions have no answer of the provider; the attributes are those of `Answer`."""

    outcome: Outcome
    code: str
    detail: str
    retry_after_s: float | None = None
    lost_units: int = 0


@dataclass(frozen=True)
class Stop:
    """What became of a batch, and of the questions behind it."""

    batch: Failure
    rest: Failure


def require_different(questions: Sequence[Question]) -> None:
    """Refuse questions that could not be told apart.

    Raises:
        ValueError: two have the same id.
    """
    if len({question.id for question in questions}) < len(questions):
        raise ValueError("Two questions have the same id; answers are told apart by it.")


def asked_in_batches(
    questions: Sequence[Question],
    sizes: Sizes,
    ask: Callable[[Sequence[Question], Lost], Iterable[A]],
    failed: Callable[[Question, Failure], A],
) -> Iterator[A]:
    """Yield an answer to each question.

    Args:
        questions: to ask.
        sizes: how many may be asked at once.
        ask: asks a batch, and yields its answers as they come.
        failed: makes the answer to a question that cannot be asked.

    Raises:
        AuthFailed: the key is refused.
        NotPermitted: the account is restricted.
    """
    begin = 0
    while begin < len(questions):
        batch = questions[begin : begin + sizes.size(len(questions) - begin)]
        if not batch:
            detail = "our budget is smaller than what one question may cost"
            spent = Failure(Outcome.NO_CREDIT, OUR_BUDGET, detail)
            yield from (failed(each, spent) for each in questions[begin:])
            return
        lost, answered = Lost(), set()
        try:
            for answer in ask(batch, lost):
                answered.add(answer.id)
                yield answer
        except (AuthFailed, NotPermitted):
            raise
        except (BudgetExhausted, PutOff, VendorError) as error:
            if isinstance(error, OutOfCredits) and not answered and sizes.shrink(len(batch)):
                continue
            left = [each for each in batch if each.id not in answered]
            stop = stopped(error, -(-lost.units // max(1, len(left))))
            yield from (failed(each, stop.batch) for each in left)
            yield from (failed(each, stop.rest) for each in questions[begin + len(batch) :])
            return
        begin += len(batch)


def stopped(error: BudgetExhausted | PutOff | VendorError, lost_units: int) -> Stop:
    """Return what an error means for the batch that it ended, and for the questions behind it.

    Args:
        error: of the call.
        lost_units: the most that each question of the batch may have cost.
    """
    if isinstance(error, OutOfCredits):
        failure = _out_of_credits(error, lost_units)
        return Stop(failure, _out_of_credits(error))
    if isinstance(error, BudgetExhausted | PutOff):
        is_ours = error.limit in BUDGETS
        failure = Failure(
            Outcome.NO_CREDIT
            if is_ours and isinstance(error, BudgetExhausted)
            else Outcome.RETRY_LATER,
            OUR_BUDGET if is_ours else NOT_ASKED,
            error.message,
            error.wait_s,
            lost_units,
        )
        return Stop(failure, Failure(failure.outcome, failure.code, failure.detail, error.wait_s))
    wait_s = error.retry_after_s if isinstance(error, Retriable) else None
    is_refusal = isinstance(error, Retriable) and bool(error.code)
    outcome = Outcome.RETRY_LATER if is_refusal or not (lost_units or error.code) else Outcome.ERROR
    return Stop(
        Failure(outcome, error.code or type(error).__name__, error.message, wait_s, lost_units),
        Failure(Outcome.RETRY_LATER, NOT_ASKED, error.message, wait_s or _SOON_S),
    )


def _out_of_credits(error: OutOfCredits, lost_units: int = 0) -> Failure:
    return Failure(Outcome.NO_CREDIT, error.code, error.message, lost_units=lost_units)
