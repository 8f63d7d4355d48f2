from datetime import datetime

import numpy as np
import pytest

from crm_sandbox.vocabulary import NASTY_VALUES
from crm_sandbox.world import World

NOW = datetime.fromisoformat("2026-11-01T00:00:00")


@pytest.fixture(scope="module")
def cards():
    world = World(7, 6000, NOW)
    return world.contact_cards("salesforce", world.companies())


def test_same_seed_same_world() -> None:
    """The same seed gives the same cards; another seed gives others."""

    def drawn(seed: int):
        world = World(seed, 200, NOW)
        return world.contact_cards("salesforce", world.companies())

    assert drawn(7).equals(drawn(7))
    assert not drawn(7).equals(drawn(8))


def test_crms_share_people() -> None:
    """Two CRMs of one world know the same persons by different cards."""
    world = World(7, 200, NOW)
    one, two = (world.contact_cards(crm, world.companies()) for crm in ("salesforce", "other"))
    assert set(one["person"].to_pylist()) == set(two["person"].to_pylist())
    assert one["email"].to_pylist() != two["email"].to_pylist()


def test_difficulty(cards) -> None:
    """Duplicates, bad addresses, dead numbers and deletions stay in their ranges."""
    share = np.mean(cards["duplicate"].to_numpy())
    assert 0.05 <= share <= 0.08
    verdicts = cards["email_verdict"].to_pylist()
    bad = sum(verdict not in {"valid", "missing"} for verdict in verdicts) / len(verdicts)
    assert 0.15 <= bad <= 0.20
    dead = cards["phone_verdict"].to_pylist().count("dead") / cards.num_rows
    assert 0.32 <= dead <= 0.38
    assert 0.01 <= np.mean(cards["deleted"].to_numpy()) <= 0.04
    assert any(master >= 0 for master in cards["master"].to_pylist())


def test_hard_pairs(cards) -> None:
    """At least 12 % of the true pairs share no e-mail, no phone and no spelling of the name."""
    rows = cards.select(["person", "given", "family", "email", "phone"]).to_pylist()
    first: dict[int, dict] = {}
    pairs = []
    for row in rows:
        if row["person"] in first:
            pairs.append((first[row["person"]], row))
        first.setdefault(row["person"], row)

    def shares(one, two) -> bool:
        same_name = (one["given"], one["family"]) == (two["given"], two["family"])
        return same_name or any(one[k] and one[k] == two[k] for k in ("email", "phone"))

    assert len(pairs) > 300
    assert sum(not shares(*pair) for pair in pairs) / len(pairs) >= 0.12


def test_stamps_in_order(cards) -> None:
    """Nothing is changed before it was created, and nothing happens after the world's present."""
    created, modified, touched = (
        cards[key].to_numpy().astype("datetime64[s]") for key in ("created", "modified", "touched")
    )
    assert (created <= modified).all()
    assert (modified <= touched).all()
    assert touched.max() < np.datetime64(NOW)
    assert created.max() - created.min() > np.timedelta64(7 * 365, "D")


@pytest.mark.parametrize(("contacts", "least"), [(6000, 5000), (300, 30), (5000, 5000)])
def test_burst(contacts: int, least: int) -> None:
    """Statement 22: many rows share one second - at least 5,000 where there are that many."""
    world = World(1, contacts, NOW)
    touched = world.contact_cards("x", world.companies())["touched"].to_numpy()
    assert np.unique(touched, return_counts=True)[1].max() >= least


def test_planted_values(cards) -> None:
    """Every awkward value is on a living card."""
    living = cards.filter(~np.array(cards["deleted"]))
    assert set(NASTY_VALUES) <= set(living["nasty"].to_pylist())
    small = World(7, 300, NOW)
    few = small.contact_cards("salesforce", small.companies())
    assert set(NASTY_VALUES) <= set(few["nasty"].to_pylist())


def test_too_small_world() -> None:
    """A world that cannot hold the mess is refused with a sentence."""
    with pytest.raises(ValueError, match="at least 20 contacts"):
        World(1, 3, NOW)
