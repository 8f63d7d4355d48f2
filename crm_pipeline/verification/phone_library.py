"""What telephone numbers are, as the library `phonenumbers` decides it.

The library is asked once for each class of numbers (see `phone_classes`); its answer holds for all of the class.
"""

import re
from typing import NamedTuple

import numpy as np
import phonenumbers
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from phonenumbers import NumberParseException, PhoneNumberType, ValidationResult

from crm_pipeline.verification.phone_classes import Classified, classified
from crm_pipeline.verification.vocabulary import PhoneReason, PhoneType

_TYPES = {
    PhoneNumberType.FIXED_LINE: PhoneType.FIXED_LINE,
    PhoneNumberType.MOBILE: PhoneType.MOBILE,
    PhoneNumberType.FIXED_LINE_OR_MOBILE: PhoneType.FIXED_LINE_OR_MOBILE,
    PhoneNumberType.TOLL_FREE: PhoneType.TOLL_FREE,
    PhoneNumberType.PREMIUM_RATE: PhoneType.PREMIUM_RATE,
    PhoneNumberType.SHARED_COST: PhoneType.SHARED_COST,
    PhoneNumberType.VOIP: PhoneType.VOIP,
    PhoneNumberType.PERSONAL_NUMBER: PhoneType.PERSONAL_NUMBER,
    PhoneNumberType.PAGER: PhoneType.PAGER,
    PhoneNumberType.UAN: PhoneType.UAN,
    PhoneNumberType.VOICEMAIL: PhoneType.VOICEMAIL,
}
_UNPARSED = {
    NumberParseException.NOT_A_NUMBER: PhoneReason.NOT_A_NUMBER,
    NumberParseException.TOO_SHORT_AFTER_IDD: PhoneReason.TOO_SHORT,
    NumberParseException.TOO_SHORT_NSN: PhoneReason.TOO_SHORT,
    NumberParseException.TOO_LONG: PhoneReason.TOO_LONG,
}
_IMPOSSIBLE = {
    ValidationResult.TOO_SHORT: PhoneReason.TOO_SHORT,
    ValidationResult.IS_POSSIBLE_LOCAL_ONLY: PhoneReason.NO_AREA_CODE,
    ValidationResult.TOO_LONG: PhoneReason.TOO_LONG,
}


# The exponent of a number whose last digits were rounded away; the library takes its letter for a digit.
_ROUNDED = re.compile(r"\s*\+?\d[.,]?\d*[Ee]\+?\d{1,2}\s*", re.ASCII)


class ParsedNumber(NamedTuple):
    """What the library says of one number; None where it says nothing.

    Attributes:
        e164: the number as all networks dial it.
        national: its part behind the country calling code.
        extension: what is dialled behind the number.
        country: the region that the number is of, ISO 3166; "001" for those of no country.
        type: a `PhoneType`.
        problem: the `PhoneReason` for which it cannot be dialled from everywhere.
    """

    e164: str | None
    national: str | None
    extension: str | None
    country: str | None
    type: str | None
    problem: str | None


def parsed_number(text: str, region: str = "") -> ParsedNumber:
    """Return what the library says of one number.

    Args:
        text: as written.
        region: ISO 3166 code of the country that numbers without a country code are of; "" where none is known.
    """
    if _ROUNDED.fullmatch(text):
        return ParsedNumber(None, None, None, None, None, PhoneReason.NOT_A_NUMBER)
    try:
        number = phonenumbers.parse(text, region or None)
    except NumberParseException as error:
        return ParsedNumber(None, None, None, None, None, _unparsed(error))
    problem: PhoneReason | None = None
    if not phonenumbers.is_valid_number(number):
        reason = phonenumbers.is_possible_number_with_reason(number)
        problem = _IMPOSSIBLE.get(reason, PhoneReason.INVALID_FOR_REGION)
    e164 = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    return ParsedNumber(
        e164,
        e164[len(f"+{number.country_code}") :],
        number.extension,
        phonenumbers.region_code_for_number(number),
        _TYPES.get(phonenumbers.number_type(number)),
        problem,
    )


def _unparsed(error: NumberParseException) -> PhoneReason:
    if error.error_type != NumberParseException.INVALID_COUNTRY_CODE:
        return _UNPARSED[error.error_type]
    # The library has one type for both; its text tells them apart.
    has_no_region = "default region" in str(error)
    return PhoneReason.NO_REGION if has_no_region else PhoneReason.UNKNOWN_COUNTRY_CODE


def parsed_numbers(texts: pa.StringArray, regions: pa.StringArray) -> pa.Table:
    """Return what `parsed_number` says of each number, one row each, in order.

    Args:
        texts: distinct pairs with `regions`, without nulls: a class is asked once, an odd text each time.
        regions: as for `parsed_number`, of those that the library supports.
    """
    classes = classified(texts, regions)
    answers = _asked(texts, regions, classes.first)
    number = pa.array(classes.number)
    code, national, alone = _numbers(classes, answers)
    columns = {
        name: pa.array([getattr(answer, name) for answer in answers], pa.string()).take(number)
        for name in ("country", "type", "problem")
    }
    e164 = pc.binary_join_element_wise(code, national, "")
    nothing = pa.scalar(None, pa.string())
    extension = pc.if_else(pc.is_valid(e164), classes.extension, nothing)
    columns |= {"e164": e164, "national": national, "extension": extension}
    return _replaced(columns, alone, _asked(texts, regions, alone))


def _asked(
    texts: pa.StringArray, regions: pa.StringArray, rows: NDArray[np.int64]
) -> list[ParsedNumber]:
    """Return what the library says of some rows."""
    chosen = pa.array(rows)
    pairs = zip(texts.take(chosen).to_pylist(), regions.take(chosen).to_pylist(), strict=True)
    return [parsed_number(*pair) for pair in pairs]


def _numbers(
    classes: Classified, answers: list[ParsedNumber]
) -> tuple[pa.StringArray, pa.StringArray, NDArray[np.int64]]:
    """Return country codes and national parts of all rows, and which rows have to be asked one by one."""
    digits = classes.digits.take(pa.array(classes.first)).to_pylist()
    splits = [_split(answer, own) for answer, own in zip(answers, digits, strict=True)]
    codes = pa.array([code for code, _ in splits], pa.string())
    size = np.array([length for _, length in splits], np.int64)[classes.number]
    national = pa.nulls(len(size), pa.string())
    for length in np.unique(size[size > 0]):
        mask = pa.array(size == length)
        tail = pc.utf8_slice_codeunits(classes.digits.filter(mask), -int(length))
        national = pc.replace_with_mask(national, mask, tail)
    return codes.take(pa.array(classes.number)), national, np.flatnonzero(size < 0)


def _split(answer: ParsedNumber, digits: str | None) -> tuple[str | None, int]:
    """Return the country code with its plus and the length of the rest, where that ends the digits; else -1."""
    if digits is None:
        return None, -1
    if answer.e164 is None or answer.national is None:
        return None, 0
    code = answer.e164.removesuffix(answer.national)
    return (code, len(answer.national)) if digits.endswith(answer.national) else (None, -1)


def _replaced(
    columns: dict[str, pa.StringArray], rows: NDArray[np.int64], answers: list[ParsedNumber]
) -> pa.Table:
    """Return a table in which some rows hold their own answers."""
    mask = np.zeros(len(columns["e164"]), np.bool_)
    mask[rows] = True
    return pa.table(
        {
            name: pc.replace_with_mask(
                columns[name],
                pa.array(mask),
                pa.array([getattr(answer, name) for answer in answers], pa.string()),
            )
            for name in ParsedNumber._fields
        }
    )
