"""Addresses and numbers as they occur, and as they should not: drawn from a seed; and what the libraries say of them."""

import random
import string
from collections.abc import Iterator, Sequence
from typing import Any

import phonenumbers
from email_validator import EmailNotValidError, validate_email
from phonenumbers import NumberParseException, PhoneMetadata

_LETTERS = string.ascii_letters + string.digits
_ODD = "._-+'\"@<>()[]\\,;: \té\u0130\uff0e\u3002\u200f\u202e\u0301ßﬁ\u0661\u0662דא日本.!#$%&*/=?^`{|}~\x00"
_TOPS = (
    *("com", "org", "co.uk", "test", "local", "arpa", "museum", "c0m", "1", "xn--p1ai", "example"),
    *("onion", "x", "de", "COM", "Local", "invalid", "localhost"),
)
_LOCALS = ("info", "INFO", "Sales", "postmaster", "a.b", "john.doe", "o'neil", "x", "Www", "uucp")
_CODED = (
    "xn--bcher-kva.",
    "ab--cd.",
    "a-.",
    "-a.",
    "bücher.",
    "\uff11.",
    "xn--a.",
    "a_b.",
    "\u0430pple.",
)
_DIGITS = string.digits
REGIONS: Sequence[str] = sorted(phonenumbers.SUPPORTED_REGIONS)
_ABROAD = ("810", "0011", "001", "119", "0014", "9", "15", "1", "8", "00", "011", "0")


def drawn_emails(seed: int, count: int) -> list[str]:
    """Return distinct addresses, some plain, most with something odd in them."""
    rng = random.Random(seed)
    texts: dict[str, None] = {}
    while len(texts) < count:
        texts[_email(rng)] = None
    return list(texts)


def _email(rng: random.Random) -> str:
    local = rng.choice(_LOCALS) if rng.random() < 0.2 else _word(rng, 12)
    if rng.random() < 0.03:
        local = _word(rng, 250)
    labels = [
        _word(rng, 10) if rng.random() < 0.95 else _word(rng, 80) for _ in range(rng.randint(1, 3))
    ]
    domain = ".".join([*labels, rng.choice(_TOPS)])
    if rng.random() < 0.05:
        domain = rng.choice(_CODED) + domain
    text = f"{local}@{domain}"
    if rng.random() < 0.5:
        for _ in range(rng.randint(1, 3)):
            at = rng.randint(0, len(text))
            text = text[:at] + rng.choice(_ODD) + text[at + (rng.random() < 0.5) :]
    if rng.random() < 0.02:
        text += "." + ".".join(_word(rng, 60) for _ in range(5)) + ".com"
    return text


def _word(rng: random.Random, longest: int) -> str:
    return "".join(rng.choices(_LETTERS, k=rng.randint(1, longest)))


def library_email(text: str) -> tuple[str | None, str | None, str | None, str | None]:
    """Return what email-validator says: normal form, ASCII form, local part and domain."""
    try:
        address = validate_email(text, check_deliverability=False)
    except EmailNotValidError:
        return None, None, None, None
    return address.normalized, address.ascii_email, address.local_part, address.ascii_domain


def drawn_phones(seed: int, count: int, regions: Sequence[str] = REGIONS) -> list[tuple[str, str]]:
    """Return distinct pairs of a number and a region: examples of the library's with digits changed, and noise."""
    rng = random.Random(seed)
    pairs: dict[tuple[str, str], None] = {}
    while len(pairs) < count:
        pairs[_phone(rng, regions)] = None
    return list(pairs)


def _phone(rng: random.Random, regions: Sequence[str]) -> tuple[str, str]:
    region = rng.choice(regions)
    if rng.random() < 0.6:
        text = _near_example(rng, region)
        if rng.random() < 0.3:
            region = rng.choice([*regions, ""])
    else:
        begin = rng.choice(("", "+", "00", "0", "1", "011"))
        text = begin + "".join(rng.choices(_DIGITS, k=rng.randint(1, 17)))
        region = "" if rng.random() < 0.2 else region
    if rng.random() < 0.3:
        for _ in range(rng.randint(1, 4)):
            at = rng.randint(0, len(text))
            text = text[:at] + rng.choice(" -./()") + text[at:]
    if rng.random() < 0.1:
        text += rng.choice((" x12", "x123456", "ext.5", " ext. 99", " x0", " x"))
    if rng.random() < 0.02:
        at = rng.randint(0, len(text))
        text = text[:at] + rng.choice("lOé\u200f٣+#;\x00") + text[at:]
    return text, region


def _near_example(rng: random.Random, region: str) -> str:
    metadata = PhoneMetadata.metadata_for_region(region)
    assert metadata is not None
    example = phonenumbers.example_number_for_type(region, rng.randint(0, 10))
    example = example or phonenumbers.example_number(region)
    digits = list(phonenumbers.national_significant_number(example) if example else "12345678")
    for _ in range(rng.randint(0, 6)):
        digits[rng.randrange(len(digits))] = rng.choice(_DIGITS)
    if rng.random() < 0.15:
        digits.append(rng.choice(_DIGITS))
    if rng.random() < 0.15:
        digits.pop()
    code, trunk = str(metadata.country_code), metadata.national_prefix or "0"
    begins = ("", "", trunk, f"+{code}", f"+{code}{trunk}", f"00{code}", f"011{code}", code, "+")
    return rng.choice((*begins, rng.choice(_ABROAD), f"+{rng.randint(1, 999)}")) + "".join(digits)


def library_phone(text: str, region: str) -> dict[str, Any]:
    """Return what phonenumbers says of a number."""
    try:
        number = phonenumbers.parse(text, region or None)
    except NumberParseException as error:
        return {"error": error.error_type}
    return {
        "e164": phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164),
        "extension": number.extension,
        "country": phonenumbers.region_code_for_number(number),
        "type": phonenumbers.PhoneNumberType.to_string(phonenumbers.number_type(number)),
        "is_valid": phonenumbers.is_valid_number(number),
        "possible": phonenumbers.is_possible_number_with_reason(number),
    }


def different_emails(texts: list[str]) -> Iterator[str]:
    """Yield where our columns and the library differ, for reading."""
    import pyarrow as pa

    from crm_pipeline.verification import email_syntax

    ours = email_syntax.parsed(pa.array(texts))
    columns = (ours.normalized, ours.ascii, ours.local, ours.domain)
    rows = zip(*(column.to_pylist() for column in columns), strict=True)
    for text, row in zip(texts, rows, strict=True):
        expected = library_email(text)
        if row != expected:
            yield f"{text!r}: {row} instead of {expected}"


def different_phones(pairs: list[tuple[str, str]]) -> Iterator[str]:
    """Yield where our columns and the library differ, for reading."""
    import pyarrow as pa

    from crm_pipeline.verification import phone_library

    texts, regions = (pa.array(column) for column in zip(*pairs, strict=True))
    for pair, row in zip(
        pairs, phone_library.parsed_numbers(texts, regions).to_pylist(), strict=True
    ):
        if problem := _difference(row, library_phone(*pair)):
            yield f"{pair!r}: {problem}: {row}"


_PROBLEMS = {
    phonenumbers.ValidationResult.TOO_SHORT: "too_short",
    phonenumbers.ValidationResult.IS_POSSIBLE_LOCAL_ONLY: "no_area_code",
    phonenumbers.ValidationResult.TOO_LONG: "too_long",
}
_ERRORS = {
    NumberParseException.INVALID_COUNTRY_CODE: ("no_region", "unknown_country_code"),
    NumberParseException.NOT_A_NUMBER: ("not_a_number",),
    NumberParseException.TOO_SHORT_AFTER_IDD: ("too_short",),
    NumberParseException.TOO_SHORT_NSN: ("too_short",),
    NumberParseException.TOO_LONG: ("too_long",),
}


def _difference(row: dict[str, Any], expected: dict[str, Any]) -> str:
    if "error" in expected:
        is_same = row["e164"] is None and row["problem"] in _ERRORS[expected["error"]]
        return "" if is_same else f"the library refuses it ({expected['error']})"
    for name in ("e164", "extension", "country"):
        if row[name] != expected[name]:
            return f"{name} should be {expected[name]!r}"
    if (row["type"] or "unknown").upper() != expected["type"]:
        return f"type should be {expected['type']}"
    problem = (
        None if expected["is_valid"] else _PROBLEMS.get(expected["possible"], "invalid_for_region")
    )
    return "" if row["problem"] == problem else f"problem should be {problem}"
