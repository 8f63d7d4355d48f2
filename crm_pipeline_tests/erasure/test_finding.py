"""What is to be erased is an address or a key, and nothing around it."""

from pathlib import Path

import pytest

from crm_pipeline.erasure.finding import find
from crm_pipeline.kernel.errors import ConfigError
from crm_pipeline_tests.orchestration.projects import make_settings


@pytest.mark.parametrize(
    "target", ['"jane@acme.example"', "Jane <jane@acme.example>", "a@b.example,c@d.example"]
)
def test_what_stands_around_an_address_is_refused(tmp_path: Path, target: str) -> None:
    """Quotes around it would be replaced as a part of it, and break the records that it stands in."""
    with pytest.raises(ConfigError, match="no part of an address") as caught:
        find(make_settings(tmp_path), target)
    assert "Write the address alone" in caught.value.cure


def test_an_apostrophe_is_a_part_of_an_address(tmp_path: Path) -> None:
    """Names such as O'Brien have one."""
    subject = find(make_settings(tmp_path), "O'Brien@acme.example").subject
    assert subject.addresses == {"o'brien@acme.example"}
