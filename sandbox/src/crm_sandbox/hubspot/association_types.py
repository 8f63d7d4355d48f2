"""The kinds of links between two object types, and the opposite direction of each.

Numbers: https://developers.hubspot.com/docs/api-reference/crm-associations-v4/guide
"""

import threading
from dataclasses import dataclass

from crm_sandbox.hubspot.credentials import PortalFacts

HUBSPOT, USER = "HUBSPOT_DEFINED", "USER_DEFINED"
PRIMARY = "Primary"
# From, to, type id, type id of the other direction; a label where there is one.
_DEFINED: tuple[tuple[str, str, int, int, str | None], ...] = (
    ("contacts", "companies", 279, 280, None),
    ("contacts", "companies", 1, 2, PRIMARY),
    ("contacts", "deals", 4, 3, None),
    ("contacts", "tickets", 15, 16, None),
    ("contacts", "contacts", 449, 449, None),
    ("contacts", "quotes", 70, 69, None),
    ("contacts", "leads", 609, 608, None),
    ("contacts", "leads", 579, 578, PRIMARY),
    ("companies", "companies", 450, 450, None),
    ("companies", "companies", 13, 14, "Parent Company"),
    ("companies", "deals", 342, 341, None),
    ("companies", "deals", 6, 5, PRIMARY),
    ("companies", "tickets", 340, 339, None),
    ("companies", "tickets", 25, 26, PRIMARY),
    ("companies", "quotes", 72, 71, None),
    ("companies", "leads", 611, 610, None),
    ("companies", "leads", 581, 580, PRIMARY),
    ("deals", "deals", 451, 451, None),
    ("deals", "tickets", 27, 28, None),
    ("deals", "line_items", 19, 20, None),
    ("deals", "quotes", 63, 64, None),
    ("deals", "leads", 1038, 1037, None),
    ("tickets", "tickets", 452, 452, None),
    ("quotes", "line_items", 67, 68, None),
    ("quotes", "tasks", 217, 218, None),
    ("leads", "calls", 596, 597, None),
    ("leads", "emails", 598, 599, None),
    ("leads", "meetings", 600, 601, None),
    ("leads", "notes", 854, 855, None),
    ("leads", "tasks", 646, 647, None),
)
_ACTIVITIES = {"calls": 0, "emails": 4, "meetings": 6, "notes": 8, "tasks": 10}
_FIRST = {"companies": 181, "contacts": 193, "deals": 205, "tickets": 219}
_CHILD = "Child Company"


@dataclass(frozen=True)
class LinkType:
    """One kind of link in one direction.

    Attributes:
        id: its number.
        inverse: the number of the other direction.
        label: what people read; None for the plain link.
        name: the internal name of a label that the portal made.
    """

    from_type: str
    to_type: str
    id: int
    inverse: int
    label: str | None = None
    category: str = HUBSPOT
    name: str = ""

    @property
    def is_primary(self) -> bool:
        """Whether only one link of a record can have it."""
        return self.category == HUBSPOT and self.label == PRIMARY

    def back(self, label: str | None) -> "LinkType":
        """Return the other direction."""
        return LinkType(
            self.to_type, self.from_type, self.inverse, self.id, label, self.category, self.name
        )


class LinkTypes:
    """The kinds of links of one portal.

    Args:
        portal: has labels of its own.
        asset: the name of its own object type.
    """

    def __init__(self, portal: PortalFacts, asset: str) -> None:
        self._lock = threading.RLock()
        self._pairs: dict[tuple[str, str], list[LinkType]] = {}
        self._next = 3_000
        for one in _DEFINED:
            self._both(LinkType(*one))
        for party, first in _FIRST.items():
            for activity, shift in _ACTIVITIES.items():
                self._both(LinkType(party, activity, first + shift, first + shift + 1))
        first = 20 if portal.name == "main" else 40
        for number, party in enumerate(("contacts", "companies", "deals", "tickets")):
            plain = first + number * 2
            self._both(LinkType(asset, party, plain, plain + 1, category=USER))
        named = (
            ("Decision maker", "Former employer", "Uses")
            if portal.name == "main"
            else (
                "Entscheider",
                "Früherer Arbeitgeber",
                "Nutzt",
            )
        )
        pairs = (("contacts", "deals"), ("contacts", "companies"), ("contacts", asset))
        for number, (label, pair) in enumerate(zip(named, pairs, strict=True)):
            number += first + 10  # noqa: PLW2901 - counts on from the plain ones
            name = label.lower().replace(" ", "_")
            self._both(LinkType(*pair, 2 * number, 2 * number + 1, label, USER, name))

    def between(self, from_type: str, to_type: str) -> tuple[LinkType, ...]:
        """Return every kind of link in one direction."""
        return tuple(self._pairs.get((from_type, to_type), ()))

    def targets(self, from_type: str) -> tuple[str, ...]:
        """Return the object types that one can be linked to."""
        return tuple(to for one, to in self._pairs if one == from_type)

    def find(self, from_type: str, to_type: str, number: int) -> LinkType | None:
        """Return a kind of link by its number."""
        for one in self.between(from_type, to_type):
            if one.id == number:
                return one
        return None

    def plain(self, from_type: str, to_type: str) -> LinkType | None:
        """Return the link without a label."""
        for one in self.between(from_type, to_type):
            if one.label is None:
                return one
        return None

    def primary(self, from_type: str, to_type: str) -> LinkType | None:
        """Return the primary link, where the two types have one."""
        for one in self.between(from_type, to_type):
            if one.is_primary:
                return one
        return None

    def labelled(self, from_type: str, to_type: str, label: str) -> LinkType:
        """Return the link that the portal gave a label.

        Raises:
            KeyError: there is none.
        """
        for one in self.between(from_type, to_type):
            if one.label == label:
                return one
        raise KeyError(f"no label '{label}' between {from_type} and {to_type}")

    def add(
        self, from_type: str, to_type: str, label: str | None, inverse: str | None, name: str
    ) -> tuple[LinkType, LinkType]:
        """Make a label; return both directions."""
        with self._lock:
            forth, back = self._next, self._next + 1
            self._next += 2
            made = LinkType(from_type, to_type, forth, back, label, USER, name)
            self._both(made, inverse if inverse is not None else label)
            return made, self._pairs[to_type, from_type][-1]

    def rename(self, one: LinkType, label: str) -> None:
        """Give a label another text."""
        with self._lock:
            kept = self._pairs[one.from_type, one.to_type]
            kept[kept.index(one)] = LinkType(
                one.from_type, one.to_type, one.id, one.inverse, label, one.category, one.name
            )

    def drop(self, one: LinkType) -> None:
        """Forget a label, both directions."""
        with self._lock:
            for pair, number in (
                ((one.from_type, one.to_type), one.id),
                ((one.to_type, one.from_type), one.inverse),
            ):
                self._pairs[pair] = [k for k in self._pairs.get(pair, []) if k.id != number]

    def _both(self, one: LinkType, inverse_label: str | None = None) -> None:
        self._pairs.setdefault((one.from_type, one.to_type), []).append(one)
        if one.inverse == one.id:
            return
        label = inverse_label or (_CHILD if one.id == 13 else one.label)
        self._pairs.setdefault((one.to_type, one.from_type), []).append(one.back(label))


def inline_name(one: LinkType, from_singular: str, to_singular: str, pair_has_primary: bool) -> str:
    """Return how the v3 APIs call a link.

    The plain link of two types that also have a primary one is called `..._unlabeled`.
    """
    plain = f"{from_singular}_to_{to_singular}"
    if one.label is None:
        return f"{plain}_unlabeled" if pair_has_primary else plain
    if one.is_primary:
        return plain
    return one.name or one.label.lower().replace(" ", "_")
