"""What lies behind the API, and whether answers have the form of the vendor's own types."""

from __future__ import annotations

from typing import Any

import pytest

from crm_sandbox_tests.prospeo.conftest import Client

# The types of the vendor's MCP server (prospeo-v2/prospeo-mcp-server at 310daa1, MIT, src/types.ts): names of
# keys with `?` where they may be missing, and the JSON types of their values.
TEXT, WHOLE, TRUTH, LIST, OBJECT = str, int, bool, list, dict
EMAIL = {"status": TEXT, "revealed": TRUTH, "email": TEXT}
EMAIL |= {"verification_method?": TEXT, "email_mx_provider?": TEXT}
MOBILE = {"status": TEXT, "revealed": TRUTH, "mobile?": TEXT, "mobile_national?": TEXT}
MOBILE |= {"mobile_international?": TEXT, "mobile_country?": TEXT, "mobile_country_code?": TEXT}
LOCATION = {"city?": TEXT, "state?": TEXT, "country?": TEXT, "country_code?": TEXT}
LOCATION |= {"time_zone?": TEXT, "time_zone_offset?": WHOLE}
JOB = {"title?": TEXT, "company_name?": TEXT, "current?": TRUTH, "start_year?": WHOLE}
JOB |= {"start_month?": WHOLE, "end_year?": WHOLE, "end_month?": WHOLE, "company_id?": TEXT}
JOB |= {"duration_in_months?": WHOLE, "departments?": LIST, "seniority?": TEXT}
PERSON = {"person_id": TEXT, "first_name?": TEXT, "last_name?": TEXT, "full_name?": TEXT}
PERSON |= {"linkedin_url?": TEXT, "current_job_title?": TEXT, "current_job_key?": TEXT}
PERSON |= {"headline?": TEXT, "linkedin_member_id?": TEXT, "last_job_change_detected_at?": TEXT}
PERSON |= {"job_history": LIST, "mobile?": OBJECT, "email?": OBJECT, "location?": OBJECT}
PERSON |= {"skills": LIST}
COMPANY = {"company_id": TEXT, "other_websites": LIST, "sic_codes": LIST, "naics_codes": LIST}
COMPANY |= {"keywords": LIST, "employee_count?": WHOLE, "employee_count_on_prospeo?": WHOLE}
COMPANY |= {"founded?": WHOLE}
COMPANY |= {
    f"{name}?": TEXT
    for name in (
        *("name", "website", "domain", "description", "description_seo", "description_ai", "type"),
        *("industry", "employee_range", "linkedin_url", "twitter_url", "facebook_url"),
        *("crunchbase_url", "instagram_url", "youtube_url", "linkedin_id"),
        *("revenue_range_printed", "logo_url"),
    )
}
COMPANY |= {
    f"{name}?": OBJECT
    for name in (
        *("location", "email_tech", "phone_hq", "revenue_range", "attributes", "funding"),
        *("technology", "job_postings"),
    )
}
# Documented on the pages of the API and missing in the types.
BESIDE = {"logo_url", "raw_address"}


def unlike(value: dict[str, Any], form: dict[str, type]) -> list[str]:
    """Return where an object has not the form of a type; null stands for a value that is missing."""
    known = {name.removesuffix("?"): kind for name, kind in form.items()}
    wrong = [f"{name} is unknown" for name in set(value) - set(known) - BESIDE]
    wrong += [f"{name} is missing" for name in form if name[-1] != "?" and name not in value]
    for name, kind in known.items():
        if value.get(name) is not None and type(value[name]) is not kind:
            wrong.append(f"{name} is {type(value[name]).__name__}")
    return wrong


@pytest.mark.parametrize("flags", [{}, {"enrich_mobile": True}])
def test_answers_have_the_vendors_types(client: Client, flags: dict[str, bool]) -> None:
    """Every part of a match has the keys and JSON types that the vendor's own client declares."""
    for row in client.people()[:30]:
        body = client.enrich({"person_id": row["id"]}, **flags).json()
        assert set(body) == {"error", "free_enrichment", "person", "company"}
        person, company = body["person"], body["company"]
        assert unlike(person, PERSON) == []
        assert unlike(company, COMPANY) == []
        assert unlike(person["email"], EMAIL) == []
        assert unlike(person["mobile"], MOBILE) == []
        assert [unlike(job, JOB) for job in person["job_history"]] == [[]]
        assert unlike(person["location"], LOCATION) == unlike(company["location"], LOCATION) == []


def test_a_planted_difference_is_found() -> None:
    """The comparison sees a wrong type, an unknown key and a missing one."""
    assert unlike({"status": 1, "shoe": 2, "revealed": True}, EMAIL) == [
        "shoe is unknown",
        "email is missing",
        "status is int",
    ]


@pytest.mark.parametrize("route", ["email", "work_email", "linkedin_url", "name", "native", "site"])
def test_ways_to_a_person(client: Client, route: str) -> None:
    """A person is found by an address that the CRMs have, a profile, or a name in either script with a company."""
    companies = {row["id"]: row for row in client.account.rows("companies")}
    for row in client.people()[:25]:
        company = companies[row["company_id"]]
        names = {"first_name": row["given"], "last_name": row["family"].upper()}
        data = {
            "email": {"email": row["email"].upper()},
            "work_email": {"email": row["work_email"]},
            "linkedin_url": {"linkedin_url": row["linkedin_url"] + "/"},
            "name": names | {"company_name": company["name"]},
            "native": {
                "full_name": f"{row['native_given']} {row['native_family']}",
                "company_website": company["domain"],
            },
            "site": names | {"company_website": f"https://www.{company['domain']}/about"},
        }[route]
        found = client.enrich(data).json()["person"]
        assert found["last_name"] == row["family"]
        assert found["email"]["email"].rpartition("@")[2] == company["domain"]


def test_companies(client: Client) -> None:
    """A company is found by its website, profile or name, for a credit, alone or with others."""
    row = client.account.rows("companies")[3]
    ways: dict[str, str] = {"company_website": row["domain"], "company_name": row["name"]}
    ways |= {"company_linkedin_url": row["linkedin_url"], "company_id": row["id"]}
    for name, value in ways.items():
        client.seconds += 1
        body = client.post("/enrich-company", {"data": {name: value}}).json()
        assert body["company"]["company_id"] == row["id"]
    assert client.left() == 999
    client.seconds += 1
    records = [{"identifier": "a", "company_id": row["id"]}, {"identifier": "b"}]
    records += [{"identifier": "c", "company_name": "Nobody"}]
    body = client.post("/bulk-enrich-company", {"data": records}).json()
    assert ([one["identifier"] for one in body["matched"]], body["total_cost"]) == (["a"], 0)
    assert (body["not_matched"], body["invalid_datapoints"]) == (["c"], ["b"])


def test_people_change_jobs(client: Client) -> None:
    """What a test changes is what the next answer says."""
    row = client.people()[0]
    client.account.edit("people", row["id"], {"title": "Astronaut"})
    found = client.enrich({"person_id": row["id"]}).json()["person"]
    assert found["current_job_title"] == "Astronaut"
    with pytest.raises(ValueError, match="shoe"):
        client.account.edit("people", row["id"], {"shoe": "Astronaut"})
    with pytest.raises(ValueError, match="nothing is added"):
        client.account.create("people", {})


def test_people_are_the_worlds(client: Client) -> None:
    """Most of the world's people are known, each as one person, under ids that identities explain."""
    emulation = client.emulation
    identities = emulation.identities("people")
    persons = {one["person"] for one in identities}
    assert len(persons) == len(identities) == client.account.count("people")
    whole = 375
    assert 0.7 * whole < len(persons) < 0.9 * whole


def test_settings_are_checked(client: Client) -> None:
    """An unknown plan, class or setting is an error that names the known ones."""
    for action, arguments, words in (
        ("set_limits", {"plan": "gold"}, "known: starter"),
        ("set_limits", {"verify": [1, 2, 3]}, "known: enrich"),
        ("set_account", {"colour": 1}, "known: free_days"),
    ):
        with pytest.raises(ValueError, match=words):
            client.account.admin(action, **arguments)
