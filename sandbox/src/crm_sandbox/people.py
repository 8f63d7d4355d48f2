"""People and how a CRM came to spell them: names in two scripts, nicknames, addresses.

Everything is drawn as index arrays first and turned into strings once, by dictionary.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from crm_sandbox.vocabulary import LOCALES

Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Words:
    """One vocabulary flattened over the locales, with where each locale's part begins."""

    native: pa.Array
    latin: pa.Array
    short: pa.Array
    slug: pa.Array
    starts: Integers
    sizes: Integers


def slug_of(word: str) -> str:
    """Return a latin word the way people put it into e-mail addresses."""
    import unicodedata

    plain = unicodedata.normalize("NFKD", word).encode("ascii", "ignore").decode()
    return "".join(letter for letter in plain.lower() if letter.isalnum()) or "x"


@cache
def words_of(attribute: str) -> Words:
    """Return `given` or `family` of all locales as one vocabulary."""
    spelled = [getattr(locale, attribute) for locale in LOCALES]
    sizes = np.array([len(part) for part in spelled])
    rows = [[*word.split("|"), "", ""][:3] for part in spelled for word in part]
    native = [row[0] for row in rows]
    latin = [row[1] or row[0] for row in rows]
    short = [row[2] or row[1] or row[0] for row in rows]
    return Words(
        pa.array(native),
        pa.array(latin),
        pa.array(short),
        pa.array([slug_of(word) for word in latin]),
        np.concatenate([[0], np.cumsum(sizes)[:-1]]),
        sizes,
    )


@dataclass(frozen=True)
class People:
    """True persons as index arrays.

    Attributes:
        locale: index into `LOCALES`.
        given: index into the given names.
        family: index into the family names.
        second: index of a second family name, -1 for none.
        company: index of the employer.
        title: a random number from which the title is taken.
        number: the last seven digits of the own telephone.
        area: a random number from which the area code is taken.
    """

    locale: Integers
    given: Integers
    family: Integers
    second: Integers
    company: Integers
    title: Integers
    number: Integers
    area: Integers


def draw_people(
    rng: np.random.Generator, count: int, company_locale: Integers, companies: int
) -> People:
    """Draw persons; most live where their company is, few companies have many of them."""
    company = (companies * rng.random(count) ** 2).astype(np.int64)
    weights = np.array([locale.weight for locale in LOCALES])
    foreign = rng.choice(len(LOCALES), count, p=weights / weights.sum())
    locale = np.where(rng.random(count) < 0.8, company_locale[company], foreign)
    given, family = words_of("given"), words_of("family")
    first = given.starts[locale] + rng.integers(0, 1 << 30, count) % given.sizes[locale]
    last = family.starts[locale] + rng.integers(0, 1 << 30, count) % family.sizes[locale]
    other = family.starts[locale] + rng.integers(0, 1 << 30, count) % family.sizes[locale]
    double = (rng.random(count) < 0.25) & (other != last)
    return People(
        locale,
        first,
        last,
        np.where(double, other, -1),
        company,
        rng.integers(0, 1 << 30, count),
        rng.integers(2_000_000, 9_999_999, count),
        rng.integers(0, 1 << 30, count),
    )


def spelled_names(
    people: People, script: Integers, person: Integers
) -> tuple[pa.Array, pa.Array, pa.Array]:
    """Spell given name, family name and e-mail slug of some persons.

    Args:
        people: all persons.
        script: per row 0 native, 1 latin, 2 nickname.
        person: per row the person.
    """
    import pyarrow.compute as pc

    given, family = words_of("given"), words_of("family")
    codes = people.given[person]
    first = pc.choose(
        pa.array(script),
        given.native.take(pa.array(codes)),
        given.latin.take(pa.array(codes)),
        given.short.take(pa.array(codes)),
    )
    last = _family(family.native, family.latin, people, person, script == 0)
    slug = pc.binary_join_element_wise(
        given.slug.take(pa.array(codes)), family.slug.take(pa.array(people.family[person])), "."
    )
    return first, last, slug


def _family(
    native: pa.Array,
    latin: pa.Array,
    people: People,
    person: Integers,
    in_native: NDArray[np.bool_],
) -> pa.Array:
    import pyarrow.compute as pc

    both = pa.concat_arrays([native, latin])
    shift = np.where(in_native, 0, len(native))
    one = both.take(pa.array(people.family[person] + shift))
    second = people.second[person]
    two = both.take(pa.array(np.where(second >= 0, second, 0) + shift))
    joined = pc.binary_join_element_wise(one, two, "-")
    return pc.if_else(pa.array(second >= 0), joined, one)
