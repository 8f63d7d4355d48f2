"""Which telephone number can be dialled, one number at a time, by the library `phonenumbers`.

What the words mean stands in docs/analysts.md. Numbers for films and books are those of the NANP and of Ofcom.
"""

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import phonenumbers as library
from phonenumbers import NumberParseException, ValidationResult

from crm_pipeline_tests.meaning.rows import Row

_INVALID = {
    *("not_a_number", "unknown_country_code", "too_short", "too_long", "invalid_for_region"),
    "fiction",
}
_RISKY = {"no_area_code", "placeholder", "letters", "shared", "premium_rate"}
_FEWEST_DIGITS = 6
_NOTHING = dict.fromkeys(("phone_e164", "extension", "phone_type", "phone_country"))
_COUNTED = "1234567890"
_DRAMA = (
    *("2079460", "1632960", "7700900", "9098790", "3069990", "1914980", "2896496", "2920180"),
    *(f"1{area}4960" for area in (13, 14, 15, 16, 17, 18, 21, 31, 41, 51, 61)),
)
_ORDER = (
    *("not_a_number", "no_region", "unknown_country_code", "no_area_code", "too_short", "too_long"),
    *("invalid_for_region", "placeholder", "fiction", "letters", "shared", "premium_rate"),
    *("other_country", "not_checked"),
)


def judged_numbers(text: str, region: str) -> list[Row]:
    """Return one row for each number in a text, in order; national ones are read by a region, "" for none."""
    parts = [part.strip() for part in re.split(r"[;,|\n\r\t]+", text)]
    several = [part for part in parts if _count_digits(part) >= _FEWEST_DIGITS]
    numbers = several if len(several) > 1 else [text]
    return [{"number": number, **_judged(number, region)} for number in numbers]


def with_shared(row: Row) -> Row:
    """Return a row about a number that very many people have."""
    return _row({**row}, {*row["reasons"], "shared"})


def _judged(text: str, region: str) -> Row:
    try:
        number = library.parse(text, region or None)
    except NumberParseException as error:
        unread = {*_unread(text, region, error), *_filled(text, None), *_lettered(text)}
        return _row(dict(_NOTHING), unread)
    kind = library.PhoneNumberType.to_string(library.number_type(number)).lower()
    form = {
        "phone_e164": library.format_number(number, library.PhoneNumberFormat.E164),
        "extension": number.extension,
        "phone_type": None if kind == "unknown" else kind,
        "phone_country": library.region_code_for_number(number),
    }
    said = {*_said(text, region, number, form), *_filled(text, number), *_lettered(text)}
    return _row(form, said)


def _row(form: Row, reasons: set[str]) -> Row:
    verdict = "risky" if reasons & _RISKY else "unknown"
    listed = [reason for reason in _ORDER if reason in reasons]
    return {**form, "reasons": listed, "verdict": "invalid" if reasons & _INVALID else verdict}


def _count_digits(text: str) -> int:
    return sum(letter.isdecimal() for letter in text)


def _unread(text: str, region: str, error: NumberParseException) -> Iterator[str]:
    match error.error_type:
        case NumberParseException.INVALID_COUNTRY_CODE:
            has_plus = text.strip().lstrip("(").startswith("+")
            yield "unknown_country_code" if has_plus or region else "no_region"
        case NumberParseException.NOT_A_NUMBER:
            yield "not_a_number"
        case NumberParseException.TOO_LONG:
            yield "too_long"
        case _:
            yield "too_short"


def _said(text: str, region: str, number: Any, form: Row) -> Iterator[str]:
    if library.is_valid_number(number):
        yield "not_checked"
    else:
        match library.is_possible_number_with_reason(number):
            case ValidationResult.TOO_SHORT:
                yield "too_short"
            case ValidationResult.TOO_LONG:
                yield "too_long"
            case ValidationResult.IS_POSSIBLE_LOCAL_ONLY:
                yield "no_area_code"
            case _:
                yield "invalid_for_region"
    national = library.national_significant_number(number)
    is_film = number.country_code == 1 and national[-7:-2] == "55501"
    if (is_film and form["phone_type"] != "toll_free") or (
        number.country_code == 44 and len(national) == 10 and national[:7] in _DRAMA
    ):
        yield "fiction"
    if form["phone_type"] == "premium_rate":
        yield "premium_rate"
    if region and form["phone_country"] not in {region, None, "001"}:
        yield "other_country"


def _lettered(text: str) -> Iterator[str]:
    """Say whether letters stand among the digits; those before an extension do not."""
    bare = re.sub(r"(?i)[\s,;]*(?:ext\.?|x)\s*\d+\s*$", "", text)
    pairs = pairwise(bare.replace("-", ""))
    if library.is_alpha_number(bare) or any(
        {one.isdecimal(), other.isdecimal()} == {True, False}
        and (one + other).isascii()
        and (one.isalpha() or other.isalpha())
        for one, other in pairs
    ):
        yield "letters"


def _filled(text: str, number: Any) -> Iterator[str]:
    """Say whether the digits are one digit over and over, or are counted up."""
    digits = "".join(letter for letter in text if letter.isdecimal())
    national = library.national_significant_number(number) if number else ""
    for listed in filter(None, {digits, national}):
        repeated = len(set(listed)) == 1 and len(listed) >= (3 if listed[0] == "0" else 5)
        counted = len(listed) >= 7 and _COUNTED.startswith(listed)
        if repeated or counted:
            yield "placeholder"
