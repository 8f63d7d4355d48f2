"""Whom and what the vendor knows: most of the world's people, and all companies."""

from typing import Any

from crm_sandbox.true_people import true_people
from crm_sandbox.world import World

_LINKEDIN = "https://www.linkedin.com"
_KNOWN_OF_TEN = 8
_UNVERIFIED_EACH = 6
_MOBILES_OF_TEN = 4

Row = dict[str, Any]


def plain(text: str) -> str:
    """Return a name or an address as it is compared: without case, scheme, `www.` and trailing slashes."""
    lowered = " ".join(text.casefold().split())
    for prefix in ("https://", "http://", "www."):
        lowered = lowered.removeprefix(prefix)
    return lowered.rstrip("/")


class Directory:
    """The people and companies of the vendor, found by what a client knows of them.

    Args:
        world: of the sandbox.
    """

    def __init__(self, world: World) -> None:
        self.companies: dict[str, Row] = {}
        by_index: list[Row] = []
        for row in world.companies().to_pylist():
            slug = row["domain"].replace(".", "-")
            company = row | {
                "id": f"c{row['i']:08x}",
                "linkedin_url": f"{_LINKEDIN}/company/{slug}",
            }
            self.companies[company["id"]] = company
            by_index.append(company)
        self._companies: dict[str, str] = {}
        for company in by_index:
            for name in (company["domain"], company["linkedin_url"], company["name"]):
                self._companies.setdefault(plain(name), company["id"])
        self.people: dict[str, Row] = {}
        self._people: dict[str, str] = {}
        for row in true_people(world):
            if row["chance"] % 10 < _KNOWN_OF_TEN:
                self._add(row, by_index[row["company"]])

    def _add(self, row: Row, company: Row) -> None:
        slug = row["slug"].replace(".", "-")
        person = row | {
            "id": f"p{row['person']:08x}",
            "linkedin_url": f"{_LINKEDIN}/in/{slug}-{row['person']}",
            "company_id": company["id"],
            "is_verified": bool(row["chance"] // 10 % _UNVERIFIED_EACH),
            "mobile": row["mobile"] if row["luck"] % 10 < _MOBILES_OF_TEN else None,
        }
        self.people[person["id"]] = person
        names = {f"{row['given']} {row['family']}", f"{row['native_given']} {row['native_family']}"}
        keys = [row["email"], row["work_email"], person["linkedin_url"]]
        keys += [f"{plain(name)} at {company['id']}" for name in names]
        for key in keys:
            self._people.setdefault(plain(key), person["id"])

    def company(self, data: Row) -> Row | None:
        """Return the company that datapoints name, by the surest of them."""
        names = ("company_id", "company_website", "company_linkedin_url", "company_name")
        for name in names:
            value = str(data.get(name) or "")
            known = value if name == "company_id" else self._companies.get(_host(plain(value)))
            if known in self.companies:
                return self.companies[known]
        return None

    def person(self, data: Row) -> Row | None:
        """Return the person that datapoints name, by the surest of them."""
        if str(data.get("person_id")) in self.people:
            return self.people[str(data["person_id"])]
        for name in ("linkedin_url", "email"):
            known = self._people.get(plain(str(data.get(name) or "")))
            if known is not None:
                return self.people[known]
        company = self.company(data)
        if company is None:
            return None
        parts = (data.get("first_name"), data.get("last_name"))
        full = str(data.get("full_name") or " ".join(str(part or "") for part in parts))
        known = self._people.get(plain(f"{plain(full)} at {company['id']}"))
        return self.people[known] if known is not None else None


def _host(text: str) -> str:
    """Return the host of a website; other texts as they are."""
    return text if "linkedin.com" in text else text.partition("/")[0]
