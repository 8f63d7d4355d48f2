"""Prospeo as a verifier: what an enrichment by address says about that very address."""

from collections.abc import Iterator, Sequence

from crm_pipeline.providers.prospeo.enrichment import Enrichment
from crm_pipeline.providers.subjects import Person, normal_email
from crm_pipeline.providers.values import Answer, EmailAnswer, Outcome, Question, Wanted
from crm_pipeline.verification.reasons import verdict_of
from crm_pipeline.verification.vocabulary import EMAIL_RULE, EmailReason

_REASONS = {"verified": EmailReason.CONFIRMED, "unverified": EmailReason.UNCONFIRMED}


def verified(questions: Sequence[Question], enrichment: Enrichment) -> Iterator[EmailAnswer]:
    """Yield a verdict on the address of each subject."""
    addresses = {question.id: _address(question) for question in questions}
    asked = [Question(question.id, Person(email=addresses[question.id])) for question in questions]
    for answer in enrichment.enrich(asked, Wanted()):
        reasons = (_reason(answer, addresses[answer.id]),)
        yield EmailAnswer(
            id=answer.id,
            outcome=answer.outcome,
            verdict=verdict_of(reasons, EMAIL_RULE),
            reasons=reasons,
            billed_units=answer.billed_units,
            free=answer.free,
            lost_units=answer.lost_units,
            code=answer.code,
            detail=answer.detail,
            retry_after_s=answer.retry_after_s,
        )


def _reason(answer: Answer, address: str) -> EmailReason:
    """Return what an answer says; of another address than was asked about it says nothing."""
    if answer.outcome is not Outcome.MATCH:
        return EmailReason.NO_RESULT
    for fact in answer.facts:
        is_same = normal_email(str(fact.value)) == normal_email(address)
        if fact.name == "email" and is_same:
            return _REASONS.get(fact.status, EmailReason.NO_RESULT)
    return EmailReason.NO_RESULT


def _address(question: Question) -> str:
    return question.subject.email if isinstance(question.subject, Person) else ""
