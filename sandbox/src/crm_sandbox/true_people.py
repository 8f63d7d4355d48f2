"""The true persons of a world as a provider of contact data knows them: present employer, address, mobile."""

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from crm_sandbox.companies import by_locale, of_locale, words
from crm_sandbox.contact_points import spelled_phones, valid_emails
from crm_sandbox.contacts import other_numbers
from crm_sandbox.people import spelled_names
from crm_sandbox.vocabulary import (
    DEPARTMENTS,
    DISPOSABLE_DOMAINS,
    FREE_MAIL,
    ROLE_NAMES,
    TITLES,
)
from crm_sandbox.world import World

_INTERNATIONAL = 0  # the style of numbers that begins with a plus and has no signs between
_SYNTAX = re.compile(r"[a-z0-9_+-]+(\.[a-z0-9_+-]+)*@[a-z0-9-]+(\.[a-z0-9-]+)+")


def true_people(world: World) -> list[dict[str, Any]]:
    """Return one row for each person: names, `email`, `work_email`, `mobile`, job, place, and `company`, an index.

    Each row has two numbers of chance, `chance` and `luck`, by which a provider may choose whom it knows.
    """
    people, companies = world.people, world.companies()
    person = np.arange(len(people.locale))
    given, family, slug = spelled_names(people, np.full(len(person), 1), person)
    native_given, native_family, _ = spelled_names(people, np.full(len(person), 0), person)
    domain = companies["domain"].combine_chunks().take(pa.array(people.company))
    halves = pc.split_pattern(by_locale("cities", people.locale, people.area), "|")
    table = pa.table(
        {
            "person": person,
            "given": given,
            "family": family,
            "native_given": native_given,
            "native_family": native_family,
            "slug": slug,
            "email": valid_emails(slug, domain, people.title[person], person * 7919),
            "work_email": pc.binary_join_element_wise(slug, domain, "@"),
            "mobile": spelled_phones(
                people.locale,
                people.area + 1,
                other_numbers(people, person),
                np.full(len(person), _INTERNATIONAL),
            ),
            "title": words(TITLES, people.title),
            "department": words(DEPARTMENTS, people.title // 7),
            "company": people.company,
            "city": pc.list_element(halves, 0),
            "state": pc.list_element(halves, 1),
            "country": of_locale("country", people.locale),
            "country_code": of_locale("code", people.locale),
            "chance": people.number,
            "luck": people.area,
        }
    )
    rows: list[dict[str, Any]] = table.to_pylist()
    for row in rows:
        # Who uses a private address in the CRMs has one at work as well.
        if row["email"].rpartition("@")[2] not in FREE_MAIL:
            row["work_email"] = row["email"]
    return rows


@dataclass(frozen=True)
class Mailbox:
    """What is true of an address.

    Attributes:
        is_address: whether the text is one.
        has_servers: whether its domain has mail servers.
        exists: whether there is such a mailbox.
        is_free, is_disposable: what the domain is.
    """

    is_address: bool = False
    has_servers: bool = False
    exists: bool = False
    is_free: bool = False
    is_disposable: bool = False


class Mailboxes:
    """Which addresses of a world exist.

    Companies' mailboxes are those of their functions, and of every person under each way of writing a name:
    people keep theirs when they change jobs within the world.
    """

    def __init__(self, world: World) -> None:
        self._domains = set(world.companies()["domain"].to_pylist())
        _, _, slugs = spelled_names(
            world.people,
            np.full(len(world.people.locale), 1),
            np.arange(len(world.people.locale)),
        )
        self._names: set[str] = set()
        for slug in set(slugs.to_pylist()):
            given, _, family = slug.partition(".")
            initial = given[:1] + family
            self._names |= {slug, initial, f"{given}_{family}", f"{family}.{given[:1]}"}
            self._names |= {given + family, f"{given[:1]}+{family}"}

    def find(self, address: str) -> Mailbox:
        """Return what is true of an address."""
        text = address.strip().lower()
        if not _SYNTAX.fullmatch(text):
            return Mailbox()
        local, _, domain = text.rpartition("@")
        if domain in DISPOSABLE_DOMAINS:
            return Mailbox(
                is_address=True, has_servers=True, exists=True, is_free=False, is_disposable=True
            )
        name = re.sub(r"[+]?[0-9]+$", "", local)
        is_free = domain in FREE_MAIL
        if not is_free and domain not in self._domains:
            return Mailbox(is_address=True)
        roles = () if is_free else ROLE_NAMES
        known = local in self._names or local in roles or (is_free and name in self._names)
        return Mailbox(is_address=True, has_servers=True, exists=known, is_free=is_free)
