"""The usual price of a product, from price books, when tables are published."""

from decimal import Decimal

import duckdb
import pytest

from crm_pipeline.model.account import AccountFacts
from crm_pipeline.store.landing.account_facts import note_facts
from crm_pipeline_tests.stages.published.conftest import land

STANDARD = "price_book=Standard is_standard=true is_active=true"
PARTNERS = "price_book=Partners is_standard=false is_active=true"
PRODUCTS = {
    # Its rates are against EUR.
    "several": """
        1 name=both currency=USD
        2 name=dollars_only currency=EUR
        3 name=no_entries currency=USD
        4 name=own price=7.5 currency=USD
        5 name=own_without_currency price=7.5
        6 name=other_book
        7 name=inactive
        8 name=deleted_entry
        9 name=two_prices
        10 name=the_same_twice
        11 name=gone archived=true
        12 name=free
        13 name=precise
        14 name=no_book_known""",
    # One currency, which the account tells; one that tells none.
    "single": "1 name=a\n2 name=no_entries",
    "silent": "1 name=a",
    # Books in another currency than the account's; in two of which neither is; without a standard one.
    "pounds": "1 name=a\n2 name=inactive_in_dollars currency=USD",
    "foreign": "1 name=a\n2 name=b",
    "partners": "1 name=a",
    "mixed": "1 name=a\n2 name=b",
}
PRICES = {
    "several": f"""
        1 product=1 price=100 currency=USD {STANDARD}
        2 product=1 price=90 currency=EUR {STANDARD}
        3 product=1 price=80 currency=EUR {PARTNERS}
        4 product=2 price=50 currency=USD {STANDARD}
        5 product=4 price=1 currency=EUR {STANDARD}
        6 product=5 price=1 currency=EUR {STANDARD}
        7 product=6 price=60 currency=EUR {PARTNERS}
        8 product=7 price=70 currency=EUR is_standard=true is_active=false
        9 product=8 price=80 currency=EUR {STANDARD} archived=true
        10 product=9 price=1 currency=EUR {STANDARD}
        11 product=9 price=2 currency=EUR {STANDARD}
        12 product=10 price=3 currency=EUR {STANDARD}
        13 product=10 price=3.0 currency=EUR {STANDARD}
        14 product=11 price=11 currency=EUR {STANDARD}
        15 product=12 price=0 currency=EUR {STANDARD}
        16 product=13 price=0.000000000001 currency=EUR {STANDARD}
        17 product=14 price=14 currency=EUR is_active=true""",
    "single": f"1 product=1 price=10 {STANDARD}",
    "silent": f"1 product=1 price=10 {STANDARD}",
    "pounds": f"""
        1 product=1 price=5 currency=GBP {STANDARD}
        2 product=1 price=4 currency=USD {PARTNERS}
        3 product=2 price=6 currency=USD is_standard=true is_active=false
        4 product=2 price=6 currency=USD {STANDARD} archived=true
        5 product=2 currency=USD {STANDARD}""",
    "foreign": f"""
        1 product=1 price=5 currency=GBP {STANDARD}
        2 product=2 price=6 currency=CHF {STANDARD}""",
    "partners": f"1 product=1 price=5 currency=USD {PARTNERS}",
    # What names no currency is in the account's.
    "mixed": f"""
        1 product=1 price=5 currency=GBP {STANDARD}
        2 product=2 price=6 {STANDARD}""",
}
TOLD = {"single": "USD", "pounds": "USD", "foreign": "USD", "partners": "USD", "mixed": "USD"}


@pytest.fixture(scope="module")
def prices(tmp_path_factory, new_org):
    """Products and their price books in accounts of all kinds."""
    org = new_org(tmp_path_factory.mktemp("prices") / "data")
    for connection, products in PRODUCTS.items():
        land(org, "products", products, connection=connection)
        land(org, "product_prices", PRICES[connection], connection=connection)
        for table in ("products", "product_prices"):
            org.normalize(table, connection)
    rates = "1 currency=EUR rate=1 is_main=true\n2 currency=USD rate=1.25"
    land(org, "exchange_rates", rates, connection="several")
    org.normalize("exchange_rates", "several")
    for connection, currency in TOLD.items():
        note_facts(org.landing, connection, AccountFacts("", currency, ""))
    org.publish()
    return org


def priced(org, connection, table="products"):
    """Return price and currency by the product's number."""
    sql = (
        f"SELECT source_id::INT, price, currency FROM crm.{table} WHERE connection = '{connection}'"
    )
    return {number: price for number, *price in org.query(sql)}


def test_the_price_is_that_of_the_standard_book_in_the_main_currency(prices):
    """The standard price comes with its own currency; inactive, deleted and other books' prices do not count."""
    assert priced(prices, "several") == {
        1: [Decimal(90), "EUR"],
        2: [None, "EUR"],
        3: [None, "USD"],
        # What a record says itself stays as it is.
        4: [Decimal("7.5"), "USD"],
        5: [Decimal("7.5"), None],
        6: [None, None],
        7: [None, None],
        8: [None, None],
        # Two prices that differ: none rather than the wrong one.
        9: [None, None],
        10: [Decimal(3), "EUR"],
        12: [Decimal(0), "EUR"],
        13: [Decimal("0.000000000001"), "EUR"],
        14: [None, None],
    }
    assert priced(prices, "several", "products_deleted") == {11: [Decimal(11), "EUR"]}


@pytest.mark.parametrize(
    ("connection", "expected"),
    [
        ("single", {1: [Decimal(10), "USD"], 2: [None, None]}),
        ("silent", {1: [Decimal(10), None]}),
        ("pounds", {1: [Decimal(5), "GBP"], 2: [None, "USD"]}),
        ("foreign", {1: [None, None], 2: [None, None]}),
        ("partners", {1: [None, None]}),
        ("mixed", {1: [None, None], 2: [Decimal(6), "USD"]}),
    ],
)
def test_books_and_currencies_of_other_accounts(prices, connection, expected):
    """A price without a currency is in the account's; a book with one currency uses it; of several the main one counts."""
    assert priced(prices, connection) == expected


def test_prices_stand_in_a_table_of_their_own(prices):
    """product_prices has every live price of every book, in its file too; the products' file has the usual price."""
    sql = (
        "SELECT source_id::INT, product_key, price_book, is_standard, price, currency, is_active "
        "FROM crm.product_prices WHERE connection = 'pounds' ORDER BY 1"
    )
    key = "pounds:products:{}".format
    assert prices.query(sql) == [
        (1, key(1), "Standard", True, Decimal(5), "GBP", True),
        (2, key(1), "Partners", False, Decimal(4), "USD", True),
        (3, key(2), None, True, Decimal(6), "USD", False),
        (5, key(2), "Standard", True, None, "USD", True),
    ]
    with duckdb.connect() as other:
        file = prices.data / "published" / "products.parquet"
        sql_of_file = (
            f"SELECT source_id::INT, price, currency FROM '{file}' WHERE connection = 'pounds'"
        )
        assert sorted(other.execute(sql_of_file).fetchall()) == [
            (1, Decimal(5), "GBP"),
            (2, None, "USD"),
        ]


def test_a_price_alone_is_published(tmp_path, new_org):
    """Products from before prices were read are published unchanged; then prices are filled in."""
    org = new_org(tmp_path / "data")
    land(org, "products", "1 name=a\n2 name=b price=5 currency=EUR")
    org.normalize("products")
    own = {2: [Decimal(5), "EUR"]}
    for price in (None, Decimal(6), Decimal(7)):
        if price:
            land(org, "product_prices", f"1 product=1 price={price} {STANDARD}")
            org.normalize("product_prices")
        org.publish()
        assert priced(org, "acme") == {1: [price, None]} | own
        assert org.query("SELECT count(*) FROM crm.product_prices") == [(int(bool(price)),)]
        with duckdb.connect() as other:
            file = org.data / "published" / "products.parquet"
            rows = other.execute(f"SELECT price FROM '{file}' ORDER BY source_id").fetchall()
        assert rows == [(price,), (Decimal(5),)]
