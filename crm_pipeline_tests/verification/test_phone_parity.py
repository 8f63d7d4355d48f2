"""Numbers are what phonenumbers says, asked for each number or once for its class."""

import random
from collections.abc import Iterator
from typing import Any

import pytest

from crm_pipeline.verification import phone_classes
from crm_pipeline_tests.verification.inputs import REGIONS, different_phones, drawn_phones

COUNT = 20_000
COUNTRIES = 60


def test_numbers_equal_the_librarys() -> None:
    """20,000 numbers of 60 countries, other ones in each run, are the library's; the failure names the seed."""
    seed = random.SystemRandom().randrange(1 << 32)
    regions = random.Random(seed).sample(REGIONS, COUNTRIES)
    differences = list(different_phones(drawn_phones(seed, COUNT, regions)))
    assert differences[:5] == [], f"seed {seed}, {len(differences)} differences"


def test_unknown_country_codes_are_read_again() -> None:
    """Without the plus sign the library may find a prefix for calls abroad: such numbers are no class."""
    digits = (
        "21049600606",
        "99149600606",
        "99124560123",
        "21012345678",
        "99821234567",
        "00149600606",
    )
    pairs = [(f"+{number}", region) for number in digits for region in ("KP", "DE", "")]
    assert list(different_phones(pairs)) == []


def test_a_planted_fault_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The comparison can fail: without what the plans say, numbers of different kinds are in one class."""

    def silent(*_: Any) -> Iterator[Any]:
        return iter(())

    monkeypatch.setattr(phone_classes, "_plan_facts", silent)
    assert any(different_phones(drawn_phones(1, 3_000, ["DE", "US", "FR", "GB"])))
