"""`/enrich-person`, `/enrich-company` and their bulk forms: find, charge, show."""

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from crm_sandbox.prospeo.credits import COMPANY, MOBILE, PERSON, Credits
from crm_sandbox.prospeo.directory import Directory
from crm_sandbox.prospeo.errors import ApiError
from crm_sandbox.prospeo.rendering import company_of, email_of, mobile_of, person_of

MOST_RECORDS = 50
_COMPANY_POINTS = ("company_website", "company_linkedin_url", "company_name")
_BOOLEANS = ("only_verified_email", "enrich_mobile", "only_verified_mobile")
Row = dict[str, Any]


@dataclass(frozen=True)
class Wishes:
    """What a client asks for beside a match."""

    only_verified_email: bool = False
    enrich_mobile: bool = False
    only_verified_mobile: bool = False

    @classmethod
    def of(cls, body: Row) -> "Wishes":
        """Read the flags of a body.

        Raises:
            ApiError: one is no boolean.
        """
        values = {name: body.get(name, False) for name in _BOOLEANS}
        if not all(isinstance(value, bool) for value in values.values()):
            raise ApiError("INVALID_REQUEST")
        return cls(**values)

    @property
    def mobile(self) -> bool:
        """Whether mobiles are wanted; the flag for verified ones implies that."""
        return self.enrich_mobile or self.only_verified_mobile


class Enriching:
    """Answers the requests.

    Args:
        directory: whom the vendor knows.
        credits: of the account.

    Attributes:
        masks_email: matches come without a purchase, so their addresses are starred and cost nothing.
    """

    def __init__(self, directory: Directory, credits: Credits) -> None:  # noqa: A002
        self._directory = directory
        self._credits = credits
        self.masks_email = False

    def person(self, body: Row) -> Row:
        """Answer `/enrich-person`."""
        wishes = Wishes.of(body)
        data = _object(body.get("data"))
        if not _is_enough(data):
            raise ApiError("INVALID_DATAPOINTS")
        person = self._wanted(data, wishes)
        if person is None:
            raise ApiError("NO_MATCH")
        (cost,) = self._charged([(PERSON, person)], wishes)
        return {
            "error": False,
            "free_enrichment": self._is_free(cost),
            **self._shown(person, wishes),
        }

    def company(self, body: Row) -> Row:
        """Answer `/enrich-company`."""
        data = _object(body.get("data"))
        if not _names_company(data):
            raise ApiError("INVALID_DATAPOINTS")
        company = self._directory.company(data)
        if company is None:
            raise ApiError("NO_MATCH")
        (cost,) = self._charged([(COMPANY, company)], Wishes())
        return {"error": False, "free_enrichment": not cost, "company": company_of(company)}

    def people(self, body: Row) -> Row:
        """Answer `/bulk-enrich-person`."""
        wishes = Wishes.of(body)
        return self._many(
            body,
            _is_enough,
            lambda data: (PERSON, self._wanted(data, wishes)),
            lambda person: self._shown(person, wishes),
            wishes,
        )

    def companies(self, body: Row) -> Row:
        """Answer `/bulk-enrich-company`."""
        return self._many(
            body,
            _names_company,
            lambda data: (COMPANY, self._directory.company(data)),
            lambda company: {"company": company_of(company)},
            Wishes(),
        )

    def _many(
        self,
        body: Row,
        is_enough: Callable[[Row], bool],
        find: Callable[[Row], tuple[str, Row | None]],
        show: Callable[[Row], Row],
        wishes: Wishes,
    ) -> Row:
        records = records_of(body)
        found: list[tuple[str, str, Row]] = []
        missed: list[str] = []
        wrong = [str(one["identifier"]) for one in records if not is_enough(one)]
        for record in records:
            identifier = str(record["identifier"])
            if identifier in wrong:
                continue
            kind, row = find(record)
            if row is None:
                missed.append(identifier)
            else:
                found.append((identifier, kind, row))
        costs = self._charged([(kind, row) for _, kind, row in found], wishes)
        matched = [
            {"identifier": identifier, "free_enrichment": self._is_free(cost), **show(row)}
            for (identifier, _, row), cost in zip(found, costs, strict=True)
        ]
        # The order is not promised.
        matched.sort(key=lambda one: zlib.crc32(one["identifier"].encode()))
        return {
            "error": False,
            "total_cost": sum(costs),
            "matched": matched,
            "not_matched": missed[::-1],
            "invalid_datapoints": wrong[::-1],
        }

    def _wanted(self, data: Row, wishes: Wishes) -> Row | None:
        person = self._directory.person(data)
        if person is None:
            return None
        is_refused = (wishes.only_verified_email and not person["is_verified"]) or (
            wishes.only_verified_mobile and person["mobile"] is None
        )
        return None if is_refused else person

    def _charged(self, rows: list[tuple[str, Row]], wishes: Wishes) -> list[int]:
        if self.masks_email:
            return [0] * len(rows)
        kinds = [
            (MOBILE if kind == PERSON and wishes.mobile and row["mobile"] else kind, row["id"])
            for kind, row in rows
        ]
        return self._credits.charge(kinds)

    def _is_free(self, cost: int) -> bool:
        return not cost and not self.masks_email

    def _shown(self, person: Row, wishes: Wishes) -> Row:
        company = self._directory.companies[person["company_id"]]
        is_bought = not self.masks_email
        return {
            "person": person_of(person, company)
            | {
                "email": email_of(person, revealed=is_bought),
                "mobile": mobile_of(person, revealed=is_bought and wishes.mobile),
            },
            "company": company_of(company),
        }


def records_of(body: Row) -> list[Row]:
    """Return the records of a bulk request.

    Raises:
        ApiError: there are none or too many, or one has no identifier of its own.
    """
    records = body.get("data")
    if not isinstance(records, list) or not 1 <= len(records) <= MOST_RECORDS:
        raise ApiError("INVALID_REQUEST")
    rows = [_object(one) for one in records]
    names = [str(row.get("identifier") or "") for row in rows]
    if not all(name.isalnum() for name in names) or len(set(names)) < len(names):
        raise ApiError("INVALID_REQUEST")
    return rows


def _object(value: Any) -> Row:
    if not isinstance(value, dict):
        raise ApiError("INVALID_REQUEST")
    return value


def _names_company(data: Row) -> bool:
    return any(data.get(name) for name in (*_COMPANY_POINTS, "company_id"))


def _is_enough(data: Row) -> bool:
    if any(data.get(name) for name in ("linkedin_url", "email", "person_id")):
        return True
    has_name = data.get("full_name") or (data.get("first_name") and data.get("last_name"))
    return bool(has_name) and any(data.get(name) for name in _COMPANY_POINTS)
