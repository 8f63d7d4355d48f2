"""Fields with several telephone numbers are taken apart; a field with one goes to the library as it is."""

import pyarrow as pa
import pytest

from crm_pipeline.verification.phone_texts import numbers_of, taken_apart

FIELDS = {
    "+49 30 1234567": ["+49 30 1234567"],
    "030/1234567": ["030/1234567"],
    "030 1234567 / 0171 1234567": ["030 1234567", "0171 1234567"],
    "030/1234567; 0171 1234567": ["030/1234567", "0171 1234567"],
    "Tel. 030 1234567, Fax 030 1234568": ["Tel. 030 1234567", "Fax 030 1234568"],
    "+49 30 123456 +49 30 1234567": ["+49 30 123456", "+49 30 1234567"],
    "030 1234567 oder 0171 1234567": ["030 1234567", "0171 1234567"],
    "212 456 0123, ext 5": ["212 456 0123, ext 5"],
    "212 456 0123, ext 5; 212 456 0124": ["212 456 0123 ext 5", "212 456 0124"],
    "tel:+1-212-456-0123;ext=9": ["tel:+1-212-456-0123;ext=9"],
    "call after 5, 030 1234567": ["call after 5, 030 1234567"],
    "1,234,567": ["1,234,567"],
    "030 1234567 (office)": ["030 1234567"],
    "030 1234567 Büro; 0171 1234567 privat": ["030 1234567", "0171 1234567"],
    "1 800 FLOWERS": ["1 800 FLOWERS"],
    "1 800 555 HELP": ["1 800 555 HELP"],
    "555-1234 (home)": ["555-1234"],
    "4084568908#": ["4084568908"],
    "4084568908#6": ["4084568908#6"],
    "#31# 030 1234567": ["#31# 030 1234567"],
    "4930123456.0": ["4930123456"],
    "4930123456.00": ["4930123456"],
    "3.108207129E9": ["3108207129"],
    "4.93012345678E+11": ["493012345678"],
    "4.93012E+11": ["4.93012E+11"],
    "650 253 0000 Ext. #33": ["650 253 0000 Ext 33"],
    "650 253 0000, ext #33; 650 253 0001": ["650 253 0000 ext 33", "650 253 0001"],
    "650.253.0": ["650.253.0"],
    "6502530000.0; 6502530001.0": ["6502530000", "6502530001"],
    "n/a": ["n/a"],
    "": [""],
    "\uff10\uff13\uff10 1234567\uff1b0171 1234567": ["\uff10\uff13\uff10 1234567", "0171 1234567"],
}


@pytest.mark.parametrize("field", FIELDS)
def test_a_field_is_taken_apart(field: str) -> None:
    """A slash, a comma or a word separates two numbers only where both have the digits of one."""
    assert taken_apart(field) == FIELDS[field]


def test_columns_and_single_fields_agree() -> None:
    """A column has the parts of its fields: what looks like one number at first sight is one."""
    parts = numbers_of(pa.array([*FIELDS, None]))
    expected = [(row, text) for row, field in enumerate(FIELDS) for text in FIELDS[field]]
    assert list(zip(parts.field, parts.text.to_pylist(), strict=True)) == expected


def test_five_hundred_numbers_in_one_field() -> None:
    """As many as 500 are looked at; more would make a field of 10 kB a record of its own."""
    field = "; ".join(f"+49 30 {1_000_000 + i}" for i in range(800))
    assert len(taken_apart(field)) == 500


def test_fewer_numbers_of_a_very_long_field() -> None:
    """Each number has a row with the whole field: of a field of a megabyte they would be half a gigabyte."""
    assert len(taken_apart("+49 30 1234567; " * 70_000)) == 8
