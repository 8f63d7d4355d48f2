"""One object that cannot be asked about, in a round of probes; for each vendor."""

import pytest

from crm_pipeline.kernel.errors import CrmError
from crm_pipeline.settings import ObjectSettings
from crm_pipeline.stages.raw import probe
from crm_pipeline.store.landing.looks import Looks
from crm_pipeline_tests.connectors.conformance import Case
from crm_pipeline_tests.connectors.conftest import HarnessOf


def test_a_hidden_object_is_that_objects_affair(case: Case, alone: HarnessOf) -> None:
    """The others are asked, whichever comes first; the hidden one is named with its reason, also where people look;
    shown again it is asked about as before. A vendor that is down fails the round."""
    harness = alone(case, contacts=20)
    looks = Looks(harness.settings.data, harness.clock)
    for name in case.objects:
        harness.extract(name)
    hidden, others = case.object, [name for name in case.objects if name != case.object]

    def seen(*names: str) -> tuple[set[str], set[str]]:
        harness.advance(60)
        with harness.account(attempts=1) as account:
            found = probe(account, [ObjectSettings(n) for n in names], harness.landing, looks)
        return set(found.asked), {one.object for one in found.failed}

    harness.emulator.hide_object(hidden)
    assert seen(hidden, *others) == (set(others), {hidden})
    assert seen(*others, hidden) == (set(others), {hidden})
    noted = looks.at("demo")
    assert len(noted.of(hidden).error) > 20
    assert not any(secret in noted.of(hidden).error for secret in harness.secrets)
    assert [noted.of(name).error for name in others] == [""] * len(others)
    harness.emulator.hide_object(hidden, hidden=False)
    assert seen(hidden, *others) == ({hidden, *others}, set())
    assert looks.at("demo").of(hidden).error == ""

    # Where nothing is answered, it is not each object that is at fault: one error, told of all.
    harness.sandbox.faults.order("status", status=503, times=99)
    with pytest.raises(CrmError, match="demo"):
        seen(hidden, *others)
    assert all(looks.at("demo").of(name).error for name in case.objects)
