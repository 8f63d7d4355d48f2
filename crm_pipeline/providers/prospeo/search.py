"""Search of people by filters. Pages cost a credit each, and hold no contact values."""

from collections.abc import Iterator, Mapping
from typing import Any

from crm_pipeline.kernel.errors import ConfigError, ProtocolError, Rejected, UnknownName
from crm_pipeline.providers.calls import Call, Calls
from crm_pipeline.providers.prospeo.errors import NO_RESULTS
from crm_pipeline.providers.prospeo.parts import (
    company_facts,
    listed_subjects,
    parts_of,
    person_facts,
)
from crm_pipeline.providers.prospeo.wire import Match, Results
from crm_pipeline.providers.values import Listed, SearchPage

SEARCH = "search"
PAGE_UNITS = 1
MOST_PAGES = 1_000
_MOST_VALUES = 500
# As the official client declares them: prospeo-v2/prospeo-mcp-server, src/schemas.ts.
FILTERS = frozenset(
    {
        *("person_name", "person_name_or_job_title", "person_job_title", "person_department"),
        *("person_seniority", "person_location_search", "person_contact_details"),
        *("max_person_per_company", "person_year_of_experience", "person_time_in_current_role"),
        *("person_time_in_current_company", "person_job_change", "company"),
        *("company_location_search", "company_headcount_range", "company_headcount_custom"),
        *("company_industry", "company_keywords", "company_attributes", "company_naics"),
        *("company_sics", "company_revenue", "company_type", "company_funding"),
        *("company_technology", "company_founded", "company_headcount_growth"),
        *("company_job_posting_hiring_for", "company_job_posting_quantity"),
        *("company_headcount_by_department", "company_email_provider"),
    }
)


class Search:
    """Buys pages of people.

    Args:
        calls: of the account.
    """

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def pages(self, filters: Mapping[str, Any], most: int) -> Iterator[SearchPage]:
        """Yield pages until there are no more, or until so many are bought.

        Raises:
            ConfigError: a filter is unknown, or the provider refuses it.
            ProtocolError: the provider answers with another page than was asked for.
        """
        self._require_known(filters)
        for number in range(1, min(most, MOST_PAGES) + 1):
            page = self._page(filters, number)
            if page is None:
                return
            yield page
            if number >= page.pages:
                return

    def _page(self, filters: Mapping[str, Any], number: int) -> SearchPage | None:
        call = Call(
            "POST",
            "/search-person",
            SEARCH,
            "a page of a search",
            Results,
            lambda results: PAGE_UNITS if results.results else 0,
            most=PAGE_UNITS,
            json={"filters": filters, "page": number},
        )
        name = self._calls.provider.name
        try:
            reply = self._calls.make(call)
        except Rejected as error:
            if error.code == NO_RESULTS:
                return None
            raise ConfigError(
                f"{name}: the search is refused: {error.message}",
                cure="Values must be written as Prospeo suggests them, and one filter has to include something.",
            ) from None
        place = reply.content.pagination
        if place.current_page != number:
            raise ProtocolError(
                f"{name}: page {number} of a search was asked for, and page {place.current_page} came."
            )
        return SearchPage(
            people=tuple(filter(None, map(_listed, reply.content.results))),
            number=number,
            pages=min(place.total_page, MOST_PAGES),
            total=place.total_count,
            billed_units=PAGE_UNITS if reply.content.results else 0,
        )

    def _require_known(self, filters: Mapping[str, Any]) -> None:
        where = f"a search of provider '{self._calls.provider.name}'"
        for name, value in filters.items():
            if name not in FILTERS:
                raise UnknownName("filter", name, FILTERS, where=where)
            if any(len(values) > _MOST_VALUES for values in _lists(value)):
                raise ConfigError(
                    f"the filter '{name}' of {where} has more than {_MOST_VALUES} values.",
                    cure="Split the search.",
                )
        if not any(_includes(value) for value in filters.values()):
            raise ConfigError(
                f"no filter of {where} includes anything.",
                cure="Add an `include` to one of them; exclusions alone are refused.",
            )


def _includes(value: Any) -> bool:
    """Say whether a filter asks for something; what only excludes does not."""
    if isinstance(value, Mapping):
        return any(_includes(part) for name, part in value.items() if name != "exclude")
    return value not in (None, "", [], False)


def _lists(value: Any) -> Iterator[list[Any]]:
    if isinstance(value, list):
        yield value
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from _lists(part)


def _listed(match: Match) -> Listed | None:
    person, company = parts_of(match.person, match.company)
    if person is None:
        return None
    subject, employer = listed_subjects(person, company)
    # Search results hold no contact values; if there is one all the same, it was not bought.
    facts = [
        fact
        for fact in (*person_facts(person), *(company_facts(company) if company else ()))
        if fact.name not in {"email", "mobile"}
    ]
    return Listed(subject, employer, tuple(facts))
