"""People and companies as the API shows them; what was not bought is starred."""

from typing import Any

Row = dict[str, Any]
_SENIORITIES = {
    "CEO": "C-Suite",
    "Founder": "Founder/Owner",
    "Head": "Head",
    "VP": "VP",
    "Director": "Director",
}


def seniority(title: str) -> str:
    """Return the seniority that a job title tells."""
    found = (level for word, level in _SENIORITIES.items() if word in title)
    return next(found, "Manager" if "Manager" in title else "Senior")


def masked_email(email: str) -> str:
    """Return an address of which only the beginning can be read."""
    local, _, domain = email.partition("@")
    return f"{local[:1]}{'*' * max(3, len(local) - 1)}@{domain}"


def masked_number(number: str) -> str:
    """Return a number of which only the country can be read."""
    return number[:3] + "*" * (len(number) - 3)


def email_of(person: Row, *, revealed: bool) -> Row:
    """Return the part `email`."""
    email = person["work_email"]
    return {
        "status": "VERIFIED" if person["is_verified"] else "UNVERIFIED",
        "revealed": revealed,
        "email": email if revealed else masked_email(email),
        "verification_method": "SMTP" if person["is_verified"] else "CATCH_ALL",
        "email_mx_provider": "Google" if person["chance"] % 2 else "Microsoft",
    }


def mobile_of(person: Row, *, revealed: bool) -> Row:
    """Return the part `mobile`."""
    number = person["mobile"]
    if number is None:
        return {"status": None, "revealed": False, "mobile": None}
    shown = number if revealed else masked_number(number)
    return {
        "status": "VERIFIED",
        "revealed": revealed,
        "mobile": shown,
        "mobile_national": shown[3:],
        "mobile_international": shown,
        "mobile_country": person["country"],
        "mobile_country_code": person["country_code"],
    }


def person_of(person: Row, company: Row) -> Row:
    """Return a person without e-mail and mobile."""
    started = person["chance"] % 12 + 1
    return {
        "person_id": person["id"],
        "first_name": person["given"],
        "last_name": person["family"],
        "full_name": f"{person['given']} {person['family']}",
        "linkedin_url": person["linkedin_url"],
        "current_job_title": person["title"],
        "current_job_key": f"{person['id']}-{company['id']}",
        "headline": f"{person['title']} at {company['name']}",
        "linkedin_member_id": str(100_000 + person["person"]),
        "last_job_change_detected_at": None,
        "job_history": [
            {
                "title": person["title"],
                "company_name": company["name"],
                "logo_url": f"https://logos.prospeo.io/{company['domain']}.png",
                "current": True,
                "start_year": 2019 + person["chance"] % 6,
                "start_month": started,
                "end_year": None,
                "end_month": None,
                "duration_in_months": 12 + person["chance"] % 60,
                "departments": [person["department"]],
                "seniority": seniority(person["title"]),
                "company_id": company["id"],
            }
        ],
        "skills": [],
        "location": _place(person) | {"time_zone": None, "time_zone_offset": None},
    }


def company_of(company: Row) -> Row:
    """Return a company."""
    domain, employees = company["domain"], int(company["employees"])
    revenue = int(company["revenue"])
    return {
        "company_id": company["id"],
        "name": company["name"],
        "website": f"https://{domain}",
        "domain": domain,
        "other_websites": [],
        "description": None,
        "description_seo": None,
        "description_ai": None,
        "type": "Private",
        "industry": company["industry"],
        "employee_count": employees,
        "employee_count_on_prospeo": max(1, employees // 3),
        "employee_range": employee_range(employees),
        "location": _place(
            company | {"state": company["region"]},
            raw_address=", ".join(filter(None, (company["street"], company["city"]))),
        ),
        "sic_codes": [],
        "naics_codes": [],
        "email_tech": {"domain": domain, "mx_provider": "Google", "catch_all_domain": False},
        "linkedin_url": company["linkedin_url"],
        "twitter_url": None,
        "facebook_url": None,
        "crunchbase_url": None,
        "instagram_url": None,
        "youtube_url": None,
        "phone_hq": {"phone_hq": company["phone"], "phone_hq_country": company["country"]},
        "linkedin_id": str(2_000_000 + company["i"]),
        "founded": 1950 + company["r1"] % 70,
        "revenue_range": {"min": revenue // 2, "max": revenue * 2},
        "revenue_range_printed": f"{revenue // 2_000_000}M - {revenue * 2 // 1_000_000}M",
        "keywords": [],
        "logo_url": f"https://logos.prospeo.io/{domain}.png",
        "attributes": {"is_b2b": True},
        "funding": {"count": 0},
        "technology": {"count": 0, "technology_names": []},
        "job_postings": {"active_count": 0},
    }


def employee_range(employees: int) -> str:
    """Return the bracket of a headcount."""
    bounds = (10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000)
    least = 1
    for most in bounds:
        if employees <= most:
            return f"{least}-{most}"
        least = most + 1
    return "10000+"


def _place(row: Row, **more: Any) -> Row:
    return {
        "city": row["city"],
        "state": row["state"] or None,
        "country": row["country"],
        "country_code": row["country_code"],
        **more,
    }
