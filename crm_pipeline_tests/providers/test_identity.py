"""Whether an answer is about the person who was asked about."""

import pytest

from crm_pipeline.providers import Fact, Person
from crm_pipeline.providers.identity import is_another

ADA = Person(email="ada@old.example", first_name="Ada", last_name="Müller-King")


def said(**values: str) -> list[Fact]:
    return [Fact(name, value) for name, value in values.items()]


@pytest.mark.parametrize(
    ("person", "facts", "expected"),
    [
        (ADA, said(full_name="Bob Stone", email="bob@old.example"), True),
        (ADA, said(first_name="Bob", last_name="Stone"), True),
        (ADA, said(full_name="Bob Stone", email=" ADA@old.example"), False),
        (ADA, said(full_name="Adaline Stone", email="a@new.example"), False),
        (ADA, said(full_name="A. Mueller", email="a@new.example"), False),
        (ADA, said(full_name="Ада Кинг", email="a@new.example"), False),
        (ADA, said(email="bob@new.example", job_title="Clerk"), False),
        (Person(email="ada@old.example"), said(full_name="Bob Stone"), False),
        (
            Person(profile="https://linkedin.com/in/ada", name="Ada King"),
            said(full_name="Bob Stone", profile="www.linkedin.com/in/ada/"),
            False,
        ),
    ],
)
def test_names_decide_where_no_key_is_the_same(
    person: Person, facts: list[Fact], expected: bool
) -> None:
    """Short forms, other spellings and other scripts are not held against an answer, nor is a new address alone."""
    assert is_another(person, facts) == expected
