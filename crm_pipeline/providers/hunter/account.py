"""An opened account at Hunter: one address with each call; what is still worked on is asked again."""

from collections.abc import Iterator, Sequence

from crm_pipeline.kernel.errors import Rejected
from crm_pipeline.providers.batches import Failure, asked_in_batches, require_different
from crm_pipeline.providers.calls import Call, Calls, Lost, Reply
from crm_pipeline.providers.hunter.errors import RESTRICTED, ResponseClassifier
from crm_pipeline.providers.hunter.verdicts import Response, reasons_of, score_of
from crm_pipeline.providers.protocols import ProviderContext
from crm_pipeline.providers.subjects import Person
from crm_pipeline.providers.values import EmailAnswer, Outcome, Question
from crm_pipeline.settings import Provider
from crm_pipeline.verification.reasons import verdict_of
from crm_pipeline.verification.vocabulary import EMAIL_RULE, EmailReason

_ROUNDS = 4  # of calls for addresses that Hunter still works on
_ROUND_S = 5.0
_PENDING_S = 60.0
_PENDING = 202
_UNITS = 1


class HunterAccount:
    """Implements `EmailVerifier`.

    Args:
        provider: its settings.
        context: its dependencies.
    """

    def __init__(self, provider: Provider, context: ProviderContext) -> None:
        self._calls = Calls(
            provider,
            context,
            header="X-API-KEY",
            classify_response=ResponseClassifier(provider.name),
        )

    @property
    def provider(self) -> Provider:
        """Its settings."""
        return self._calls.provider

    def close(self) -> None:
        """Close all connections."""
        self._calls.close()

    def size(self, left: int) -> int:
        """Return 1, or 0 where our budget allows none."""
        return self._calls.within_budget(min(1, left), _UNITS)

    def shrink(self, asked: int) -> bool:  # noqa: ARG002
        """Say that less than one address cannot be asked about."""
        return False

    def verify(self, questions: Sequence[Question]) -> Iterator[EmailAnswer]:
        """Yield a verdict on the address of each subject; see `EmailVerifier`."""
        require_different(questions)
        waiting = list(questions)
        rounds = _ROUNDS if self._calls.is_patient else 1
        for number in range(rounds):
            if number and waiting:
                self._calls.sleep(_ROUND_S)
            by_id = {question.id: question for question in waiting}
            waiting = []
            is_last = number == rounds - 1
            for answer in asked_in_batches(list(by_id.values()), self, self._batch, _failed):
                if answer.outcome is Outcome.PENDING and not is_last:
                    waiting.append(by_id[answer.id])
                else:
                    yield answer

    def _batch(self, batch: Sequence[Question], lost: Lost) -> Iterator[EmailAnswer]:
        for question in batch:
            subject = question.subject
            address = subject.email.strip() if isinstance(subject, Person) else ""
            if not address:
                failure = Failure(Outcome.INVALID_INPUT, "NO_ADDRESS", "there is no address")
                yield _failed(question, failure)
            else:
                yield self._one(question, address, lost)

    def _one(self, question: Question, address: str, lost: Lost) -> EmailAnswer:
        call = Call(
            "GET",
            "/v2/email-verifier",
            "verify",
            "a verification",
            Response,
            lambda response: _UNITS if response.data.status else 0,
            most=_UNITS,
            params={"email": address},
        )
        try:
            reply = self._calls.make(call, lost)
        except Rejected as error:
            is_restricted = error.status == RESTRICTED
            outcome = Outcome.RESTRICTED if is_restricted else Outcome.INVALID_INPUT
            return _failed(
                question, Failure(outcome, error.code, error.message, lost_units=lost.units)
            )
        return _answered(question, reply)


def _answered(question: Question, reply: Reply[Response]) -> EmailAnswer:
    data = reply.content.data
    if reply.status == _PENDING or not data.status:
        failure = Failure(Outcome.PENDING, "PENDING", "the provider still works on it", _PENDING_S)
        return _failed(question, failure)
    reasons = reasons_of(data)
    return EmailAnswer(
        id=question.id,
        outcome=Outcome.MATCH,
        verdict=verdict_of(reasons, EMAIL_RULE),
        reasons=reasons,
        score=score_of(data),
        billed_units=_UNITS,
        lost_units=reply.lost_units,
        code=data.status[:100],
    )


def _failed(question: Question, failure: Failure) -> EmailAnswer:
    reasons = (EmailReason.NO_RESULT,)
    if failure.code == "NO_ADDRESS":
        reasons = (EmailReason.BAD_SYNTAX,)
    return EmailAnswer(
        id=question.id,
        outcome=failure.outcome,
        verdict=verdict_of(reasons, EMAIL_RULE),
        reasons=reasons,
        lost_units=failure.lost_units,
        code=failure.code,
        detail=failure.detail,
        retry_after_s=failure.retry_after_s,
    )
