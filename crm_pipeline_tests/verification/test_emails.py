"""Verdicts on addresses: what may be mailed, and why not."""

import pyarrow as pa
import pytest

from crm_pipeline.verification import judge_emails

# The address as written, its verdict, its reasons but `not_checked`, and what may have been meant.
CASES: dict[str, tuple[str, set[str], str | None]] = {
    "jane.doe@siemens.com": ("unknown", set(), None),
    "jane@gmail.com": ("unknown", {"free_provider"}, None),
    "jane@ymail.com": ("unknown", {"free_provider"}, None),
    "jane@gmx.net": ("unknown", {"free_provider"}, None),
    "jane@gmial.com": ("risky", {"typo", "disposable"}, "jane@gmail.com"),
    "jane@gmail.con": ("risky", {"typo", "unknown_tld"}, "jane@gmail.com"),
    "jane@gmail.co": ("risky", {"typo"}, "jane@gmail.com"),
    "jane@yahoo.cmo": ("risky", {"typo", "unknown_tld"}, "jane@yahoo.com"),
    "jane@outlok.com": ("risky", {"typo"}, "jane@outlook.com"),
    "jane@siemens.con": ("risky", {"unknown_tld"}, None),
    "jane@mailinator.com": ("risky", {"disposable", "free_provider"}, None),
    "jane@a.b.mailinator.com": ("risky", {"disposable"}, None),
    "sales@siemens.com": ("risky", {"role"}, None),
    "Sales+europe@siemens.com": ("risky", {"role"}, None),
    "buchhaltung@siemens.de": ("risky", {"role"}, None),
    "noreply@siemens.com": ("risky", {"role"}, None),
    "jane@example.org": ("risky", {"placeholder"}, None),
    "none@none.com": ("risky", {"placeholder"}, None),
    "asdf@asdf.com": ("risky", {"placeholder"}, None),
    "elon@x.com": ("unknown", set(), None),
    "jane@\u0430\u0440\u0440\u04cf\u0435.com": ("risky", {"homograph"}, None),
    "jane@\u0430pple.com": ("risky", {"homograph"}, None),
    "jane@b\u00fccher.de": ("unknown", set(), None),
    "jane@\u043f\u043e\u0447\u0442\u0430.\u0440\u0444": ("unknown", set(), None),
    "jane@\u65e5\u672c\u30c6\u30ec\u30d3.jp": ("unknown", set(), None),
    "jane@printer.local": ("undeliverable", {"special_use"}, None),
    "jane@x.test": ("undeliverable", {"special_use"}, None),
    "a@b": ("undeliverable", {"bad_syntax"}, None),
    '"a b"@c.org': ("undeliverable", {"bad_syntax"}, None),
    "jane@@x.org": ("undeliverable", {"bad_syntax"}, None),
    "jane@x.org.": ("undeliverable", {"bad_syntax"}, None),
    "jane..doe@x.org": ("undeliverable", {"bad_syntax"}, None),
    "jane@[127.0.0.1]": ("undeliverable", {"bad_syntax"}, None),
    "n/a": ("undeliverable", {"bad_syntax"}, None),
    "-": ("undeliverable", {"bad_syntax"}, None),
    "": ("undeliverable", {"bad_syntax"}, None),
    "\x00": ("undeliverable", {"bad_syntax"}, None),
    "jane\x00@x.org": ("undeliverable", {"bad_syntax"}, None),
    "jane@x\u202e.org": ("undeliverable", {"bad_syntax"}, None),
    "x" * 10_000 + "@x.org": ("undeliverable", {"bad_syntax"}, None),
    "\U0001f600@x.org": ("unknown", set(), None),
    "j\ufffdrg@x.org": ("undeliverable", {"damaged", "not_checked"}, None),
}


@pytest.fixture(scope="module")
def judged() -> dict[str, dict[str, object]]:
    """All cases in one column, as a stage has them."""
    rows = judge_emails(pa.array(list(CASES))).to_pylist()
    return {row["value"]: row for row in rows}


@pytest.mark.parametrize("value", CASES, ids=lambda value: ascii(value)[:40])
def test_an_address_has_its_verdict(value: str, judged: dict[str, dict[str, object]]) -> None:
    """Never a crash, never a guess, and offline never `deliverable`."""
    verdict, reasons, suggestion = CASES[value]
    row = judged[value]
    is_bad = bool(reasons & {"bad_syntax", "special_use"})
    checked = set() if is_bad else {"not_checked"}
    assert (row["verdict"], set(row["reasons"]), row["suggestion"]) == (  # type: ignore[call-overload]
        verdict,
        reasons | checked,
        suggestion,
    )
    assert row["method"] == "offline"
    assert (row["email_normalized"] is None) is is_bad


def test_forms_of_an_address() -> None:
    """Normal form, ASCII form and domain are the library's; only the match key folds more."""
    values = ["INFO@B\u00dcCHER.de", "J.Doe+crm@GoogleMail.com", "J\u00f6rg@x.org", "J.Doe@x.org"]
    rows = judge_emails(pa.array(values)).select(
        ["email_normalized", "email_ascii", "domain", "match_key"]
    )
    assert [tuple(row.values()) for row in rows.to_pylist()] == [
        (
            "info@b\u00fccher.de",
            "info@xn--bcher-kva.de",
            "xn--bcher-kva.de",
            "info@xn--bcher-kva.de",
        ),
        (
            "J.Doe+crm@googlemail.com",
            "J.Doe+crm@googlemail.com",
            "googlemail.com",
            "jdoe@gmail.com",
        ),
        ("J\u00f6rg@x.org", None, "x.org", "j\u00f6rg@x.org"),
        ("J.Doe@x.org", "J.Doe@x.org", "x.org", "j.doe@x.org"),
    ]


def test_several_addresses_in_one_field() -> None:
    """Each has a row with its place; a null has none, in chunks as in one array."""
    values = pa.chunked_array([["Jane <jane@x.org>; n/a@"], [None, "bob@y.org"]])
    rows = judge_emails(values).select(["position", "address", "verdict"]).to_pylist()
    assert [tuple(row.values()) for row in rows] == [
        (0, "jane@x.org", "unknown"),
        (1, "n/a@", "undeliverable"),
        (0, "bob@y.org", "unknown"),
    ]


def test_bytes_that_are_no_text() -> None:
    """A lone surrogate, which some CRMs let through, is replaced; nothing breaks."""
    surrogate = pa.array([b"jane\xed\xa0\x80@x.org", b"bob@y.org"]).view(pa.string())
    rows = judge_emails(surrogate).to_pylist()
    assert [row["verdict"] for row in rows] == ["undeliverable", "unknown"]


def test_no_values() -> None:
    """An empty column has an empty table with all columns, and so has one of nulls."""
    assert judge_emails(pa.array([], pa.string())).num_rows == 0
    nothing = judge_emails(pa.array([None], pa.string()))
    assert nothing.schema == judge_emails(pa.array(["jane@x.org"])).schema
    assert nothing.num_rows == 0
