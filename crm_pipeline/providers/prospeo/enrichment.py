"""Enrichment of people and companies: bulk calls, or single ones, and one answer to each question."""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import structlog

from crm_pipeline.kernel.errors import MalformedResponse, Rejected, Retriable
from crm_pipeline.providers.batches import Failure, asked_in_batches, require_different
from crm_pipeline.providers.calls import Call, Calls, Lost
from crm_pipeline.providers.identity import ANOTHER_PERSON, is_another
from crm_pipeline.providers.prospeo.errors import INVALID_DATAPOINTS, NO_MATCH
from crm_pipeline.providers.prospeo.parts import (
    company_facts,
    is_masked,
    parts_of,
    person_facts,
    revealed,
)
from crm_pipeline.providers.prospeo.wire import Bulk, Match, Single, identifiers
from crm_pipeline.providers.subjects import Company, Person, Subject
from crm_pipeline.providers.values import Answer, Outcome, Question, Wanted

ENRICH = "enrich"
MATCH_UNITS, MOBILE_UNITS = 1, 10
_BELIEVED_TIMES = 10
_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Kind:
    """One kind of subjects: where it is asked, and what a match may cost."""

    path: str
    most: int
    flags: Mapping[str, bool]


class BatchSizes:
    """How many questions one call may hold: what limits, our budget and the account's credits allow.

    Args:
        calls: of the account.
        most: that one question may cost.
        credits_left: returns the credits of the account.
    """

    def __init__(self, calls: Calls, most: int, credits_left: Callable[[], int]) -> None:
        self._calls = calls
        self._most = most
        self._credits_left = credits_left
        self._affordable: int | None = None

    def size(self, left: int) -> int:
        """Return how many of the questions that are left may be asked at once."""
        count = min(left, self._calls.rates.records_at_once(ENRICH), self._affordable or left)
        return self._calls.within_budget(count, self._most)

    def shrink(self, asked: int) -> bool:
        """Ask for the credits of the account, and say whether they are enough for fewer questions."""
        try:
            self._affordable = self._credits_left() // self._most
        except (Retriable, MalformedResponse):
            return False  # that the credits are spent has been said
        return 0 < self._affordable < asked


class Enrichment:
    """Asks about people and companies.

    Args:
        calls: of the account.
        credits_left: returns the credits of the account, where a batch was too large for them.
    """

    def __init__(self, calls: Calls, credits_left: Callable[[], int]) -> None:
        self._calls = calls
        self._credits_left = credits_left

    def most_cost(self, wanted: Wanted) -> int:
        """Return the most that one question may cost."""
        return MOBILE_UNITS if wanted.with_mobile else MATCH_UNITS

    def enrich(self, questions: Sequence[Question], wanted: Wanted) -> Iterator[Answer]:
        """Yield an answer to each question."""
        require_different(questions)
        people: list[Question] = []
        companies: list[Question] = []
        for question in questions:
            if not datapoints(question.subject):
                detail = "too little is known: an e-mail, a profile, or a name with an employer"
                yield Answer(
                    question.id, Outcome.INVALID_INPUT, code=INVALID_DATAPOINTS, detail=detail
                )
            else:
                (people if isinstance(question.subject, Person) else companies).append(question)
        flags = {
            "only_verified_email": wanted.only_verified_email,
            "enrich_mobile": wanted.with_mobile,
            "only_verified_mobile": wanted.only_verified_mobile,
        }
        yield from self._asked(people, Kind("enrich-person", self.most_cost(wanted), flags), wanted)
        yield from self._asked(companies, Kind("enrich-company", MATCH_UNITS, {}), wanted)

    def _asked(self, questions: Sequence[Question], kind: Kind, wanted: Wanted) -> Iterator[Answer]:
        sizes = BatchSizes(self._calls, kind.most, self._credits_left)
        yield from asked_in_batches(
            questions, sizes, partial(self._batch, kind=kind, wanted=wanted), _failed
        )

    def _batch(
        self, batch: Sequence[Question], lost: Lost, *, kind: Kind, wanted: Wanted
    ) -> Iterator[Answer]:
        if len(batch) > 1:
            try:
                yield from self._bulk(batch, kind, wanted, lost)
            except Rejected:
                pass  # one record that is refused must not keep the others from being asked about
            else:
                return
        for question in batch:
            lost.units = 0
            yield self._single(question, kind, wanted, lost)

    def _single(self, question: Question, kind: Kind, wanted: Wanted, lost: Lost) -> Answer:
        call = Call(
            "POST",
            f"/{kind.path}",
            ENRICH,
            "an enrichment",
            Single,
            partial(_cost, wanted=wanted),
            most=kind.most,
            json={**kind.flags, "data": datapoints(question.subject)},
        )
        try:
            reply = self._calls.make(call, lost)
        except Rejected as error:
            outcomes = {NO_MATCH: Outcome.NO_MATCH, INVALID_DATAPOINTS: Outcome.INVALID_INPUT}
            outcome = outcomes.get(error.code, Outcome.ERROR)
            detail = "" if outcome is Outcome.NO_MATCH else error.message
            return Answer(
                question.id, outcome, code=error.code, detail=detail, lost_units=lost.units
            )
        answer = _matched(question, reply.content, wanted)
        return replace(
            answer, billed_units=_cost(reply.content, wanted), lost_units=reply.lost_units
        )

    def _bulk(
        self, batch: Sequence[Question], kind: Kind, wanted: Wanted, lost: Lost
    ) -> list[Answer]:
        names = {
            identifier(number, question.subject): question for number, question in enumerate(batch)
        }
        call = Call(
            "POST",
            f"/bulk-{kind.path}",
            ENRICH,
            "a bulk enrichment",
            Bulk,
            lambda bulk: charged(bulk, wanted, kind.most * len(batch)),
            most=kind.most * len(batch),
            records=len(batch),
            json={
                **kind.flags,
                "data": [
                    {"identifier": name, **datapoints(question.subject)}
                    for name, question in names.items()
                ],
            },
        )
        reply = self._calls.make(call, lost)
        bulk, each_lost = reply.content, -(-reply.lost_units // len(batch))
        left = charged(bulk, wanted, kind.most * len(batch))
        answers: dict[str, Answer] = {}
        for match in bulk.matched:
            if match.identifier in names and match.identifier not in answers:
                cost = min(_cost(match, wanted), left)
                left -= cost
                answer = _matched(names[match.identifier], match, wanted)
                answers[match.identifier] = replace(answer, billed_units=cost)
        for name in identifiers(bulk.not_matched):
            if name in names:
                answers.setdefault(name, Answer(names[name].id, Outcome.NO_MATCH, code=NO_MATCH))
        for name in identifiers(bulk.invalid_datapoints):
            if name in names:
                invalid = Answer(names[name].id, Outcome.INVALID_INPUT, code=INVALID_DATAPOINTS)
                answers.setdefault(name, invalid)
        for name in names.keys() - answers.keys():
            answers[name] = Answer(
                names[name].id,
                Outcome.ERROR,
                code="UNANSWERED",
                detail="the provider left this question of a bulk call out",
            )
        if left:  # charged for no match that was asked for
            odd = next((n for n in names if answers[n].outcome is Outcome.ERROR), next(iter(names)))
            answers[odd] = replace(answers[odd], billed_units=answers[odd].billed_units + left)
        return [replace(answers[name], lost_units=each_lost) for name in names]


def datapoints(subject: Subject) -> dict[str, str]:
    """Return what a request says of a subject; nothing where it is too little to be asked about."""
    if isinstance(subject, Company):
        given = {
            "company_id": subject.provider_id,
            "company_website": subject.domain,
            "company_linkedin_url": subject.profile,
            "company_name": subject.name,
        }
        return _filled(given)
    employer = _filled({"company_website": subject.domain, "company_name": subject.company})
    name = _filled(
        {
            "first_name": subject.first_name,
            "last_name": subject.last_name,
            "full_name": subject.whole_name,
        }
    )
    surest = _filled(
        {
            "person_id": subject.provider_id,
            "linkedin_url": subject.profile,
            "email": subject.email,
        }
    )
    if not surest and not (subject.whole_name and employer):
        return {}
    return {**surest, **(name if subject.whole_name else {}), **employer}


def identifier(number: int, subject: Subject) -> str:
    """Return how a bulk call names a question: a stored response to another call names none of its questions."""
    said = "\n".join(f"{name}={value}" for name, value in sorted(datapoints(subject).items()))
    return f"r{number}x{hashlib.sha256(said.encode()).hexdigest()[:12]}"


def charged(bulk: Bulk, wanted: Wanted, most: int) -> int:
    """Return what a bulk call has cost: what the provider says, else the price of its matches.

    Args:
        bulk: the response.
        wanted: what was asked for.
        most: that the call can have cost by the price list. A larger total may be a new price, and counts; one that
            is more than ten times as large is not believed, and counts as ten times.
    """
    total = bulk.total_cost
    if total is None:
        return sum(_cost(match, wanted) for match in bulk.matched)
    if total > most:
        _log.warning("the provider states a cost above its prices", total=total, most=most)
    return min(total, most * _BELIEVED_TIMES)


def _cost(match: Match, wanted: Wanted) -> int:
    """Return what a match costs by the price list; the provider's mark of what is free is the truth."""
    if match.free_enrichment is True:
        return 0
    person, _ = parts_of(match.person, match.company)
    if person is None:
        return MATCH_UNITS
    if wanted.with_mobile and revealed(person.mobile):
        return MOBILE_UNITS
    return MATCH_UNITS


def _matched(question: Question, match: Match, wanted: Wanted) -> Answer:
    name = question.id
    person, company = parts_of(match.person, match.company)
    facts = [
        *(person_facts(person) if person else ()),
        *(company_facts(company) if company else ()),
    ]
    if not facts:
        detail = "the provider's match holds nothing that can be read"
        return Answer(name, Outcome.ERROR, code="EMPTY_MATCH", detail=detail)
    if is_another(question.subject, facts):
        detail = "the provider answered about another person"
        _log.warning(detail, provider="prospeo")
        return Answer(name, Outcome.NO_MATCH, code=ANOTHER_PERSON, detail=detail)
    outcome = Outcome.MATCH
    if person is not None:
        asked = [person.email, *([person.mobile] if wanted.with_mobile else [])]
        if any(map(is_masked, asked)) and not any(map(revealed, asked)):
            outcome = Outcome.MASKED
    known = person.person_id if person is not None else company and company.company_id
    return Answer(
        name,
        outcome,
        facts=tuple(facts),
        free=match.free_enrichment is True,
        provider_id=known or "",
    )


def _failed(question: Question, failure: Failure) -> Answer:
    return Answer(
        question.id,
        failure.outcome,
        code=failure.code,
        detail=failure.detail,
        retry_after_s=failure.retry_after_s,
        lost_units=failure.lost_units,
    )


def _filled(values: Mapping[str, str]) -> dict[str, str]:
    return {name: value.strip() for name, value in values.items() if value.strip()}
