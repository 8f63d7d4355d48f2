"""Currencies and their rates: from the org's settings into the model's exchange_rates."""

from decimal import Decimal
from pathlib import Path

from crm_pipeline_tests.connectors.modelled import build, rows
from crm_pipeline_tests.connectors.zoho.conftest import ZohoScene, ZohoSceneMaker

OBJECTS = ("Currencies", "Deals")


def rates(scene: ZohoScene, folder: Path) -> dict[str, tuple[Decimal, bool, bool]]:
    build(scene, folder)
    columns = "currency, rate, is_main, is_deleted"
    return {code: told for code, *told in rows(scene, "exchange_rates", columns)}


def test_deals_convert_into_the_home_currency(make_scene: ZohoSceneMaker, tmp_path: Path) -> None:
    """A deal in another currency divides by its rate; a rate that is changed is read again."""
    with make_scene(contacts=20, objects=OBJECTS) as scene:
        first, second, *_ = (row["id"] for row in scene.twin.rows("Deals"))
        scene.twin.edit("Deals", first, Amount=184.0, Currency="EUR")
        scene.twin.edit("Deals", second, Amount=299.0, Currency="JPY")
        scene.advance(60)
        for obj in OBJECTS:
            scene.extract(obj)
        found = rates(scene, tmp_path / "engine")
        assert {code for code, (_, is_main, _) in found.items() if is_main} == {"USD"}
        assert found["USD"][0] == 1
        amounts = {key: told for key, *told in rows(scene, "deals", "source_id, amount, currency")}
        worth = {key: amount / found[code][0] for key, (amount, code) in amounts.items()}
        assert (worth[first], worth[second]) == (200, 2)
        scene.advance(60)
        scene.twin.set_currencies(rates={"EUR": 0.5})
        assert scene.extract("Currencies").changed
        assert rates(scene, tmp_path / "again")["EUR"][0] == Decimal("0.5")


def test_an_org_of_one_currency_has_no_rates(make_scene: ZohoSceneMaker) -> None:
    """Where several currencies are not switched on the list is refused, and that is no failure."""
    with make_scene(contacts=20, objects=OBJECTS) as scene:
        scene.twin.set_currencies(on=False)
        done = scene.extract("Currencies")
        assert (done.read, scene.landed("Currencies")) == (0, [])
        [call] = scene.calls("/org/currencies")
        assert call.status == 403
