"""Figures from outside: what is a number within bounds is read, everything else is none."""

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
    """A number up to the bound comes out as it is, with blanks around it or without; above it there is none."""
    assert whole(f" {number} ", 10**12) == number
    assert whole(str(number + 1), number) is None


@pytest.mark.parametrize("text", [*NONSENSE, "9" * 5_000])
def test_no_whole_number(text: str) -> None:
    """Signs, exponents, other scripts' digits and endless ones are no whole numbers, and no errors."""
    assert whole(text, 10**15) is None


@given(st.text(alphabet="0123456789.-+eEx_naif\xb2\u0661 ", max_size=12))
def test_whole_never_raises(text: str) -> None:
    """Whatever the text, the answer is a number within the bounds or none."""
    for found in (whole(text, 10**6), decimal(text)):
        assert found is None or 0 <= found < math.inf


def test_decimals() -> None:
    """Seconds may have decimals; what `float` takes beyond that is refused."""
    assert [decimal(text) for text in ("3", "1.5", "0", "2.")] == [3.0, 1.5, 0.0, 2.0]
    assert [decimal(text) for text in NONSENSE if text != "1.5"] == [None] * (len(NONSENSE) - 1)


@pytest.mark.parametrize(
    "value",
    [0, -1, 1e300, math.nan, math.inf, "soon", "-5", None, [], {}, True, 10**400, "9" * 300],
)
def test_no_time_at_all(value: object) -> None:
    """What lies outside of the bounds or is no number is no time."""
    assert lasting(value, least=30, most=1e9) is None


@pytest.mark.parametrize("value", [1800, 1800.0, "1800", " 1800 "])
def test_times_as_numbers_and_texts(value: object) -> None:
    """JSON tells seconds as a number, some vendors as text."""
    assert lasting(value, least=30, most=1e9) == 1800.0


def test_what_is_shown_of_a_text() -> None:
    """A warning quotes a text of a vendor shortly, without control signs or foreign ones."""
    assert shown("\x1b[31mred²") == r"'\x1b[31mred\xb2'"
    assert len(shown("9" * 5_000)) < 70
