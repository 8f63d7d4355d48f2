"""The key of a purchase: the same for the same person, however an account writes it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crm_pipeline.providers import Company, Person, Subject, key_of
from crm_pipeline.providers.subjects import normal_domain

SAME: list[tuple[str, list[Subject]]] = [
    (
        "email:ada@acme.com",
        [
            Person(email="ada@acme.com"),
            Person(email=" Ada@ACME.com "),
            Person(email="ada@acme.com", name="Ada Lovelace", profile="x", provider_id="p1"),
        ],
    ),
    (
        "email:ada@xn--mller-kva.de",
        [Person(email="ada@Müller.de"), Person(email="ada@mu\u0308ller.de")],
    ),
    (
        "profile:linkedin.com/in/ada-lovelace",
        [
            Person(profile="https://www.linkedin.com/in/ada-lovelace/"),
            Person(profile="http://de.linkedin.com/in/Ada-Lovelace?trk=x#top"),
            Person(profile="linkedin.com/in/ada%2Dlovelace", name="Ada"),
            Person(profile="linkedin.com/in/ada-lovelace", email="no address"),
        ],
    ),
    (
        "name:ada lovelace@acme.com",
        [
            Person(name="Ada  Lovelace", domain="acme.com"),
            Person(first_name="ADA", last_name="Lovelace", domain="https://www.acme.com/about"),
            Person(name="ada lovelace", domain="acme.com", company="Acme Inc."),
        ],
    ),
    ("name:ada lovelace@acme inc.", [Person(name="Ada Lovelace", company="ACME Inc.")]),
    ("id:p1", [Person(provider_id="p1"), Person(provider_id="p1", first_name="Ada")]),
    ("company:acme.com", [Company(domain="http://acme.com"), Company(domain="ACME.COM", name="x")]),
    ("company_profile:linkedin.com/company/acme", [Company(profile="linkedin.com/company/acme/")]),
    ("company_name:acme inc.", [Company(name=" Acme  Inc.")]),
    ("company_id:c1", [Company(provider_id="c1")]),
    ("", [Person(), Person(name="Ada"), Person(first_name="A", domain="b.example"), Company()]),
]


@pytest.mark.parametrize(("key", "subjects"), SAME, ids=[key or "none" for key, _ in SAME])
def test_keys(key: str, subjects: list[Subject]) -> None:
    """The e-mail address, else the profile, else name and employer, else the provider's id."""
    assert {key_of(subject) for subject in subjects} == {key}


@settings(max_examples=40)
@given(st.text(), st.text())
def test_whatever_stands_in_a_field(left: str, right: str) -> None:
    """A key is made of any text, and it does not depend on blanks around it or on its case."""
    subjects = [
        Person(email=f"{left}@{right}", profile=left, name=right, domain=left),
        Person(email=f" {left}@{right}\t", profile=f" {left}", name=f"{right} ", domain=left),
    ]
    assert len({key_of(subject) for subject in subjects}) == 1
    assert normal_domain(normal_domain(right)) == normal_domain(right)


def test_subjects_hide_what_they_hold() -> None:
    """No representation of a person shows anything of the person."""
    person = Person(email="ada@acme.com", name="Ada", profile="x", domain="acme.com")
    assert repr(person) == "Person()"
