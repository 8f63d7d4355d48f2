"""What is asked for, and whether it fits: addresses and bodies of searches have a greatest length."""

from types import SimpleNamespace
from typing import Any

import pytest

from crm_pipeline.connectors.hubspot.selection import Selection, between, encoded
from crm_pipeline.kernel.clock import Window, parse_instant
from crm_pipeline_tests.connectors.hubspot.test_meter import meter

WINDOW = Window(parse_instant("2026-01-01T00:00:00Z"), parse_instant("2026-02-01T00:00:00Z"))


def selection(properties: int = 3, width: int = 20, **changes: Any) -> Selection:
    names = tuple(f"p{number:0{width - 1}d}" for number in range(properties))
    given: dict[str, Any] = {
        "name": "contacts",
        "cursor_field": "lastmodifieddate",
        "properties": names,
        "history": (),
        "others": (),
        "window": WINDOW,
    }
    return Selection(**{**given, **changes})


def api() -> Any:
    at = SimpleNamespace(objects=lambda name: f"/crm/objects/2026-09/{name}")
    return SimpleNamespace(meter=meter(), at=at)


def test_a_window_is_half_open_in_milliseconds() -> None:
    """From its beginning on, and before its end."""
    assert selection().conditions() == [
        {"propertyName": "lastmodifieddate", "operator": "GTE", "value": "1767225600000"},
        {"propertyName": "lastmodifieddate", "operator": "LT", "value": "1769904000000"},
    ]
    assert [x["operator"] for x in selection(window=Window(None, WINDOW.to_at)).conditions()] == [
        "LT"
    ]
    assert selection(window=None).conditions() == []


def test_an_edge_between_two_milliseconds() -> None:
    """Records have whole milliseconds: the next one is the edge, on both sides of it."""
    at = parse_instant("2026-01-01T00:00:00.0005Z")
    assert [x["value"] for x in selection(window=Window(at, at)).conditions()] == [
        "1767225600001"
    ] * 2


def test_ids_are_a_half_open_range() -> None:
    """The whole range needs no filter, its upper part no lower one."""
    assert between(0, None) == []
    assert [(x["operator"], x["value"]) for x in between(5, 9)] == [("GTE", "5"), ("LT", "9")]


@pytest.mark.parametrize("count", [1, 60, 109, 110, 111, 112, 113, 130, 500])
def test_a_search_that_does_not_fit_is_known_beforehand(count: int) -> None:
    """No body that is sent has more than 3,000 characters, whatever ids and stamps are in it."""
    made = selection(count)
    longest = encoded(made.search_body([*made.conditions(), *between(10**18, 10**18)]))
    assert made.fits_search(api()) == (len(longest) <= 3_000)
    keys = made.keys_only
    assert len(encoded(keys.search_body([*keys.conditions(), *between(10**18, 10**18)]))) < 3_000


@pytest.mark.parametrize(("count", "fits"), [(3, True), (600, True), (800, False)])
def test_a_list_that_does_not_fit_is_known_beforehand(count: int, fits: bool) -> None:
    """No address gets longer than 15,000 characters."""
    assert selection(count).fits_list(api()) is fits


def test_histories_are_never_searched_for() -> None:
    """A search does not show them; a list does."""
    deals = selection(name="deals", history=("dealstage",))
    assert not deals.fits_search(api())
    assert deals.fits_list(api())
    assert deals.list_query()["propertiesWithHistory"] == "dealstage"
    assert "propertiesWithHistory" not in deals.keys_only.list_query()
