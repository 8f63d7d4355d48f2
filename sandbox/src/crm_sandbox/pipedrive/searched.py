"""What is searched in each object, and what a result shows. Data only."""

from dataclasses import dataclass

_OWNER = ("owner", "{'id': r.owner_id}")
_ORG = (
    "organization",
    "CASE WHEN o.id IS NOT NULL THEN {'id': o.id, 'name': o.name, 'address': o.address.value} END",
)
_PERSON = ("person", "CASE WHEN p.id IS NOT NULL THEN {'id': p.id, 'name': p.name} END")
_ORG_JOIN = "LEFT JOIN organizations o ON o.id = r.org_id"
_PERSON_JOIN = "LEFT JOIN persons p ON p.id = r.person_id"
_VALUES = "list_transform({0}, lambda one: one.value)"


@dataclass(frozen=True)
class Searched:
    """What is searched in an object, and what a result shows.

    Attributes:
        fields: what `fields` may name, with SQL for a list of texts.
    """

    entity: str
    fields: dict[str, str]
    shown: tuple[tuple[str, str], ...]
    joins: str = ""
    filters: tuple[str, ...] = ()
    extras: tuple[str, ...] = ()


SEARCHED = {
    "person": Searched(
        "persons",
        {
            "name": "[r.name]",
            "email": _VALUES.format("r.emails"),
            "phone": _VALUES.format("r.phones"),
            "notes": "[]",
        },
        (
            ("name", "r.name"),
            ("phones", _VALUES.format("r.phones")),
            ("emails", _VALUES.format("r.emails")),
            ("visible_to", "r.visible_to"),
            _OWNER,
            _ORG,
        ),
        _ORG_JOIN,
        ("organization_id",),
        ("person.picture",),
    ),
    "organization": Searched(
        "organizations",
        {"name": "[r.name]", "address": "[r.address.value]", "notes": "[]"},
        (
            ("name", "r.name"),
            ("address", "r.address.value"),
            ("visible_to", "r.visible_to"),
            _OWNER,
        ),
    ),
    "deal": Searched(
        "deals",
        {"title": "[r.title]", "notes": "[]"},
        (
            *((key, f"r.{key}") for key in ("title", "value", "currency", "status", "visible_to")),
            _OWNER,
            ("stage", "{'id': s.id, 'name': s.name}"),
            _PERSON,
            _ORG,
            ("is_archived", "r.is_archived"),
        ),
        f"{_ORG_JOIN} {_PERSON_JOIN} LEFT JOIN stages s ON s.id = r.stage_id",
        ("person_id", "organization_id", "status"),
        ("deal.cc_email",),
    ),
    "product": Searched(
        "products",
        {"name": "[r.name]", "code": "[r.code]"},
        (
            ("name", "r.name"),
            ("code", "r.code"),
            ("visible_to", "r.visible_to"),
            _OWNER,
        ),
        extras=("product.price",),
    ),
    "lead": Searched(
        "leads",
        {"title": "[r.title]", "notes": "[]"},
        (
            ("title", "r.title"),
            _OWNER,
            _PERSON,
            (_ORG[0], _ORG[1]),
            ("phones", "coalesce(" + _VALUES.format("p.phones") + ", [])"),
            ("emails", "coalesce(" + _VALUES.format("p.emails") + ", [])"),
            ("value", "r.amount"),
            ("currency", "r.currency"),
            ("visible_to", "r.visible_to"),
            ("is_archived", "r.is_archived"),
        ),
        f"LEFT JOIN organizations o ON o.id = r.organization_id {_PERSON_JOIN}",
        ("person_id", "organization_id"),
        ("lead.was_seen",),
    ),
}
