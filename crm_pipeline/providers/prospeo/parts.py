"""Facts out of Prospeo's parts. Masked values end here: only what is marked as revealed becomes a fact."""

from collections.abc import Iterator

import msgspec

from crm_pipeline.providers.prospeo.wire import (
    CompanyPart,
    Email,
    Job,
    Mobile,
    PersonPart,
    Place,
    kept,
)
from crm_pipeline.providers.subjects import Company, Person
from crm_pipeline.providers.values import Fact

_MASK = "*"
_STATUSES = {"VERIFIED": "verified", "UNVERIFIED": "unverified"}
_LONGEST = 4_000
_LONGEST_NESTED = 20_000


def revealed(part: Email | Mobile | None) -> str:
    """Return the value of an e-mail or a mobile; "" where it is masked or missing."""
    if part is None or part.revealed is not True:
        return ""
    value = part.email if isinstance(part, Email) else part.mobile_international or part.mobile
    text = (value or "").strip()
    # A star in a revealed value contradicts the mark; what is doubtful is not bought data.
    return "" if _MASK in text or len(text) > _LONGEST else text


def is_masked(part: Email | Mobile | None) -> bool:
    """Say whether there is a value that is not shown."""
    if part is None:
        return False
    value = part.email if isinstance(part, Email) else part.mobile_international or part.mobile
    return bool(value) and not revealed(part)


def person_facts(person: PersonPart) -> Iterator[Fact]:
    """Yield what a person's part says."""
    for name, part in (("email", person.email), ("mobile", person.mobile)):
        if value := revealed(part):
            status = part.status if part else None
            yield Fact(name, value, status=_STATUSES.get(status or "", ""))
    job = current_job(person.job_history or [])
    place = person.location or Place()
    yield from _facts(
        first_name=person.first_name,
        last_name=person.last_name,
        full_name=person.full_name,
        job_title=person.current_job_title,
        headline=person.headline,
        seniority=job.seniority,
        department=next(iter(job.departments or ()), None),
        job_started=_month(job),
        job_changed_at=person.last_job_change_detected_at,
        profile=person.linkedin_url,
        city=place.city,
        state=place.state,
        country=place.country,
        country_code=place.country_code,
        time_zone=place.time_zone,
    )


def company_facts(company: CompanyPart) -> Iterator[Fact]:
    """Yield what a company's part says."""
    place, phone = company.location or Place(), company.phone_hq
    revenue = company.revenue_range
    yield from _facts(
        company=company.name,
        company_domain=company.domain,
        company_website=company.website,
        company_profile=company.linkedin_url,
        company_description=company.description,
        company_type=company.type,
        company_industry=company.industry,
        company_employees=company.employee_count,
        company_employee_range=company.employee_range,
        company_founded=company.founded,
        company_revenue_min=revenue.min if revenue else None,
        company_revenue_max=revenue.max if revenue else None,
        company_phone=(phone.phone_hq_international or phone.phone_hq) if phone else None,
        company_city=place.city,
        company_country=place.country,
        company_country_code=place.country_code,
        company_funding=_nested(company.funding),
        company_technology=_nested(company.technology),
        company_job_postings=_nested(company.job_postings),
    )


def listed_subjects(person: PersonPart, company: CompanyPart | None) -> tuple[Person, Company]:
    """Return what to ask about a person and the company of a search with."""
    employer = company or CompanyPart()
    return (
        Person(
            profile=person.linkedin_url or "",
            name=person.full_name or "",
            first_name=person.first_name or "",
            last_name=person.last_name or "",
            domain=employer.domain or "",
            company=employer.name or "",
            provider_id=person.person_id or "",
        ),
        Company(
            domain=employer.domain or "",
            profile=employer.linkedin_url or "",
            name=employer.name or "",
            provider_id=employer.company_id or "",
        ),
    )


def parts_of(
    person: msgspec.Raw, company: msgspec.Raw
) -> tuple[PersonPart | None, CompanyPart | None]:
    """Return the parts of a match."""
    return kept(person, PersonPart), kept(company, CompanyPart)


def current_job(jobs: list[Job]) -> Job:
    """Return the present job of a history; an empty one where none is marked."""
    return next((job for job in jobs if job.current), Job())


def _month(job: Job) -> str | None:
    if not job.start_year or not 1900 <= job.start_year <= 2200:
        return None
    month = job.start_month
    return f"{job.start_year}-{month:02}" if month and 1 <= month <= 12 else str(job.start_year)


def _nested(part: object) -> str | None:
    if not part:
        return None
    text = msgspec.json.encode(part, order="sorted").decode()
    return text if len(text) <= _LONGEST_NESTED else None


def _facts(**values: str | int | float | None) -> Iterator[Fact]:
    for name, value in values.items():
        if isinstance(value, str):
            value = value.strip()  # noqa: PLW2901 - the same value without blanks
            longest = _LONGEST_NESTED if value.startswith("{") else _LONGEST
            if not value or len(value) > longest:
                continue
        if value is not None:
            yield Fact(name, value)
