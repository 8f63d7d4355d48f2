"""`/search-person`: people by filters, 25 a page, without e-mail and mobile."""

from collections import Counter
from collections.abc import Callable
from typing import Any

from crm_sandbox.prospeo.credits import PAGE, Credits
from crm_sandbox.prospeo.directory import Directory, plain
from crm_sandbox.prospeo.errors import ApiError
from crm_sandbox.prospeo.rendering import company_of, employee_range, person_of, seniority

PER_PAGE = 25
MOST_PAGES = 1_000
_MOST_VALUES = 500
Row = dict[str, Any]
Value = Callable[[Row, Row], list[str]]

# The values of a person, with the company, that the lists of a filter are compared with.
_LISTS: dict[str, Value] = {
    "person_job_title": lambda person, _: [person["title"]],
    "person_seniority": lambda person, _: [seniority(person["title"])],
    "person_department": lambda person, _: [person["department"]],
    "person_name": lambda person, _: [f"{person['given']} {person['family']}"],
    "person_location_search": lambda person, _: [person["country"], person["city"]],
    "company_industry": lambda _, company: [company["industry"]],
    "company_location_search": lambda _, company: [company["country"], company["city"]],
}
_OTHERS = ("company", "company_headcount_range", "max_person_per_company")


class Searching:
    """Answers the requests.

    Args:
        directory: whom the vendor knows.
        credits: of the account.
    """

    def __init__(self, directory: Directory, credits: Credits) -> None:  # noqa: A002
        self._directory = directory
        self._credits = credits

    def people(self, body: Row) -> Row:
        """Answer `/search-person`."""
        page = body.get("page", 1)
        if not isinstance(page, int) or isinstance(page, bool) or not 1 <= page <= MOST_PAGES:
            raise ApiError("INVALID_REQUEST")
        filters = body.get("filters")
        if not isinstance(filters, dict):
            raise ApiError("INVALID_FILTERS", "filters must be an object")
        found = self._found(_read(filters), filters.get("max_person_per_company"))
        shown = found[(page - 1) * PER_PAGE : page * PER_PAGE]
        if not shown:
            raise ApiError("NO_RESULTS")
        self._credits.charge([(PAGE, str(page))])
        return {
            "error": False,
            "results": [
                {"person": person_of(person, company), "company": company_of(company)}
                for person, company in shown
            ],
            "pagination": {
                "current_page": page,
                "per_page": PER_PAGE,
                "total_page": min(MOST_PAGES, -(-len(found) // PER_PAGE)),
                "total_count": len(found),
            },
        }

    def _found(
        self, tests: list[Callable[[Row, Row], bool]], most_of_company: int | None
    ) -> list[tuple[Row, Row]]:
        of_company: Counter[str] = Counter()
        found = []
        for person in self._directory.people.values():
            company = self._directory.companies[person["company_id"]]
            if not all(test(person, company) for test in tests):
                continue
            of_company[company["id"]] += 1
            if most_of_company is None or of_company[company["id"]] <= most_of_company:
                found.append((person, company))
        return found


def _read(filters: Row) -> list[Callable[[Row, Row], bool]]:
    """Return the tests that filters stand for.

    Raises:
        ApiError: a filter is unknown or malformed, or none of them includes anything.
    """
    tests: list[Callable[[Row, Row], bool]] = []
    includes = False
    lists: list[tuple[Value, Row]] = []
    for name, given in filters.items():
        if name in _LISTS:
            lists.append((_LISTS[name], given))
        elif name == "company" and isinstance(given, dict):
            lists += _company_lists(given)
        elif name == "company_headcount_range":
            lists.append((_headcount, {"include": given}))
        elif name not in _OTHERS:
            raise ApiError("INVALID_FILTERS", f"unknown filter {name}")
    for value, given in lists:
        wanted, unwanted = _texts(given, "include"), _texts(given, "exclude")
        includes = includes or bool(wanted)
        tests.append(_test(value, wanted, unwanted))
    if not includes:
        raise ApiError("INVALID_FILTERS", "at least one include filter is required")
    return tests


def _company_lists(given: Row) -> list[tuple[Value, Row]]:
    values: dict[str, Value] = {
        "names": lambda _, company: [company["name"]],
        "websites": lambda _, company: [company["domain"]],
    }
    return [(values[name], part) for name, part in given.items() if name in values]


def _headcount(_: Row, company: Row) -> list[str]:
    return [employee_range(int(company["employees"]))]


def _texts(given: Any, name: str) -> set[str]:
    values = given.get(name) or [] if isinstance(given, dict) else None
    if not isinstance(values, list) or not all(isinstance(one, str) for one in values):
        raise ApiError("INVALID_FILTERS", f"{name} must be a list of texts")
    if len(values) > _MOST_VALUES:
        raise ApiError("INVALID_FILTERS", f"{name} has more than {_MOST_VALUES} values")
    return {plain(one) for one in values}


def _test(value: Value, wanted: set[str], unwanted: set[str]) -> Callable[[Row, Row], bool]:
    def passes(person: Row, company: Row) -> bool:
        own = {plain(one) for one in value(person, company)}
        return (not wanted or bool(own & wanted)) and not own & unwanted

    return passes
