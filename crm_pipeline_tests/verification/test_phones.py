"""Verdicts on numbers: what can be dialled, and why not."""

import pyarrow as pa
import pytest

from crm_pipeline.verification import judge_phones, with_shared

_GERMAN, _US = "DE", "US"
# The number as written and its country; number in E.164, type, verdict, and its reasons.
CASES: dict[tuple[str, str | None], tuple[str | None, str | None, str, set[str]]] = {
    ("030 1234567", "DE"): ("+49301234567", "fixed_line", "unknown", {"not_checked"}),
    **dict.fromkeys(
        [
            ("06\u202f12\u202f34\u202f56\u202f78", "FR"),
            ("+33\u20096\u200912345678", "FR"),
            ("\u2066+33 6\u200d12345678\u2069", None),
            ("06\x0012345678", "FR"),
        ],
        ("+33612345678", "mobile", "unknown", {"not_checked"}),
    ),
    # Digits of two scripts are one number: its second half alone would be a placeholder.
    ("\u09e6\u09e9\u09e6 1234567", "DE"): (
        "+49301234567",
        "fixed_line",
        "unknown",
        {"not_checked"},
    ),
    ("\uff10\uff11\uff12\uff13\uff14\uff15\uff16\uff17", None): (
        *(None, None, "risky"),
        {"no_region", "placeholder"},
    ),
    ("0171 1234567", "DE"): ("+491711234567", "mobile", "unknown", {"not_checked"}),
    ("(212) 456-0123", "US"): ("+12124560123", "fixed_line_or_mobile", "unknown", {"not_checked"}),
    ("0800 3301000", "DE"): ("+498003301000", "toll_free", "unknown", {"not_checked"}),
    ("0900 1234567", "DE"): (
        "+499001234567",
        "premium_rate",
        "risky",
        {"premium_rate", "not_checked"},
    ),
    ("+44 20 7946 1234", "DE"): (
        "+442079461234",
        "fixed_line",
        "unknown",
        {"other_country", "not_checked"},
    ),
    ("+1 604 555 1234", "CA"): ("+16045551234", "fixed_line_or_mobile", "unknown", {"not_checked"}),
    ("+800 4321 5678", "DE"): ("+80043215678", "toll_free", "unknown", {"not_checked"}),
    ("030 1234567", None): (None, None, "unknown", {"no_region"}),
    ("030 1234567", "Unknown"): (None, None, "unknown", {"no_region"}),
    ("+49 30 1234567", None): ("+49301234567", "fixed_line", "unknown", {"not_checked"}),
    ("+999 123456", "DE"): (None, None, "invalid", {"unknown_country_code"}),
    ("+1 212 45", "US"): ("+121245", None, "invalid", {"too_short"}),
    ("555-1234", "US"): ("+15551234", None, "risky", {"no_area_code"}),
    ("212 456 01234", "US"): ("+121245601234", None, "invalid", {"too_long"}),
    ("012 345", "US"): ("+1012345", None, "invalid", {"too_short"}),
    ("123 456 7891", "US"): ("+11234567891", None, "invalid", {"invalid_for_region"}),
    ("000-000-0000", "US"): (
        "+10000000000",
        None,
        "invalid",
        {"invalid_for_region", "placeholder"},
    ),
    ("123-456-7890", "US"): (
        "+11234567890",
        None,
        "invalid",
        {"invalid_for_region", "placeholder"},
    ),
    ("1111111", "FR"): ("+331111111", None, "invalid", {"too_short", "placeholder"}),
    ("0000000", None): (None, None, "risky", {"no_region", "placeholder"}),
    ("(212) 555-0123", "US"): (
        *("+12125550123", "fixed_line_or_mobile", "invalid"),
        {"fiction", "not_checked"},
    ),
    ("+44 7700 900123", "GB"): (
        "+447700900123",
        None,
        "invalid",
        {"invalid_for_region", "fiction"},
    ),
    ("1-800-FLOWERS", "US"): ("+18003569377", "toll_free", "risky", {"letters", "not_checked"}),
    ("O30 1234567", "DE"): ("+49301234567", "fixed_line", "risky", {"letters", "not_checked"}),
    ("0171 l234567", "DE"): ("+49171234567", None, "invalid", {"invalid_for_region", "letters"}),
    ("Tel.: 030 1234567 (office)", "DE"): (
        "+49301234567",
        "fixed_line",
        "unknown",
        {"not_checked"},
    ),
    ("4.93012E10", "DE"): (None, None, "invalid", {"not_a_number", "letters"}),
    ("n/a", "DE"): (None, None, "invalid", {"not_a_number"}),
    ("-", None): (None, None, "invalid", {"not_a_number"}),
    ("", "DE"): (None, None, "invalid", {"not_a_number"}),
    ("\x00", "DE"): (None, None, "invalid", {"not_a_number"}),
    ("\u200f+49 30 1234567\u200e", "US"): (
        *("+49301234567", "fixed_line", "unknown"),
        {"other_country", "not_checked"},
    ),
    ("\u0660\u0661\u0660\u0661\u0662\u0663\u0664\u0665\u0666\u0667\u0668", "EG"): (
        *("+201012345678", "mobile", "unknown"),
        {"not_checked"},
    ),
    ("7" * 10_000, "DE"): (None, None, "invalid", {"too_long", "placeholder"}),
}


def _columns(pairs: list[tuple[str, str | None]]) -> tuple[pa.Array, pa.Array]:
    values, regions = zip(*pairs, strict=True)
    return pa.array(values, pa.string()), pa.array(regions, pa.string())


@pytest.fixture(scope="module")
def judged() -> dict[tuple[str, str | None], dict[str, object]]:
    """All cases in one column, as a stage has them."""
    rows = judge_phones(*_columns(list(CASES))).to_pylist()
    return {(row["value"], row["region"]): row for row in rows}


@pytest.mark.parametrize("pair", CASES, ids=lambda pair: ascii(pair)[:40])
def test_a_number_has_its_verdict(
    pair: tuple[str, str | None], judged: dict[tuple[str, str | None], dict[str, object]]
) -> None:
    """Never a crash, never a guess, and offline never `valid`."""
    row = judged[pair]
    reasons = set(row["reasons"])  # type: ignore[call-overload]
    assert (row["phone_e164"], row["phone_type"], row["verdict"], reasons) == CASES[pair]


def test_extensions_are_kept() -> None:
    """As the library reads them, in usual and in unusual forms; they are no letters in the number."""
    forms = ["030 1234567 x12", "030 1234567 ext. 12", "030 1234567;ext=12", "030 1234567, ext 12"]
    rows = judge_phones(*_columns([(form, "DE") for form in forms])).to_pylist()
    assert {(row["phone_e164"], row["extension"]) for row in rows} == {("+49301234567", "12")}
    assert all(row["reasons"] == ["not_checked"] for row in rows)


def test_five_hundred_numbers_in_one_field() -> None:
    """Each has a row; a null has none."""
    field = "; ".join(f"+49 30 {1_000_000 + i}" for i in range(500))
    rows = judge_phones(*_columns([(field, None), ("030 1234567", "DE")]))
    assert rows["position"].to_pylist() == [*range(500), 0]
    assert set(rows["verdict"].to_pylist()) == {"unknown"}
    assert judge_phones(pa.array([None], pa.string()), pa.array(["DE"])).num_rows == 0


def test_bytes_that_are_no_text() -> None:
    """A lone surrogate is replaced, and what stands beside it is read."""
    broken = pa.array([b"030 1234567\xed\xa0\x80"]).view(pa.string())
    assert judge_phones(broken, pa.array(["DE"]))["phone_e164"].to_pylist() == ["+49301234567"]


def test_shared_numbers() -> None:
    """The stage, which can count, adds the reason and takes it away; the verdict follows."""
    rows = judge_phones(*_columns([("030 1234567", "DE"), ("n/a", "DE")]))
    shared = with_shared(rows, pa.array([True, None]))
    assert shared["verdict"].to_pylist() == ["risky", "invalid"]
    assert shared["reasons"].to_pylist() == [["shared", "not_checked"], ["not_a_number"]]
    assert with_shared(shared, pa.array([False, False])) == rows
