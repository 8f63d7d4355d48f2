"""What providers are asked and what they answer, in words of none of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from crm_pipeline.providers.subjects import Company, Person, Subject
from crm_pipeline.verification.vocabulary import EmailReason, EmailVerdict


class Outcome(StrEnum):
    """What became of a question."""

    MATCH = "match"  # there is an answer, bought or free
    NO_MATCH = "no_match"  # the provider does not know the subject, or not as well as was asked for
    INVALID_INPUT = (
        "invalid_input"  # too little or malformed; the same question is never asked again
    )
    MASKED = "masked"  # the provider knows it and shows no contact value
    NO_CREDIT = "no_credit"  # the provider's credits or our budget are spent
    RETRY_LATER = "retry_later"  # not asked, or put off
    PENDING = "pending"  # the provider still works; the same question again brings the answer
    RESTRICTED = "restricted"  # the subject asked for no processing: never ask again
    ERROR = "error"  # no usable answer; it may have been charged


@dataclass(frozen=True)
class Question:
    """One question.

    Attributes:
        id: of the caller, unique within a call: answers come in any order.
        subject: who is asked about.
    """

    id: str
    subject: Subject


@dataclass(frozen=True)
class Wanted:
    """What is bought about people.

    Attributes:
        mobile: the mobile number as well, which costs more.
        only_verified_email: without a verified address there is no match, and nothing is charged.
        only_verified_mobile: likewise for the mobile, which it asks for.
    """

    mobile: bool = False
    only_verified_email: bool = False
    only_verified_mobile: bool = False

    @property
    def with_mobile(self) -> bool:
        """Whether a mobile is asked for."""
        return self.mobile or self.only_verified_mobile


@dataclass(frozen=True)
class Fact:
    """One value that a provider states.

    Attributes:
        name: as in `FIELDS`.
        value: in its own type; a nested part as JSON text.
        status: `verified` or `unverified` where the provider says so; else "".
        confidence: from 0 to 1 where the provider says so.
    """

    name: str
    value: str | int | float | bool = field(repr=False)
    status: str = ""
    confidence: float | None = None


FIELDS: Mapping[str, str] = {
    "email": "E-mail address at work.",
    "mobile": "Mobile number in E.164 or as the provider writes it.",
    "first_name": "Given name.",
    "last_name": "Family name.",
    "full_name": "Whole name.",
    "job_title": "Present job title.",
    "headline": "Headline of the public profile.",
    "seniority": "Seniority of the present job.",
    "department": "Department of the present job.",
    "job_started": "Month in which the present job began, as yyyy-mm.",
    "job_changed_at": "When the provider noticed the last change of jobs.",
    "profile": "Address of the public profile.",
    "city": "City of the person.",
    "state": "State or region of the person.",
    "country": "Country of the person.",
    "country_code": "ISO 3166 code of that country.",
    "time_zone": "Time zone of the person.",
    "company": "Name of the employer.",
    "company_domain": "Domain of the company.",
    "company_website": "Website of the company.",
    "company_profile": "Address of the company's public profile.",
    "company_description": "Description of the company.",
    "company_type": "Legal form, such as Private.",
    "company_industry": "Industry.",
    "company_employees": "Number of employees.",
    "company_employee_range": "Bracket of the number of employees.",
    "company_founded": "Year of foundation.",
    "company_revenue_min": "Lower end of the yearly revenue.",
    "company_revenue_max": "Upper end of the yearly revenue.",
    "company_phone": "Number of the headquarters.",
    "company_city": "City of the headquarters.",
    "company_country": "Country of the headquarters.",
    "company_country_code": "ISO 3166 code of that country.",
    "company_funding": "Rounds of funding, as JSON.",
    "company_technology": "Technologies in use, as JSON.",
    "company_job_postings": "Open positions, as JSON.",
}
"""Every field of a fact, with a sentence for comments of columns."""


@dataclass(frozen=True)
class Answer:
    """The answer to one question.

    Attributes:
        id: of the question.
        outcome: what became of it.
        facts: no masked value is ever among them.
        billed_units: what the provider charged for it, in its unit.
        free: the provider says that it was bought before and costs nothing now.
        lost_units: the most that earlier attempts without a usable reply may have cost.
        code: the provider's own word for the outcome, or ours in capitals; never a value.
        detail: a sentence about an error, without personal data.
        retry_after_s: when it may be asked again; None where that is not known.
        provider_id: the provider's own id of the subject.
    """

    id: str
    outcome: Outcome
    facts: tuple[Fact, ...] = field(default=(), repr=False)
    billed_units: int = 0
    free: bool = False
    lost_units: int = 0
    code: str = ""
    detail: str = ""
    retry_after_s: float | None = None
    provider_id: str = ""


@dataclass(frozen=True)
class EmailAnswer:
    """The answer of a verifier about one address; attributes that `Answer` has mean the same.

    Attributes:
        verdict: what the reasons mean together.
        reasons: of our vocabulary, at least one.
        score: from 0 to 1 where the provider says so.
    """

    id: str
    outcome: Outcome
    verdict: EmailVerdict
    reasons: tuple[EmailReason, ...]
    score: float | None = None
    billed_units: int = 0
    free: bool = False
    lost_units: int = 0
    code: str = ""
    detail: str = ""
    retry_after_s: float | None = None


@dataclass(frozen=True)
class Account:
    """How an account stands.

    Attributes:
        plan: as the provider calls it.
        remaining, used: credits of the present month.
        renews_at: when they are whole again; None where the provider does not say it readably.
    """

    plan: str
    remaining: int
    used: int
    renews_at: datetime | None


@dataclass(frozen=True)
class Listed:
    """One person of a search: no contact values, and what to ask about the person with."""

    person: Person
    company: Company
    facts: tuple[Fact, ...] = field(repr=False)


@dataclass(frozen=True)
class SearchPage:
    """One page of a search.

    Attributes:
        number, pages: its place; `pages` is what the provider allows, not what there is.
        total: how many people the provider found.
        billed_units: what the page cost.
    """

    people: tuple[Listed, ...]
    number: int
    pages: int
    total: int
    billed_units: int
