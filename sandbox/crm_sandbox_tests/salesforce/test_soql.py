from datetime import date, datetime

import pytest

from crm_sandbox.salesforce.errors import ApiError
from crm_sandbox.salesforce.soql import (
    Comparison,
    Item,
    Junction,
    Literal,
    Negation,
    Ordering,
    parse,
)


@pytest.mark.parametrize(
    ("text", "literal"),
    [
        ("'it''s'", None),
        (r"'it\'s'", Literal("string", "it's")),
        (r"'a\nb\\'", Literal("string", "a\nb\\")),
        ("-4.5", Literal("number", -4.5)),
        ("12", Literal("number", 12)),
        ("TRUE", Literal(kind="boolean", value=True)),
        ("null", Literal("null", None)),
        ("2026-01-31", Literal("date", date(2026, 1, 31))),
        (
            "2026-01-31T10:00:00Z",
            Literal("datetime", datetime.fromisoformat("2026-01-31T10:00:00")),
        ),
        (
            "2026-01-31T10:00:00.123+02:00",
            Literal("datetime", datetime.fromisoformat("2026-01-31T08:00:00.123000")),
        ),
        (
            "2026-01-31T10:00:00-0130",
            Literal("datetime", datetime.fromisoformat("2026-01-31T11:30:00")),
        ),
        ("LAST_N_DAYS:30", Literal("period", "LAST_N_DAYS:30")),
        ("2026-01-31T10:00:00 00:00", None),
        ("2026-13-31", None),
        ("Name.First", None),
    ],
)
def test_literals(text: str, literal: Literal | None) -> None:
    """Each kind of value is read as what it is, and anything else is refused."""
    soql = f"SELECT Id FROM Contact WHERE X = {text}"
    if literal is None:
        with pytest.raises(ApiError) as refusal:
            parse(soql)
        assert refusal.value.code == "MALFORMED_QUERY"
    else:
        assert parse(soql).where == Comparison("X", "=", (literal,))


def test_and_binds_closer_than_or() -> None:
    """AND is joined before OR, and NOT belongs to the next condition alone."""
    where = parse("select Id from X where A = 1 or NOT B = 2 and C = 3").where
    one, two, three = (
        Comparison(name, "=", (Literal("number", n),))
        for name, n in zip("ABC", (1, 2, 3), strict=True)
    )
    assert where == Junction("OR", (one, Junction("AND", (Negation(two), three))))


def test_keyset_condition() -> None:
    """The condition of a keyset walk keeps its parentheses and its order."""
    query = parse(
        "SELECT Id FROM Contact WHERE (SystemModstamp > 2026-01-01T00:00:00Z OR (SystemModstamp = "
        "2026-01-01T00:00:00Z AND Id > '003Hr00000072wa')) AND IsDeleted = false "
        "ORDER BY SystemModstamp, Id DESC NULLS LAST LIMIT 10 OFFSET 5"
    )
    assert isinstance(query.where, Junction)
    assert query.where.operator == "AND"
    assert query.order_by == (
        Ordering(Item("SystemModstamp")),
        Ordering(Item("Id"), descending=True, nulls_last=True),
    )
    assert (query.limit, query.offset) == (10, 5)


def test_aggregates() -> None:
    """Functions carry their field and their alias."""
    query = parse(
        "SELECT StageName s, COUNT(Id), SUM(Amount) total FROM Opportunity GROUP BY StageName"
    )
    assert query.items == (
        Item("StageName", "", "s"),
        Item("Id", "COUNT"),
        Item("Amount", "SUM", "total"),
    )
    assert query.is_aggregate
    assert not query.is_count
    assert parse("SELECT COUNT() FROM Contact").is_count


@pytest.mark.parametrize(
    "text",
    [
        "",
        "SELECT FROM Contact",
        "SELECT Id Contact",
        "SELECT Id FROM Contact WHERE",
        "SELECT Id FROM Contact WHERE Name IN ()",
        "SELECT Id FROM Contact WHERE Name = 'x",
        "SELECT Id FROM Contact LIMIT -1",
        "SELECT Id FROM Contact LIMIT 1 garbage",
        "SELECT Id, id FROM Contact",
        "SELECT Id, (SELECT Id FROM Contacts) FROM Account",
        "SELECT Id FROM Contact WHERE Name == 'x'",
        "SELECT Id FROM Contact; DROP TABLE Contact",
        "SELECT FIELDS(SOME) FROM Contact LIMIT 1",
        "UPDATE Contact",
        "SELECT Id FROM Contact WHERE Name = 'x' " + " " * 100_000 + "LIMIT 1",
    ],
)
def test_refused(text: str) -> None:
    """Everything outside the subset is MALFORMED_QUERY, never a guess."""
    with pytest.raises(ApiError) as refusal:
        parse(text)
    assert (refusal.value.status, refusal.value.code) == (400, "MALFORMED_QUERY")


@pytest.mark.parametrize(
    "end",
    [
        "LIMIT 99999999999999999999999",
        "LIMIT 1 OFFSET 99999999999999999999999",
        "WHERE CreatedDate = LAST_N_DAYS:99999999999999999999999",
        "WHERE CreatedDate > NEXT_N_DAYS:999999999",
        "WHERE CreatedDate > 9999-99-99T00:00:00Z",
    ],
)
def test_numbers_beyond_all_measure(client, end: str) -> None:
    """Numbers that no row or day can have make a query that cannot be read."""
    response = client.query(f"SELECT Id FROM Contact {end}")
    assert (response.status_code, response.json()[0]["errorCode"]) == (400, "MALFORMED_QUERY")
