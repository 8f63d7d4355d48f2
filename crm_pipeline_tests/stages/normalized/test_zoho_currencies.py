"""The vendor's documented answer of org/currencies, as rows of exchange_rates."""

import importlib
from decimal import Decimal

from crm_pipeline.connectors.zoho.setup import SETUPS
from crm_pipeline.model.schema import Field, Schema

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


RATES: dict[str, tuple[str, str | None]] = {
    "3": ("123456789012345678.12", "41152263004115226.04"),
    "0.1": ("0.3", "3"),
    "1.0": ("10.5", "10.5"),
    "0.000000000001": ("1", "1000000000000"),
    "0.000001": ("999999999999999", None),
    "1e-15": ("1000000", None),
    **dict.fromkeys(("NaN", "inf", "1e400", "0", "-1", "1e26", "soon"), ("5", None)),
}


def test_no_rate_of_a_deal_stops_the_table(org) -> None:
    """Amounts are divided exactly; a rate that cannot be divided by gives NULL."""
    kinds = {"id": "string", "Amount": "decimal", "Exchange_Rate": "double"}
    fields = tuple(Field(name, name, "x", kind) for name, kind in kinds.items())
    records = [
        {"id": f"{n:02}", "Amount": amount, "Exchange_Rate": rate}
        for n, (rate, (amount, _)) in enumerate(RATES.items())
    ]
    org.maps = MAPPING
    org.land_records(Schema("Deals", "Deals", fields), records)
    org.normalize("deals")
    found = org.rows("deals", "source_id, amount_main, custom ->> '$.Exchange_Rate', unconverted")
    expected = [None if main is None else Decimal(main) for _, main in RATES.values()]
    assert [row[1:] for row in found] == [
        (main, rate, None) for rate, main in zip(RATES, expected, strict=True)
    ]
