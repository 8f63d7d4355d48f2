"""Probes that end before every object was asked about, and up to when a quiet one says that nothing changed."""

from datetime import timedelta

import pytest

from crm_pipeline.kernel.errors import BudgetExhausted
from crm_pipeline.settings import ObjectSettings
from crm_pipeline.stages.raw import probe
from crm_pipeline.store.landing.looks import Looks
from crm_pipeline_tests.harness import Harness


def test_a_budget_that_ends_in_a_round_leaves_the_answers(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The objects that were asked about before are current; the others could not be asked."""
    looks = Looks(harness.settings.data, harness.clock)
    for name in ("Contact", "Opportunity"):
        harness.extract(name)
    harness.advance()

    def answer(_: object, obj: str, *__: object) -> tuple[int, None]:
        if obj == "Opportunity":
            raise BudgetExhausted("demo: nothing is left of today.", wait_s=60.0)
        return 0, None

    monkeypatch.setitem(probe.__globals__, "_news", answer)
    with harness.account() as account, pytest.raises(BudgetExhausted):
        probe(
            account,
            [ObjectSettings("Contact"), ObjectSettings("Opportunity")],
            harness.landing,
            looks,
        )
    stored = looks.at("demo")
    assert (stored.of("Contact").error, stored.of("Contact").current_at) == (
        "",
        harness.clock.now(),
    )
    assert "nothing is left" in stored.of("Opportunity").error


@pytest.mark.parametrize(("ahead_s", "quiet_s"), [(-30, -30), (30, 0)])
def test_quiet_lasts_up_to_the_earlier_of_two_clocks(
    harness: Harness, ahead_s: int, quiet_s: int
) -> None:
    """A vendor whose clock is behind has not seen our present; one that is ahead proves nothing about our future."""
    looks = Looks(harness.settings.data, harness.clock)
    harness.extract("Contact")
    harness.advance(600)
    now = harness.clock.now()
    harness.sandbox.clock.stand_at(now + timedelta(seconds=ahead_s))
    with harness.account() as account:
        assert probe(account, [ObjectSettings("Contact")], harness.landing, looks).quiet
    current_at = looks.at("demo").of("Contact").current_at
    assert current_at is not None
    assert timedelta(0) <= now + timedelta(seconds=quiet_s) - current_at <= timedelta(seconds=2)
