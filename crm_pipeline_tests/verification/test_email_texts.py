"""Fields as people fill them are taken apart into addresses, and nothing is guessed."""

import time

import pyarrow as pa
import pytest

from crm_pipeline.verification.email_texts import addresses_of, taken_apart

FIELDS = {
    "jane@x.org": ["jane@x.org"],
    "Jane Doe <jane@x.org>": ["jane@x.org"],
    "jane@x.org; bob@y.org": ["jane@x.org", "bob@y.org"],
    "jane@x.org, bob@y.org | eve@z.org": ["jane@x.org", "bob@y.org", "eve@z.org"],
    "jane@x.org\nbob@y.org": ["jane@x.org", "bob@y.org"],
    '"Doe, Jane" <jane@x.org>, "a b"@c.org': ["jane@x.org", '"a b"@c.org'],
    '"jane@x.org"': ["jane@x.org"],
    "'jane@x.org'": ["jane@x.org"],
    "o'neil@x.org": ["o'neil@x.org"],
    "jane@x.org (office)": ["jane@x.org"],
    "<jane@x.org": ["jane@x.org"],
    "mailto:jane@x.org?subject=hello": ["jane@x.org"],
    "Jane <MAILTO:jane@x.org>": ["jane@x.org"],
    "o&#39;neil@x.org": ["o'neil@x.org"],
    "R&amp;D &lt;r&amp;d@x.org&gt;;bob@y.org": ["r&d@x.org", "bob@y.org"],
    "jane@x.org&nbsp;": ["jane@x.org"],
    "h&reg@x.org;bob@y.org": ["h&reg@x.org", "bob@y.org"],
    "jane @ x.org": ["jane@x.org"],
    "Jane Doe @ x.org": ["@"],
    "\u200f\ufeff jane@x.org \u200e": ["jane@x.org"],
    "jane@x.org\u200e;\u200ebob@y.org": ["jane@x.org", "bob@y.org"],
    "Jane <\u202ajane@x.org\u202c>": ["jane@x.org"],
    "\u2066'jane@x.org'\u2069, \u2066[bob@y.org]\u2069": ["jane@x.org", "bob@y.org"],
    "\uff4a\uff41\uff4e\uff45\uff20\uff58\uff0e\uff4f\uff52\uff47": ["jane@x.org"],
    "jane@b\u00fccher\u3002de": ["jane@b\u00fccher.de"],
    "n/a": ["n/a"],
    "call me": ["call me"],
    "": [""],
    "   ": [""],
    "a@@b.org": ["a@@b.org"],
}


@pytest.mark.parametrize("field", FIELDS)
def test_a_field_is_taken_apart(field: str) -> None:
    """Display names, several addresses, mailto, HTML, full width and invisible characters; words stay words."""
    assert taken_apart(field) == FIELDS[field]


def test_columns_and_single_fields_agree() -> None:
    """A column has the parts of its fields in order, with the field that each is from; a null has none."""
    fields = [*FIELDS, None]
    parts = addresses_of(pa.array(fields))
    expected = [
        (row, at, text) for row, f in enumerate(FIELDS) for at, text in enumerate(FIELDS[f])
    ]
    assert list(zip(parts.field, parts.position, parts.text.to_pylist(), strict=True)) == expected


HOSTILE = {
    "brackets": "(" * 10_000 + "@",
    "quotes": '"' * 9_999 + "@",
    "escapes": '"\\' * 5_000 + "@",
    "angles": "<" * 9_000 + "@",
    "blanks": " " * 10_000 + "@",
    "words": "a @ " * 2_500,
    "mailto": "mailto:" * 1_500 + "@",
    "many": "jane@x.org;" * 1_000,
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_field_takes_no_time(case: str) -> None:
    """Ten kilobytes of one character end in a list of at most 500, within a blink."""
    started_s = time.process_time()
    assert 1 <= len(taken_apart(HOSTILE[case])) <= 500
    assert time.process_time() - started_s < 1.0
