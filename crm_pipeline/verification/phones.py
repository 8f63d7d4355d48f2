"""Verdicts on telephone numbers from their text and from numbering plans: what can be dialled, and why not.

Nobody is called: a number that its plan has may still be dead, which is why its verdict is `unknown`.
"""

from collections.abc import Mapping

import numpy as np
import phonenumbers
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from crm_pipeline.verification.numbering_plans import known_regions
from crm_pipeline.verification.parts import readable
from crm_pipeline.verification.phone_library import parsed_numbers
from crm_pipeline.verification.phone_texts import numbers_of
from crm_pipeline.verification.reasons import Flags, column, flagged, listed, no_flags, verdicts
from crm_pipeline.verification.vocabulary import PHONE_RULE, PhoneReason, PhoneType

_REPEATED = "|".join(f"{digit}{{5,}}" for digit in range(1, 10))
_COUNTED = "0?1234567(?:8(?:90?)?)?|0?987654321?0?"
_PLACEHOLDER = rf"^(?:0{{3,}}|{_REPEATED}|{_COUNTED})$"
# Kept free for films and books: NANP 555-0100 to 0199, and Ofcom's numbers for drama.
_FICTION = (
    r"^\+1(?:[2-9]\d\d)?55501\d\d$|^\+44(?:2079460\d{3}|1632960\d{3}|7700900\d{3}|9098790\d{3}"
    r"|3069990\d{3}|1(?:13|14|15|16|17|18|21|31|41|51|61)4960\d{3}|1914980\d{3}|2896496\d{3}|2920180\d{3})$"
)
# Spaces that typography and Intl.NumberFormat write between digits, and characters that nobody sees. The library
# knows few of the former, and takes the latter for the end of a number.
_SPACES = r"[\x{1680}\x{2000}-\x{200a}\x{202f}\x{205f}]"
_UNSEEN = r"[\x00-\x08\x0e-\x1f\x7f-\x{84}\x{86}-\x{9f}\x{ad}\x{200b}-\x{200f}\x{202a}-\x{202e}\x{2060}-\x{206f}\x{feff}]"
_NOT_USUAL = r"[^\t-\r -~]"
_LETTER_BY_DIGIT = r"[0-9]-?[A-Za-z]|[A-Za-z]-?[0-9]"
_THREE_LETTERS = "[A-Za-z].*[A-Za-z].*[A-Za-z]"  # the fewest that the library takes for digits
_WRITTEN_EXTENSION = r"(?i)[\s,;(]*(?:tel:|;?ext(?:\.|n\.?|ension)?|xtn\.?|x|int|anexo|durchwahl|dw)[.:=\s]*([0-9]{1,20})\W*$"


def judge_phones(
    values: pa.Array | pa.ChunkedArray, regions: pa.Array | pa.ChunkedArray
) -> pa.Table:
    """Return a verdict on each number of each value.

    Args:
        values: texts, each a distinct pair with its region; a field may hold several numbers. A null has no row, any
            other value at least one.
        regions: ISO 3166 code of the country that a number without a country code is of; null where none is known.

    Returns:
        value, region, position, number as written, phone_e164, extension, phone_type, phone_country, verdict and
        reasons, in the order of the values.

    Raises:
        ValueError: there are not as many regions as values.
    """
    if len(values) != len(regions):
        raise ValueError(f"Each number needs a region: {len(values)} and {len(regions)} came.")
    texts, countries = readable(values), readable(regions)
    parts = numbers_of(texts)
    region = parts.of(countries)
    supported = pc.if_else(pc.is_in(region, value_set=known_regions()), region, "")
    seen = _seen(parts.text)
    numbers = parsed_numbers(seen, supported)
    flags = _judged(seen, supported, numbers)
    return pa.table(
        {
            "value": parts.of(texts),
            "region": region,
            "position": pa.array(parts.position),
            "number": parts.text,
            "phone_e164": numbers["e164"],
            "extension": numbers["extension"],
            "phone_type": numbers["type"],
            "phone_country": numbers["country"],
            "verdict": verdicts(flags, PHONE_RULE),
            "reasons": listed(flags, PHONE_RULE),
        }
    )


def with_shared(judged: pa.Table, is_shared: pa.Array | pa.ChunkedArray) -> pa.Table:
    """Return verdicts to which the reason `shared` is added, or from which it is taken.

    Args:
        judged: what `judge_phones` returned, or rows of it.
        is_shared: whether very many records have the number; the caller has counted them.
    """
    flags = flagged(judged["reasons"], PHONE_RULE)
    flags[:, column(PhoneReason.SHARED, PHONE_RULE)] = np.asarray(pc.fill_null(is_shared, False))  # noqa: FBT003
    changed = {"verdict": verdicts(flags, PHONE_RULE), "reasons": listed(flags, PHONE_RULE)}
    for name, values in changed.items():
        judged = judged.set_column(judged.schema.get_field_index(name), name, values)
    return judged


def _seen(texts: pa.StringArray) -> pa.StringArray:
    """Return numbers as a reader sees them: any space as a blank, without characters that show nothing."""
    is_odd = pc.match_substring_regex(texts, _NOT_USUAL)
    if not pc.any(is_odd).as_py():
        return texts
    odd = pc.replace_substring_regex(texts.filter(is_odd), _SPACES, " ")
    return pc.replace_with_mask(texts, is_odd, pc.replace_substring_regex(odd, _UNSEEN, ""))


def _digits(texts: pa.StringArray) -> pa.StringArray:
    """Return the digits of numbers, those of all scripts as ASCII."""
    digits = pc.replace_substring_regex(texts, r"[^0-9]", "")
    if pc.all(pc.string_is_ascii(texts)).as_py():
        return digits
    foreign = pc.match_substring_regex(texts, r"[^\P{Nd}0-9]")
    read = [phonenumbers.normalize_digits_only(text) for text in texts.filter(foreign).to_pylist()]
    return pc.replace_with_mask(digits, foreign, pa.array(read, pa.string()))


def _judged(texts: pa.StringArray, regions: pa.StringArray, numbers: pa.Table) -> Flags:
    """Return the reasons that hold for each number."""
    flags = no_flags(len(numbers), PHONE_RULE)
    problem = numbers["problem"].combine_chunks()
    for reason in PHONE_RULE:
        flags[:, column(reason, PHONE_RULE)] = _true(pc.equal(problem, str(reason)))
    digits = _digits(texts)
    national = pc.coalesce(numbers["national"].combine_chunks(), digits)
    country = numbers["country"].combine_chunks()
    is_abroad = pc.and_(pc.not_equal(country, regions), pc.not_equal(country, "001"))
    # Of toll-free numbers in North America hardly any is kept for fiction.
    is_free = _true(pc.equal(numbers["type"], str(PhoneType.TOLL_FREE)))
    found: Mapping[PhoneReason, NDArray[np.bool_]] = {
        PhoneReason.PLACEHOLDER: _matches(national, _PLACEHOLDER) | _matches(digits, _PLACEHOLDER),
        PhoneReason.FICTION: _matches(numbers["e164"].combine_chunks(), _FICTION) & ~is_free,
        PhoneReason.LETTERS: _have_letters(texts),
        PhoneReason.PREMIUM_RATE: _true(pc.equal(numbers["type"], str(PhoneType.PREMIUM_RATE))),
        PhoneReason.OTHER_COUNTRY: _true(pc.and_(is_abroad, pc.not_equal(regions, ""))),
        PhoneReason.NOT_CHECKED: np.logical_not(flags.any(axis=1)),
    }
    for reason, holds in found.items():
        flags[:, column(reason, PHONE_RULE)] = holds
    return flags


def _have_letters(texts: pa.StringArray) -> NDArray[np.bool_]:
    """Return which numbers have letters among their digits, other than the mark of an extension."""
    holds = _matches(texts, "[A-Za-z]")
    rows = np.flatnonzero(holds)
    bare = pc.replace_substring_regex(texts.take(pa.array(rows)), _WRITTEN_EXTENSION, "")
    among = _matches(bare, _LETTER_BY_DIGIT)
    maybe_words = np.flatnonzero(~among & _matches(bare, _THREE_LETTERS))
    words = bare.take(pa.array(maybe_words)).to_pylist()
    among[maybe_words] = [phonenumbers.is_alpha_number(text) for text in words]
    holds[rows] = among
    return holds


def _matches(texts: pa.StringArray, pattern: str) -> NDArray[np.bool_]:
    return _true(pc.match_substring_regex(texts, pattern))


def _true(holds: pa.BooleanArray) -> NDArray[np.bool_]:
    return np.array(pc.fill_null(holds, False))  # noqa: FBT003 - the parameter has no other form
