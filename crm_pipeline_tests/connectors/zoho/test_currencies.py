"""Currencies with their rates, from the org's settings into the model's exchange_rates."""

from decimal import Decimal
from pathlib import Path

from crm_pipeline_tests.connectors.modelled import build, rows
from crm_pipeline_tests.connectors.zoho.conftest import ZohoHarness, ZohoHarnessMaker

OBJECTS = ("Currencies", "Deals")


def rates(harness: ZohoHarness, folder: Path) -> dict[str, tuple[Decimal, bool, bool]]:
    build(harness, folder)
    columns = "currency, rate, is_main, is_deleted"
    return {code: values for code, *values in rows(harness, "exchange_rates", columns)}


def test_deals_convert_into_the_home_currency(
    make_harness: ZohoHarnessMaker, tmp_path: Path
) -> None:
    """The amount of a deal in another currency is divided by its rate; changed rates are read again."""
    with make_harness(contacts=20, objects=OBJECTS) as harness:
        first, second, *_ = (row["id"] for row in harness.emulator.rows("Deals"))
        harness.emulator.edit("Deals", first, Amount=184.0, Currency="EUR")
        harness.emulator.edit("Deals", second, Amount=299.0, Currency="JPY")
        harness.advance(60)
        for obj in OBJECTS:
            harness.extract(obj)
        published = rates(harness, tmp_path / "engine")
        assert {code for code, (_, is_main, _) in published.items() if is_main} == {"USD"}
        assert published["USD"][0] == 1
        amounts = {
            key: values for key, *values in rows(harness, "deals", "source_id, amount, currency")
        }
        worth = {key: amount / published[code][0] for key, (amount, code) in amounts.items()}
        assert (worth[first], worth[second]) == (200, 2)
        harness.advance(60)
        harness.emulator.set_currencies(rates={"EUR": 0.5})
        assert harness.extract("Currencies").changed
        assert rates(harness, tmp_path / "again")["EUR"][0] == Decimal("0.5")


def test_an_org_of_one_currency_has_no_rates(make_harness: ZohoHarnessMaker) -> None:
    """Without the feature of several currencies the list is refused, which is no failure."""
    with make_harness(contacts=20, objects=OBJECTS) as harness:
        harness.emulator.set_currencies(on=False)
        done = harness.extract("Currencies")
        assert (done.read, harness.landed("Currencies")) == (0, [])
        [call] = harness.calls("/org/currencies")
        assert call.status == 403
