"""Companies: names, domains, switchboards and addresses."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from crm_sandbox.contact_points import digits, spelled_phones
from crm_sandbox.stamps import Integers, as_datetimes, growing, lives
from crm_sandbox.vocabulary import (
    COMPANY_FORMS,
    COMPANY_HEADS,
    COMPANY_SLUGS,
    COMPANY_TRADES,
    INDUSTRIES,
    LOCALES,
    TOP_DOMAINS,
)


def words(values: tuple[str, ...], codes: Integers) -> pa.Array:
    """Return the word for each code, wrapping around."""
    return pa.array(values).take(pa.array(codes % len(values)))


def by_locale(attribute: str, locale: Integers, random: Integers) -> pa.Array:
    """Return a random word of each row's locale."""
    parts = [getattr(entry, attribute) for entry in LOCALES]
    sizes = np.array([len(part) for part in parts])
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    flat = pa.array([word for part in parts for word in part])
    return flat.take(pa.array(starts[locale] + random % sizes[locale]))


def of_locale(attribute: str, locale: Integers) -> pa.Array:
    """Return one attribute of each row's locale."""
    return pa.array([getattr(entry, attribute) for entry in LOCALES]).take(pa.array(locale))


def addresses(rng: np.random.Generator, locale: Integers) -> dict[str, pa.Array]:
    """Draw a postal address in each row's country; one in eight has no street."""
    count = len(locale)
    place = by_locale("cities", locale, rng.integers(0, 1 << 30, count))
    halves = pc.split_pattern(place, "|")
    city, region = pc.list_element(halves, 0), pc.list_element(halves, 1)
    street = by_locale("streets", locale, rng.integers(0, 1 << 30, count))
    number = pc.cast(pa.array(rng.integers(1, 240, count)), pa.string())
    written = pc.binary_join_element_wise(number, street, " ")
    missing = pa.array(rng.random(count) < 0.12)
    absent = pa.scalar(None, pa.string())
    return {
        "street": pc.if_else(missing, absent, written),
        "city": city,
        "region": pc.if_else(pc.equal(region, ""), absent, region),
        "postal_code": digits(rng.integers(0, 100_000, count), 5),
        "country": of_locale("country", locale),
        "country_code": of_locale("code", locale),
    }


def draw_locales(rng: np.random.Generator, count: int) -> Integers:
    """Draw the country of each company."""
    weights = np.array([entry.weight for entry in LOCALES])
    return rng.choice(len(LOCALES), count, p=weights / weights.sum())


def draw_companies(rng: np.random.Generator, locale: Integers, now: int) -> pa.Table:
    """Draw companies for given locales, in order of their creation."""
    count = len(locale)
    index = np.arange(count)
    # Walking the two word lists with strides that share no factor repeats a name late.
    head, trade = index % len(COMPANY_HEADS), (index * 7 + index // 38) % len(COMPANY_TRADES)
    form = words(COMPANY_FORMS, rng.integers(0, 1 << 30, count))
    name = pc.binary_join_element_wise(
        words(COMPANY_HEADS, head), words(COMPANY_TRADES, trade), form, " "
    )
    round_number = index // (len(COMPANY_HEADS) * len(COMPANY_TRADES))
    suffix = pc.if_else(
        pa.array(round_number > 0), pc.cast(pa.array(round_number + 1), pa.string()), ""
    )
    slug = pc.binary_join_element_wise(
        words(COMPANY_SLUGS, head),
        pc.replace_substring(pc.utf8_lower(words(COMPANY_TRADES, trade)), " ", ""),
        suffix,
        "",
    )
    domain = pc.binary_join_element_wise(
        slug, words(TOP_DOMAINS, rng.integers(0, 1 << 30, count)), "."
    )
    stamps = lives(rng, growing(rng, count, now), now)
    switchboard = rng.integers(2_000_000, 9_999_999, count)
    area = rng.integers(0, 1 << 30, count)
    style = rng.integers(0, 3, count)
    employees = np.maximum(1, rng.lognormal(4.5, 1.8, count)).astype(np.int64)
    return pa.table(
        {
            "i": index,
            "name": pc.if_else(
                pc.equal(suffix, ""), name, pc.binary_join_element_wise(name, suffix, " ")
            ),
            "domain": domain,
            "industry": words(INDUSTRIES, rng.integers(0, 1 << 30, count)),
            "employees": employees,
            "revenue": np.round(employees * rng.lognormal(11, 0.6, count), -3),
            "switchboard": switchboard,
            "area": area,
            "locale": locale,
            "phone": spelled_phones(locale, area, switchboard, style),
            "currency": of_locale("currency", locale),
            **addresses(rng, locale),
            "created": as_datetimes(stamps.created),
            "modified": as_datetimes(stamps.modified),
            "touched": as_datetimes(stamps.touched),
            **noise(rng, count),
        }
    )


def noise(rng: np.random.Generator, count: int, columns: int = 6) -> dict[str, Integers]:
    """Return independent random columns r1.. from which a vendor takes what it needs more."""
    return {f"r{k}": rng.integers(0, 1 << 31, count) for k in range(1, columns + 1)}
