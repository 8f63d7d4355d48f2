"""E-mail addresses and telephone numbers as people really leave them, with the truth about each."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from crm_sandbox.vocabulary import (
    DISPOSABLE_DOMAINS,
    FREE_MAIL,
    LOCALES,
    PLACEHOLDER_MAILS,
    PLACEHOLDER_PHONES,
    ROLE_NAMES,
    TYPO_DOMAINS,
)

Integers = NDArray[np.int64]
EMAIL_VERDICTS = ("valid", "typo", "placeholder", "disposable", "role", "missing")
PHONE_VERDICTS = ("alive", "dead", "missing")
# Shares among all records: together 17.5 % of the addresses are bad, 5 % are missing.
_EMAIL_SHARES = (0.776, 0.06, 0.03, 0.03, 0.054, 0.05)
_PHONE_SHARES = (0.60, 0.35, 0.05)
_STYLES = 8


def digits(numbers: Integers, width: int) -> pa.Array:
    """Return numbers as text with leading zeros."""
    return pc.utf8_lpad(pc.cast(pa.array(numbers), pa.string()), width, "0")


def spelled_phones(
    locale: Integers, area_draw: Integers, number: Integers, style: Integers
) -> pa.Array:
    """Write seven-digit numbers of a country in one of eight styles."""
    sizes = np.array([len(entry.areas) for entry in LOCALES])
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    areas = pa.array([area for entry in LOCALES for area in entry.areas])
    area = areas.take(pa.array(starts[locale] + area_draw % sizes[locale]))
    dial = pa.array([entry.dial for entry in LOCALES]).take(pa.array(locale))
    trunk = pa.array([entry.trunk for entry in LOCALES]).take(pa.array(locale))
    text = digits(number, 7)
    left, right = pc.utf8_slice_codeunits(text, 0, 3), pc.utf8_slice_codeunits(text, 3, 7)
    join = pc.binary_join_element_wise
    extension = pc.cast(pa.array(100 + number % 900), pa.string())
    return pc.choose(
        pa.array(style % _STYLES),
        join("+", dial, area, left, right, ""),
        join(join("+", dial, ""), area, left, right, " "),
        join("(", trunk, area, ") ", left, "-", right, ""),
        join(trunk, area, left, right, ""),
        join("00", dial, " ", area, " ", left, right, ""),
        join(join(trunk, area, ""), left, right, "."),
        join("+", dial, "-", area, "-", left, "-", right, " x", extension, ""),
        join(trunk, area, "/", left, " ", right, ""),
    )


def draw_emails(
    rng: np.random.Generator,
    slug: pa.Array,
    domain: pa.Array,
    pattern: Integers,
    mailbox: Integers,
) -> tuple[pa.Array, pa.Array]:
    """Return addresses and the verdict about each.

    Args:
        rng: the source of chance.
        slug: `given.family` in ASCII.
        domain: the company's domain.
        pattern: a random number that decides how this person's address is built.
        mailbox: a number that tells namesakes apart at free mail providers.
    """
    count = len(pattern)
    verdict = rng.choice(len(EMAIL_VERDICTS), count, p=_EMAIL_SHARES)
    valid = valid_emails(slug, domain, pattern, mailbox)
    draw = rng.integers(0, 1 << 30, count)
    join = pc.binary_join_element_wise
    address = pc.choose(
        pa.array(verdict),
        valid,
        _mistyped(valid, slug, draw),
        _word(PLACEHOLDER_MAILS, draw),
        join(slug, _word(DISPOSABLE_DOMAINS, draw), "@"),
        join(_word(ROLE_NAMES, draw), domain, "@"),
        pa.scalar(None, pa.string()),
    )
    upper = pa.array(rng.random(count) < 0.03)
    return pc.if_else(upper, pc.utf8_upper(address), address), _word(EMAIL_VERDICTS, verdict)


def _word(values: tuple[str, ...], codes: Integers) -> pa.Array:
    return pa.array(values).take(pa.array(codes % len(values)))


def valid_emails(
    slug: pa.Array, domain: pa.Array, pattern: Integers, mailbox: Integers
) -> pa.Array:
    """Return the address that each person really has; the arguments are those of `draw_emails`."""
    join = pc.binary_join_element_wise
    halves = pc.split_pattern(slug, ".")
    given, family = pc.list_element(halves, 0), pc.list_element(halves, 1)
    initial = pc.utf8_slice_codeunits(given, 0, 1)
    number = pc.cast(pa.array(mailbox % 100_000), pa.string())
    free = _word(FREE_MAIL, pattern // 16)
    return pc.choose(
        pa.array(pattern % 8),
        join(slug, domain, "@"),
        join(join(initial, family, ""), domain, "@"),
        join(slug, domain, "@"),
        join(join(given, family, "_"), domain, "@"),
        join(join(family, initial, "."), domain, "@"),
        join(join(given, family, number, ""), free, "@"),
        join(join(slug, number, ""), free, "@"),
        join(join(initial, family, number, "+"), free, "@"),
    )


def _mistyped(valid: pa.Array, slug: pa.Array, draw: Integers) -> pa.Array:
    join = pc.binary_join_element_wise
    return pc.choose(
        pa.array(draw % 6),
        join(slug, _word(TYPO_DOMAINS, draw // 6), "@"),
        pc.replace_substring(valid, "@", ""),
        pc.replace_substring(valid, "@", "@@"),
        join(valid, ".", ""),
        pc.replace_substring(valid, ".", "..", max_replacements=1),
        pc.replace_substring(valid, "@", " @ "),
    )


def draw_phones(
    rng: np.random.Generator, locale: Integers, area: Integers, number: Integers
) -> tuple[pa.Array, pa.Array]:
    """Return written numbers and the verdict about each.

    A dead number mostly looks like any other; one in four is an obvious placeholder.
    """
    count = len(number)
    verdict = rng.choice(len(PHONE_VERDICTS), count, p=_PHONE_SHARES)
    written = spelled_phones(locale, area, number, rng.integers(0, _STYLES, count))
    obvious = pa.array((verdict == 1) & (rng.random(count) < 0.25))
    placeholder = _word(PLACEHOLDER_PHONES, rng.integers(0, 1 << 30, count))
    phone = pc.if_else(obvious, placeholder, written)
    missing = pa.array(verdict == 2)
    return (
        pc.if_else(missing, pa.scalar(None, pa.string()), phone),
        _word(PHONE_VERDICTS, verdict),
    )
