"""Numbers as SQL reads them, compared with Python's decimal."""

import decimal
import random
import re
from decimal import Decimal

import duckdb
import pyarrow as pa
import pytest

from crm_pipeline.model.numbers import number

NUMBER = re.compile(r"\s*[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?\s*")
ODD = (
    *(
        "1_000",
        "1e-7",
        "2.5E3",
        "100e-7",
        "0e-9",
        "1e-400",
        "-1.5e-399",
        "0e-400",
        "1e999",
        "nan",
        "inf",
        ".",
        "-",
        "e5",
        "1;2",
        "0x1F",
    ),
    *("9007199254740993", "9007199254740993.5", "9223372036854775807", "9223372036854775808"),
    *("-9223372036854775808", "1e18", "1e17", "99999999999999999.9", "9.5e17", "-.5", "5."),
)


def made(choose: random.Random) -> str:
    """Make up a number as programs write them."""
    whole = "".join(choose.choices("0123456789", k=choose.choice([0, 1, 2, 5, 12, 18, 26, 40])))
    behind = "".join(choose.choices("00000123456789", k=choose.choice([0, 1, 2, 6, 7, 12, 13, 20])))
    text = (
        choose.choice(["", "", "-", "+", " "])
        + whole
        + (f".{behind}" if choose.random() < 0.7 else "")
    )
    if choose.random() < 0.4:
        text += (
            choose.choice("eE")
            + choose.choice(["", "-", "+"])
            + str(choose.choice([0, 1, 5, 7, 12, 20]))
        )
    return text


def exact(text: str, digits: int, scale: int) -> Decimal | None:
    """Return the number that a text is, where a DECIMAL holds all of it."""
    if not NUMBER.fullmatch(text):
        return None
    value = Decimal(text.strip())
    whole = value.scaleb(scale)
    is_held = whole == whole.to_integral_value() and abs(whole) < 10**digits
    return value if is_held else None


@pytest.mark.parametrize(
    ("kind", "digits", "scale"),
    [("DECIMAL(24,6)", 24, 6), ("DECIMAL(38,12)", 38, 12), ("BIGINT", 19, 0)],
)
def test_a_number_is_exact_or_null(kind: str, digits: int, scale: int) -> None:
    """No number is rounded, whatever its length and exponent; those of usual length are all read."""
    choose = random.Random(12)
    texts = [*ODD, *(made(choose) for _ in range(20_000))]
    with duckdb.connect() as database, decimal.localcontext(prec=200):
        database.register("given", pa.table({"t": pa.array(texts, pa.string())}))
        for text, value in database.execute(f"SELECT t, {number('t', kind)} FROM given").fetchall():
            expected = exact(text, digits, scale)
            if kind == "BIGINT" and expected is not None and not -(2**63) <= expected < 2**63:
                expected = None
            if value is None:
                # DuckDB takes no more digits than 38 where there is an exponent, be they zeros.
                assert expected is None or len(text) > 38, text
            else:
                assert value == expected, text


def test_a_double_is_the_nearest_to_its_text() -> None:
    """A double is the one that Python reads, even if it was written with many places; whole numbers keep every digit."""
    texts = ["0.1", "1e300", "123456789.12345678", "-1.7976931348623157e308", "1e999", "nan", "1_0"]
    many = [
        "0.200000000000000011102230246251565404236316680908203125",
        "12345678901234567890",
        "100000000000000000000",
        "0.10000000000000000000",
    ]
    with duckdb.connect() as database:
        sql = f"SELECT {number('$t::VARCHAR', 'DOUBLE')}"
        found = [database.execute(sql, {"t": text}).fetchall()[0][0] for text in (*texts, *many)]
    assert found == [
        0.1,
        1e300,
        123456789.12345678,
        -1.7976931348623157e308,
        None,
        None,
        None,
        0.2,
        None,
        1e20,
        0.1,
    ]


def test_a_double_keeps_the_digits_of_whole_numbers() -> None:
    """A whole number is the one whose shortest text has its digits, else NULL: ids of 16 digits are not rounded."""
    choose = random.Random(5)
    texts = ["9007199254740993", "9007199254740993.0", "12345678901234567", "12345678901234567000"]
    for _ in range(3_000):
        digits = str(choose.randrange(1, 10 ** choose.choice([14, 16, 17, 20])))
        noughts = choose.choice([0, 0, 3, 6])
        texts.append(choose.choice(["", "-"]) + digits + "0" * noughts + choose.choice(["", ".0"]))
    with duckdb.connect() as database:
        database.register("given", pa.table({"t": texts}))
        for text, value in database.execute(
            f"SELECT t, {number('t', 'DOUBLE')} FROM given"
        ).fetchall():
            is_kept = Decimal(repr(float(text))) == Decimal(text)
            assert value == (float(text) if is_kept else None), text
