import pickle

import pytest

from crm_pipeline.kernel.errors import CrmError, Rejected
from crm_pipeline.kernel.text import on_one_line, printable, shortened, vendor_text

HOSTILE = [
    "\x1b[31m",
    "\x1b]8;;file:///etc/passwd\x07",
    "\x07",
    "\x08",
    "\r",
    "\x00",
    "\x7f",
    "\x9b31m",  # the escape of eight-bit terminals
    "\u202e",
    "\u2066",
    "\u061c",
    "\u2028",
    "\ud83d",
]


@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
def test_control_characters_are_written_out(text: str) -> None:
    """Characters that control a terminal, change the direction of text or end a line are written out."""
    shown = printable(f"a{text}b")
    assert shown.isprintable()
    assert shown.startswith("a\\")
    assert shown.endswith("b")
    assert printable(shown) == shown


@pytest.mark.parametrize("text", ["", "plain", "Zoë Łukasz 漢字 😀", "שלום \u200f!", "a\tb\nc"])
def test_other_texts_stay(text: str) -> None:
    """Texts of all languages stay unchanged, tabs and line ends included."""
    assert printable(text) == text


def test_one_line() -> None:
    """A foreign text cannot add a line."""
    assert on_one_line("refused\n  error: \x1b[1mpay\r\nhere\u2028now") == (
        "refused error: \\x1b[1mpay here now"
    )


def test_what_a_vendor_says_is_cut() -> None:
    """A vendor's text is one line, without secrets, and never longer than allowed."""
    assert vendor_text(None) == ""
    assert vendor_text({"code": 7}) == "{'code': 7}"
    assert vendor_text("token=hush-hush is\nbad") == "token=*** is bad"
    long = vendor_text("no\x1b" * 10_000_000, 50)
    assert len(long) == 50
    assert long.endswith("…")
    assert shortened("four", 4) == "four"


def test_errors_are_fit_to_be_shown() -> None:
    """No error's text controls a terminal, and a vendor's text is bounded."""
    error = CrmError("a\x1b[2Jb\nc", cure="do\x07")
    assert (error.message, error.cure) == ("a\\x1b[2Jb\nc", "do\\x07")
    assert str(error) == "a\\x1b[2Jb\nc. do\\x07"
    refused = Rejected("x" * 1_000_000, code="y" * 1_000_000, status=400)
    assert len(str(refused)) == 2_000
    assert len(refused.code) == 100
    copied = pickle.loads(pickle.dumps(refused))
    assert (str(copied), copied.code) == (str(refused), refused.code)
