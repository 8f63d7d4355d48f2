"""Numbers from outside: a number within bounds is read, everything else is None."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_pipeline.wire.figures import decimal, lasting, shown, whole

NONSENSE = (
    "",
    " ",
    "-1",
    "+1",
    "1.5",
    "1e3",
    "0x10",
    "\xb2",
    "\u0661",
    "nan",
    "inf",
    "1_000",
    "9" * 300,
)


@given(st.integers(0, 10**12))
def test_whole_numbers_are_read(number: int) -> None:
    """A number up to the bound is returned, with or without blanks around it; a larger one is None."""
    assert whole(f" {number} ", 10**12) == number
    assert whole(str(number + 1), number) is None


@pytest.mark.parametrize("text", [*NONSENSE, "9" * 5_000])
def test_no_whole_number(text: str) -> None:
    """Signs, exponents, other scripts' digits and endless digits are None and raise nothing."""
    assert whole(text, 10**15) is None


@given(st.text(alphabet="0123456789.-+eEx_naif\xb2\u0661 ", max_size=12))
def test_whole_never_raises(text: str) -> None:
    """Any text is a number within the bounds or None."""
    for found in (whole(text, 10**6), decimal(text)):
        assert found is None or 0 <= found < math.inf


def test_decimals() -> None:
    """Seconds may have decimals; other texts that `float` accepts are refused."""
    assert [decimal(text) for text in ("3", "1.5", "0", "2.")] == [3.0, 1.5, 0.0, 2.0]
    assert [decimal(text) for text in NONSENSE if text != "1.5"] == [None] * (len(NONSENSE) - 1)


@pytest.mark.parametrize(
    "value",
    [0, -1, 1e300, math.nan, math.inf, "soon", "-5", None, [], {}, True, 10**400, "9" * 300],
)
def test_no_time_at_all(value: object) -> None:
    """A value outside of the bounds, or not a number, is None."""
    assert lasting(value, least=30, most=1e9) is None


@pytest.mark.parametrize("value", [1800, 1800.0, "1800", " 1800 "])
def test_times_as_numbers_and_texts(value: object) -> None:
    """Seconds may be a JSON number or, with some vendors, a text."""
    assert lasting(value, least=30, most=1e9) == 1800.0


def test_what_is_shown_of_a_text() -> None:
    """A warning quotes a vendor's text shortened, without control or non-ASCII characters."""
    assert shown("\x1b[31mred²") == r"'\x1b[31mred\xb2'"
    assert len(shown("9" * 5_000)) < 70
