"""Syntax and normal form are those of email-validator, whichever way an address takes."""

import random

import pytest

from crm_pipeline.verification import email_syntax
from crm_pipeline_tests.verification.inputs import different_emails, drawn_emails

COUNT = 20_000


def test_syntax_equals_the_librarys() -> None:
    """20,000 addresses, other ones in each run, have the library's normal forms; the failure names the seed."""
    seed = random.SystemRandom().randrange(1 << 32)
    differences = list(different_emails(drawn_emails(seed, COUNT)))
    assert differences[:5] == [], f"seed {seed}, {len(differences)} differences"


PLANTED = {
    "a rule for plain addresses": ("_PLAIN", r"^[^@\s]+@[a-z.]+$"),
    "what is wrong at first sight": ("_EMPTY_PART", r"^[.@]|\.\.|\.@|@\.|[.@-]$|x"),
    "reserved names": ("_SPECIAL", r"\.never$"),
    "names of RFC 2142": ("_SERVICE", r"^never$"),
    "Punycode": ("_PUNYCODE", r"never"),
    "length": ("_MOST_BYTES", 300),
}


@pytest.mark.parametrize("case", PLANTED)
def test_a_planted_fault_is_found(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The comparison can fail: each expression that decides without the library is needed as it is."""
    name, value = PLANTED[case]
    monkeypatch.setattr(email_syntax, name, value)
    assert any(different_emails(drawn_emails(1, 3_000)))
