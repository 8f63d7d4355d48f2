"""Verifiers with rules that fit into a line, and the tables that they lead to, computed record by record."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

import pyarrow as pa

from crm_pipeline.stages.verified import Verifiers

COUNTRIES = {"Germany": "DE", "France": "FR"}
TEXTS = pa.list_(pa.string())


def email_parts(value: str) -> list[dict[str, Any]]:
    """Take a text apart at semicolons; an address has an @, and one at bad.example is a typo."""
    return [
        {
            "value": value,
            "position": position,
            "address": part,
            "email_normalized": part.lower() if "@" in part else None,
            "email_ascii": part.lower() if "@" in part else None,
            "domain": part.lower().partition("@")[2] or None,
            "verdict": "unknown" if "@" in part else "undeliverable",
            "reasons": ["not_checked"] if "@" in part else ["bad_syntax"],
            "suggestion": None,
            "method": "offline",
        }
        for position, part in enumerate(value.split(";"), 1)
    ]


def phone_parts(value: str, region: str) -> list[dict[str, Any]]:
    """A number has digits only, and needs a region unless it starts with +."""
    is_whole = value.startswith("+")
    is_valid = value.strip("+").isdigit() and (is_whole or bool(region))
    return [
        {
            "value": value,
            "region": region,
            "position": 1,
            "number": value,
            "phone_e164": (value if is_whole else f"+{region}{value}") if is_valid else None,
            "extension": None,
            "phone_type": "mobile" if is_valid else None,
            "phone_country": region or None,
            "verdict": "valid" if is_valid else "invalid",
            "reasons": [] if is_valid else ["no_region" if not region else "too_short"],
        }
    ]


def _table(rows: list[dict[str, Any]], like: list[dict[str, Any]]) -> pa.Table:
    kinds = {"position": pa.int64(), "reasons": TEXTS}
    schema = pa.schema([(name, kinds.get(name, pa.string())) for name in like[0]])
    return pa.Table.from_pylist(rows, schema)


def judge_emails(values: pa.Table) -> pa.Table:
    rows = [part for value in values["value"].to_pylist() for part in email_parts(value)]
    return _table(rows, email_parts(""))


def judge_phones(values: pa.Table) -> pa.Table:
    pairs = values.select(["value", "region"]).to_pylist()
    rows = [part for pair in pairs for part in phone_parts(pair["value"], pair["region"])]
    return _table(rows, phone_parts("", ""))


def verifiers(rules: str = "1") -> Verifiers:
    def regions_of(countries: pa.Array) -> pa.Array:
        return pa.array([COUNTRIES.get(name) for name in countries.to_pylist()], pa.string())

    return Verifiers(judge_emails, judge_phones, regions_of, rules)


def expected_points(
    records: Iterable[Mapping[str, Any]], default_regions: Mapping[str, str], shared_from: int
) -> list[tuple[Any, ...]]:
    """Return the contact points of records, one after the other, as tuples in a fixed order.

    Args:
        records: `connection`, `table`, `key`, `country`, `emails` and `phones` as `(label, value, is_primary)`.
        default_regions: by connection.
        shared_from: so many people share a number.
    """
    points: list[list[Any]] = []
    people: dict[str, set[str]] = defaultdict(set)
    for record in records:
        head = [record["connection"], record["table"], record["key"]]
        position = 0
        for label, value, is_primary in record["emails"]:
            for part in email_parts(value):
                position += 1
                first = is_primary and part["position"] == 1
                normal, verdict, reasons = (
                    part["email_normalized"],
                    part["verdict"],
                    part["reasons"],
                )
                points.append(
                    [*head, "email", label, value, position, first, None, normal, verdict, reasons]
                )
        country = record["country"]
        default = default_regions.get(record["connection"], "")
        region = default if country is None else COUNTRIES.get(country, "")
        for position, (label, value, is_primary) in enumerate(record["phones"], 1):
            [part] = phone_parts(value, region)
            number = part["phone_e164"]
            if number and record["table"] in {"contacts", "leads"}:
                people[number].add(record["key"])
            verdict, reasons = part["verdict"], part["reasons"]
            points.append(
                [
                    *head,
                    "phone",
                    label,
                    value,
                    position,
                    is_primary,
                    region,
                    number,
                    verdict,
                    reasons,
                ]
            )
    for point in points:
        if point[3] == "phone" and len(people[point[9] or ""]) >= shared_from:
            point[10], point[11] = "risky", [*point[11], "shared"]
    return sorted(((*point[:11], tuple(point[11])) for point in points), key=str)
