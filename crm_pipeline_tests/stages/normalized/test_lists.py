from typing import Any

import pytest

from crm_pipeline.model.mapping import FieldMap, ObjectMap, Pick, Points
from crm_pipeline.model.schema import Field, Schema

MAPS = (
    ObjectMap(
        "persons",
        "contacts",
        (
            FieldMap("id", "source_id"),
            FieldMap("emails", "email", pick=Pick("value", prefer=(("primary", "true"),))),
            FieldMap("emails", "emails", points=Points()),
            FieldMap("phones", "phone", pick=Pick("value", prefer=(("primary", "true"),))),
            FieldMap("phones", "mobile_phone", pick=Pick("value", only=(("label", "mobile"),))),
            FieldMap("phones", "phones", points=Points()),
            FieldMap(
                "links",
                "company_source_id",
                (("", "companies"),),
                pick=Pick("to", only=(("kind", "companies"),), prefer=(("label", "Primary"),)),
            ),
            FieldMap("consent", "email_opt_out", when=("channel", "email")),
            FieldMap("street", "street", joined=("number",), fallback=("address",)),
        ),
    ),
    ObjectMap(
        "contacts",
        "contacts",
        (
            FieldMap("id", "source_id"),
            FieldMap("email", "email"),
            FieldMap("more", "emails", points=Points(label="other", separator=";")),
        ),
    ),
    ObjectMap(
        "companies",
        "companies",
        (
            FieldMap("id", "source_id"),
            FieldMap("website", "website"),
            FieldMap("domain", "domain"),
            FieldMap("seconds", "employees", factor=0.001),
        ),
    ),
)


@pytest.fixture
def crm(org):
    org.maps = MAPS
    return org


def land(crm, obj: str, names: str, *records: dict[str, Any]) -> None:
    fields = tuple(Field(name, name, "text") for name in ("id", *names.split()))
    numbered = [{"id": str(number), **record} for number, record in enumerate(records, 1)]
    crm.land_records(Schema(obj, obj, fields), numbered)


def point(value: str, label: str | None = None, **more: Any) -> dict[str, Any]:
    return {"value": value, "label": label, **more}


def shown(*points: tuple[str, str | None, bool]) -> list[dict[str, Any]]:
    return [{"value": v, "label": label, "is_primary": first} for v, label, first in points]


def test_a_list_of_points_is_the_models_list(crm):
    """All e-mails with their labels, exactly one primary and that first; the primary is a column."""
    land(
        crm,
        "persons",
        "emails",
        {"emails": [point("a@b.co", "home"), point("c@d.co", "work", primary=True)]},
        {
            "emails": [
                point("a@b.co", primary=True),
                point("", "work"),
                point("e@f.co", primary=True),
            ]
        },
        {
            "emails": [
                point("a@b.co", "work", primary_flag="false"),
                point("x@y.co", primary_flag=True),
            ]
        },
        {"emails": [point("a@b.co"), point("c@d.co")]},
        {"emails": []},
        {"emails": None},
        {"emails": "a@b.co"},
        {},
    )
    crm.normalize("contacts")
    assert crm.rows("contacts", "source_id, email, emails, custom") == [
        ("1", "c@d.co", shown(("c@d.co", "work", True), ("a@b.co", "home", False)), "{}"),
        ("2", "a@b.co", shown(("a@b.co", None, True), ("e@f.co", None, False)), "{}"),
        ("3", "a@b.co", shown(("x@y.co", None, True), ("a@b.co", "work", False)), "{}"),
        ("4", "a@b.co", shown(("a@b.co", None, True), ("c@d.co", None, False)), "{}"),
        *((str(n), None, [], "{}") for n in range(5, 9)),
    ]


def test_phones_keep_their_kinds(crm):
    """A labelled phone is also the column of its kind; the list needs no field of the schema."""
    phones = [point("1", "work", primary=True), point("2", "mobile")]
    land(crm, "persons", "", {"phones": phones}, {"phones": [point("2", "mobile")]})
    crm.normalize("contacts")
    assert crm.rows("contacts", "phone, mobile_phone, primary_phone, len(phones)") == [
        ("1", "2", "1", 2),
        ("2", "2", "2", 1),
    ]


def test_the_preferred_element_is_picked(crm):
    """Of links to companies the primary one counts, then the first; ids may be numbers."""
    other = {"kind": "deals", "to": "5", "label": "Primary"}
    first, best = {"kind": "companies", "to": 7}, {"kind": "companies", "to": 8, "label": "Primary"}
    land(
        crm, "persons", "", {"links": [other, first, best]}, {"links": [first]}, {"links": [other]}
    )
    crm.normalize("contacts")
    assert crm.rows("contacts", "company_source_id, company_key") == [
        ("7", "acme:companies:7"),
        ("8", "acme:companies:8"),
        (None, None),
    ]


def test_further_addresses_come_behind_the_main_one(crm):
    """A text of several addresses completes the list and stays in custom."""
    land(
        crm, "contacts", "email more", {"email": "a@b.co", "more": ";c@d.co; e@f.co"}, {"more": ""}
    )
    crm.normalize("contacts")
    assert crm.rows("contacts", "emails, custom ->> 'more'") == [
        ([], None),
        (
            shown(("a@b.co", "main", True), ("c@d.co", "other", False), ("e@f.co", "other", False)),
            ";c@d.co; e@f.co",
        ),
    ]


def test_a_derived_column_can_be_fed(crm):
    """The CRM's own domain takes precedence over the one derived from the website."""
    land(
        crm,
        "companies",
        "website domain",
        {"website": "https://www.a.example/x", "domain": "b.example"},
        {"website": "https://www.a.example/x"},
    )
    crm.normalize("companies")
    assert crm.rows("companies", "domain, custom ->> 'domain'") == [
        ("a.example", None),
        ("b.example", "b.example"),
    ]


def test_units_are_converted(crm):
    """A factor brings a number to the column's unit; the original stays, and what is no number too."""
    land(crm, "companies", "seconds", {"seconds": "12400"}, {"seconds": "soon"}, {"seconds": None})
    done = crm.normalize("companies")
    assert crm.rows("companies", "source_id, employees, custom ->> 'seconds', unconverted") == [
        ("1", 12, "12400", None),
        ("2", None, "soon", ["seconds"]),
        ("3", None, None, None),
    ]
    assert done.unconverted == {"companies.seconds": 1}


def test_values_depend_on_their_neighbours(crm):
    """A value is taken under a condition, joined with others, or replaced where it is empty."""
    land(
        crm,
        "persons",
        "consent channel street number address",
        {"consent": "true", "channel": "email", "street": "Ring", "number": "7", "address": "?"},
        {"consent": "true", "channel": "phone", "number": "7", "address": "Ring 8, Wien"},
    )
    crm.normalize("contacts")
    assert crm.rows("contacts", "source_id, email_opt_out, street") == [
        ("1", True, "Ring 7"),
        ("2", None, "Ring 8, Wien"),
    ]


def test_a_condition_on_a_field_that_is_not_there_is_false(crm):
    """A condition on a source that does not exist is false, so the value is NULL."""
    land(crm, "persons", "consent", {"consent": "true"})
    crm.normalize("contacts")
    assert crm.rows("contacts", "email_opt_out") == [(None,)]
