"""Numbers that do not fit, texts that are no numbers, and numbers as people write them."""

import json
from decimal import Decimal
from typing import Any

import pytest

from crm_pipeline.kernel.errors import ContractError
from crm_pipeline.model.mapping import ANY_OBJECT, FieldMap, ObjectMap, same
from crm_pipeline.model.schema import Field, Schema

PRODUCT = ObjectMap("p", "products", same("id=source_id name=name price=price"))
OWN = ObjectMap(ANY_OBJECT, "", (FieldMap("id", "source_id"),))
SCHEMA = Schema(
    "p", "Products", (Field("name", "Name", "x"), Field("price", "Price", "number", "decimal"))
)


def build(org: Any, texts: list[Any], *, obj: str = "p", kind: Any = "decimal") -> Any:
    fields = (Field("name", "Name", "x"), Field("price", "Price", "number", kind))
    records = [{"id": f"{n:03}", "name": "x", "price": text} for n, text in enumerate(texts)]
    org.maps = (PRODUCT, OWN)
    org.land_records(Schema(obj, obj, fields), records)
    return org.normalize("products" if obj == "p" else obj)


def shown_numbers(org: Any, table: str) -> list[tuple[Any, Any, Any]]:
    rows = org.rows(table, "source_id, price, custom, unconverted")
    return [(price, json.loads(custom).get("price"), bad) for _, price, custom, bad in rows]


NUMBERS = {
    "0.0000125": (None, "0.0000125"),
    0.00000125: (None, "0.00000125"),
    "0.00000025": (None, "0.00000025"),
    "0.123456789": (None, "0.123456789"),
    "1e-7": (None, "0.0000001"),
    "2.5E3": ("2500", "2500"),
    "1.5000000000000000": ("1.5", "1.5"),
    "0.1234567890123": (None, None),
    "123456789012345678.123456": ("123456789012345678.123456", "123456789012345678.123456"),
    "1e18": (None, "1000000000000000000"),
    "9" * 30: (None, None),
    "1_000": (None, None),
    "1;2": (None, None),
}


@pytest.mark.parametrize(("obj", "table", "place"), [("q", "q", 0), ("p", "products", 1)])
def test_a_decimal_is_exact_or_marked(org: Any, obj: str, table: str, place: int) -> None:
    """Money has six places, prices twelve; a number that needs more is NULL, listed in `unconverted`, and kept as text."""
    build(org, list(NUMBERS), obj=obj)
    for (text, results), (price, kept, bad) in zip(
        NUMBERS.items(), shown_numbers(org, table), strict=True
    ):
        if results[place] is None:
            assert (price, bad) == (None, ["price"])
            assert kept == text if isinstance(text, str) else float(kept) == text
        else:
            assert (price, kept, bad) == (Decimal(results[place]), None, None)


WAYS: dict[str, tuple[list[str], list[str | None]]] = {
    "comma": (["1,800.00", "5", "12.5", "-1,234,567.25"], ["1800", "5", "12.5", "-1234567.25"]),
    "point": (["1.800,00", "2.500", "7"], ["1800", "2500", "7"]),
    "apostrophe": (["1'800.00", "5"], ["1800", "5"]),
    "thin blank": (["1\u202f800,50", "5"], ["1800.5", "5"]),
    "blank": (["1 800", "5"], ["1800", "5"]),
    "groups of two": (["12,34,567.00", "n/a"], ["1234567", None]),
    "both": (["1,800.00", "1.800,00", "5"], [None, None, "5"]),
    "either": (["1,800", "5"], [None, "5"]),
    "one of them": (["12,5", "1,800"], ["12.5", "1.8"]),
    "none": (["1;2", "1.5"], [None, "1.5"]),
}


def test_separators_are_read_where_all_values_agree(org: Any) -> None:
    """A whole field has one format or none: numbers that could mean two things are marked, and reported."""
    org.maps = (OWN,)
    fields = tuple(Field(name, name, "number", "decimal") for name in WAYS)
    records = [
        {"id": str(n), **{name: texts[n] for name, (texts, _) in WAYS.items() if n < len(texts)}}
        for n in range(4)
    ]
    org.land_records(Schema("q", "q", fields), records)
    result = org.normalize("q")
    for name, (texts, expected) in WAYS.items():
        column = name.replace(" ", "_")
        rows = org.rows("q", f'source_id, "{column}", custom, unconverted')[: len(texts)]
        values = [value for _, value, _, _ in rows]
        assert values == [None if e is None else Decimal(e) for e in expected], name
        for text, (_, value, custom, bad) in zip(texts, rows, strict=True):
            assert (name in (bad or ())) == (value is None)
            assert json.loads(custom).get(name) == (text if value is None else None)
    unclear = {w.rule.split()[0] for w in result.warnings if "do not agree" in w.rule}
    assert unclear == {"q.both", "q.either"}


def test_the_way_is_that_of_all_that_landed(org: Any) -> None:
    """A later value decides the format of earlier ones, and one that contradicts it makes them unclear again."""
    build(org, ["1,800", "5"])
    org.land_records(SCHEMA, [{"id": "100", "name": "x", "price": "2,500.75"}])
    org.normalize("products")
    prices = [price for price, *_ in shown_numbers(org, "products")]
    assert prices == [Decimal(1800), Decimal(5), Decimal("2500.75")]
    org.land_records(SCHEMA, [{"id": "101", "name": "x", "price": "2.500,75"}])
    org.normalize("products")
    assert [price for price, *_ in shown_numbers(org, "products")] == [None, Decimal(5), None, None]


def test_a_record_that_is_corrected_changes_no_other(org: Any) -> None:
    """The format of a field is stored: numbers that would change without it are marked, and come back with it."""

    def after(text: str) -> list[Any]:
        org.land_records(SCHEMA, [{"id": "002", "name": "x", "price": text}])
        org.normalize("products")
        return [price for price, *_ in shown_numbers(org, "products")]

    build(org, ["1.234", "5.000", "1.234,50", "7"])
    thousands = [Decimal(1234), Decimal(5000), Decimal("1234.5"), Decimal(7)]
    assert [price for price, *_ in shown_numbers(org, "products")] == thousands
    assert after("1.235") == [Decimal(1234), Decimal(5000), Decimal(1235), Decimal(7)]
    assert after("1235.25") == [None, None, Decimal("1235.25"), Decimal(7)]
    assert after("1,235.25") == [None, None, None, Decimal(7)]
    assert after("1.234,50") == thousands
    texts = ["1234.00", "5000.00", "1,234.50", "7.5"]
    rows = [{"id": f"{n:03}", "name": "x", "price": text} for n, text in enumerate(texts)]
    org.land_records(SCHEMA, rows)
    org.normalize("products")
    assert [price for price, *_ in shown_numbers(org, "products")] == [
        1234,
        5000,
        Decimal("1234.5"),
        7.5,
    ]


def test_a_first_load_is_not_refused_for_one_field(org: Any) -> None:
    """Values that never fitted are reported and do not hold a table back; values that fitted before do."""
    result = build(org, ["soon" if n % 3 else "1" for n in range(99)])
    assert (result.rows, result.unconverted) == (99, {"p.price": 66})
    org.land_records(SCHEMA, [{"id": "200", "name": "x", "price": "later"}])
    assert org.normalize("products").rows == 100
    build(org, ["1"] * 99, obj="q")
    texts = [{"id": f"{n:03}", "name": "x", "price": "soon"} for n in range(99)]
    org.land_records(Schema("q", "q", SCHEMA.fields), texts)
    with pytest.raises(ContractError, match=r"q\.price fits price: 99 rows"):
        org.normalize("q")
