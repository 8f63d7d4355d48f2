"""What the docs call missing is missing, and is answered as they say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import requests

from crm_sandbox_tests.fuzzing.vendors import TARGETS

TEXT = (Path(__file__).parents[1] / "docs" / "not-emulated.md").read_text(encoding="utf-8")
_ROW = re.compile(r"\| .+ \| `(\w+) ([^`]+)` \| `(\d+) ([^`]+)` \|")
ROWS = [
    (section.split()[0].lower(), *row.groups())
    for section in TEXT.split("\n## ")[1:]
    for row in _ROW.finditer(section)
]


def test_every_row_is_read() -> None:
    """No row of the tables is passed over."""
    lines = [line for line in TEXT.splitlines() if line.startswith("| ")]
    assert len(ROWS) == len([line for line in lines if not line.startswith("| what")])
    assert {vendor for vendor, *_ in ROWS} == set(TARGETS)


@pytest.mark.parametrize(("vendor", "method", "address", "status", "words"), ROWS)
def test_answers(
    unlimited, vendor: str, method: str, address: str, status: str, words: str
) -> None:
    """The request is answered with the status and the words of the table."""
    path, _, query = address.partition("?")
    headers = TARGETS[vendor].login(unlimited)
    url = f"{unlimited.url}/{vendor}{path}"
    params = dict([query.split("=", 1)]) if query else {}
    response = requests.request(method, url, params=params, headers=headers, timeout=10)
    assert (response.status_code, words in response.text) == (int(status), True), response.text
