"""Cards: what one CRM knows about people - duplicated, misspelled, outdated.

A CRM keeps one or more cards per person. Every card carries the truth beside it (person, verdicts),
in columns that no vendor may show.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from crm_sandbox.companies import addresses, noise, words
from crm_sandbox.contact_points import draw_emails, draw_phones
from crm_sandbox.people import People, spelled_names
from crm_sandbox.stamps import Integers, Stamps, as_datetimes, growing, lives, with_burst
from crm_sandbox.vocabulary import DEPARTMENTS, NASTY_VALUES, TITLES

_BURST_ROWS = 5_000
_BURST_AGE = 20 * 86_400


@dataclass(frozen=True)
class Deck:
    """How many cards to draw, and of whom.

    Attributes:
        count: cards in all.
        first_person: the persons begin here.
        persons: how many persons have a card; the other cards are duplicates.
        burst: whether a bulk load touched many cards in one second.
    """

    count: int
    first_person: int
    persons: int
    burst: bool = False


def draw_cards(
    rng: np.random.Generator, people: People, companies: pa.Table, deck: Deck, now: int
) -> pa.Table:
    """Draw the cards of one CRM in order of their creation."""
    person, duplicate = _holders(rng, deck)
    moved = rng.random(deck.count) < np.where(duplicate, 0.30, 0.02)
    elsewhere = rng.integers(0, companies.num_rows, deck.count)
    company = np.where(moved, elsewhere, people.company[person])
    script = _scripts(rng, duplicate)
    given, family, slug = spelled_names(people, script, person)
    # A duplicate was often left with another address, so no exact key joins it to the first card.
    changed = moved | (duplicate & (rng.random(deck.count) < 0.45))
    email, email_verdict = draw_emails(
        rng,
        slug,
        companies["domain"].combine_chunks().take(pa.array(company)),
        people.title[person] + np.where(changed, 5 + rng.integers(0, 3, deck.count), 0),
        person * 7919 + np.where(changed, 13, 0),
    )
    phone, phone_verdict = _phones(rng, people, companies, person, company=company, changed=changed)
    mobile, _ = draw_phones(
        rng, people.locale[person], people.area[person] + 1, other_numbers(people, person)
    )
    masters = _masters(person, duplicate)
    deleted, merged = _endings(rng, duplicate, masters)
    stamps = _moments(rng, deck, deleted, now)
    return pa.table(
        {
            "i": np.arange(deck.count),
            "person": person,
            "duplicate": duplicate,
            "email_verdict": email_verdict,
            "phone_verdict": phone_verdict,
            "company": company,
            "locale": people.locale[person],
            "given": given,
            "family": family,
            "email": email,
            "phone": phone,
            "mobile": pc.if_else(pa.array(rng.random(deck.count) < 0.4), mobile, None),
            "title": words(TITLES, people.title[person] + np.where(moved, 3, 0)),
            "department": words(DEPARTMENTS, people.title[person] // 7),
            "opted_out": rng.random(deck.count) < 0.09,
            "do_not_call": rng.random(deck.count) < 0.06,
            "nasty": _nasties(deck.count, deleted),
            "long_text": _long_texts(deck.count, deleted),
            "deleted": deleted,
            "master": np.where(merged, masters, -1),
            **addresses(rng, people.locale[person]),
            "created": as_datetimes(stamps.created),
            "modified": as_datetimes(stamps.modified),
            "touched": as_datetimes(stamps.touched),
            **noise(rng, deck.count, 8),
        }
    )


def _holders(rng: np.random.Generator, deck: Deck) -> tuple[Integers, pa.Array]:
    twice = rng.choice(deck.persons, deck.count - deck.persons, replace=False)
    person = deck.first_person + np.concatenate([np.arange(deck.persons), twice])
    duplicate = np.arange(deck.count) >= deck.persons
    order = rng.permutation(deck.count)
    person, duplicate = person[order], duplicate[order]
    return person, duplicate


def _scripts(rng: np.random.Generator, duplicate: pa.Array) -> Integers:
    draw = rng.random(len(duplicate))
    first = np.where(draw < 0.85, 0, np.where(draw < 0.95, 1, 2))
    again = np.where(draw < 0.35, 0, np.where(draw < 0.65, 1, 2))
    return np.where(duplicate, again, first)


def other_numbers(people: People, person: Integers) -> Integers:
    """Return the second number of each person, which is a mobile."""
    return 2_000_000 + (people.number[person] * 31 + 17) % 7_999_999


def _phones(
    rng: np.random.Generator,
    people: People,
    companies: pa.Table,
    person: Integers,
    *,
    company: Integers,
    changed: pa.Array,
) -> tuple[pa.Array, pa.Array]:
    shared = rng.random(len(person)) < 0.12
    switchboard = companies["switchboard"].to_numpy()[company]
    own = np.where(
        changed & (rng.random(len(person)) < 0.6),
        other_numbers(people, person),
        people.number[person],
    )
    locale = np.where(shared, companies["locale"].to_numpy()[company], people.locale[person])
    area = np.where(shared, companies["area"].to_numpy()[company], people.area[person])
    return draw_phones(rng, locale, area, np.where(shared, switchboard, own))


def _masters(person: Integers, duplicate: pa.Array) -> Integers:
    """Return, for each card, the index of its person's first card."""
    first = np.full(int(person.max()) + 1, -1)
    originals = np.flatnonzero(~duplicate)
    first[person[originals]] = originals
    return first[person]


def _endings(
    rng: np.random.Generator, duplicate: pa.Array, masters: Integers
) -> tuple[pa.Array, pa.Array]:
    deleted = rng.random(len(duplicate)) < 0.018
    merged = duplicate & (rng.random(len(duplicate)) < 0.08)
    if duplicate.any() and not merged.any():
        merged[np.flatnonzero(duplicate)[0]] = True
    # The winner of a merge is alive.
    deleted[masters[merged]] = False
    return deleted | merged, merged


def _moments(rng: np.random.Generator, deck: Deck, deleted: pa.Array, now: int) -> Stamps:
    stamps = lives(rng, growing(rng, deck.count, now), now)
    if not deck.burst:
        return stamps
    size = min(deck.count, _BURST_ROWS) if deck.count >= _BURST_ROWS else max(2, deck.count // 10)
    live_first = np.argsort(deleted, kind="stable")
    return with_burst(
        stamps,
        live_first[: max(size * 3, size)][::3] if 3 * size <= deck.count else live_first[:size],
        now - _BURST_AGE,
    )


def _nasties(count: int, deleted: pa.Array) -> pa.Array:
    """Plant every awkward value, first once for certain and then on one card in forty."""
    live = np.flatnonzero(~deleted)
    values = np.full(count, None, dtype=object)
    rows = (
        live[1::40] if len(live) >= 40 * len(NASTY_VALUES) else live[1 :: max(1, len(live) // 30)]
    )
    values[rows] = np.resize(np.array(NASTY_VALUES, dtype=object), len(rows))
    return pa.array(values.tolist(), pa.string())


def _long_texts(count: int, deleted: pa.Array) -> pa.Array:
    live = np.flatnonzero(~deleted)
    chosen = np.zeros(count, dtype=bool)
    chosen[live[[0, len(live) // 2]]] = True
    return pa.array(chosen)
