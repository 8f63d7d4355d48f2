"""The vendor's documented answer of org/currencies, as rows of exchange_rates."""

import importlib
from decimal import Decimal

from crm_pipeline.connectors.zoho.setup import SETUPS

MAPPING = importlib.import_module("crm_pipeline.connectors.zoho.mapping").MAPPING


def currency(number: str, code: str, rate: str, *, is_base: bool) -> dict:
    """Return a currency in the shape of get-currencies-data.html."""
    return {
        "symbol": "¤",
        "created_time": "2019-11-08T14:24:56+05:30",
        "is_active": True,
        "exchange_rate": rate,
        "format": {
            "decimal_separator": "Period",
            "thousand_separator": "Comma",
            "decimal_places": "2",
        },
        "created_by": {"name": "Jo", "id": "4150868000000225013"},
        "prefix_symbol": True,
        "is_base": is_base,
        "modified_time": "2019-11-08T14:48:03+05:30",
        "name": f"A currency - {code}",
        "modified_by": {"name": "Jo", "id": "4150868000000225013"},
        "id": number,
        "iso_code": code,
    }


def test_the_documented_answer(org) -> None:
    """Rates are texts of nine decimals and stay exact; the home currency is marked."""
    org.maps = MAPPING
    org.land_records(
        SETUPS["Currencies"].schema("Currencies"),
        [
            currency("4150868000000780002", "DZD", "1.000000000", is_base=True),
            currency("4150868000000781001", "INR", "0.523456789", is_base=False),
        ],
        stamp="modified_time",
    )
    org.normalize("exchange_rates", "acme")
    columns = (
        "exchange_rate_key, currency, rate, is_main, starts_on, epoch_ms(modified_at), unconverted"
    )
    assert org.rows("exchange_rates", columns, "acme") == [
        ("acme:Currencies:4150868000000780002", "DZD", 1, True, None, 1573204683000, None),
        (
            "acme:Currencies:4150868000000781001",
            "INR",
            Decimal("0.523456789"),
            False,
            None,
            1573204683000,
            None,
        ),
    ]
