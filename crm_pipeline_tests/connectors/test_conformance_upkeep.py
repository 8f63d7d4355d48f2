"""What automation costs where nothing changes, as told and as spent; for each vendor."""

from crm_pipeline.connectors.registry import connector
from crm_pipeline.orchestration.partitions import is_snapshot
from crm_pipeline.stages.raw import extract, opened, pace, probe, upkeep
from crm_pipeline.store.landing.looks import ConnectionLooks, Looks
from crm_pipeline_tests.connectors.conformance import Case
from crm_pipeline_tests.connectors.conftest import HarnessOf


def test_automation_costs_what_is_stated(case: Case, quiet: HarnessOf) -> None:
    """A round of probes and a refresh that finds nothing cost what the connector says beforehand, without asking;
    the accounts by day are in the same unit."""
    vendor = connector(case.vendor)
    settings = min(vendor.snapshot_objects & set(vendor.default_objects))
    harness = quiet(case, auth=case.metered, objects=(*case.objects, settings))
    connection = harness.settings.connection("demo")
    looks = Looks(harness.settings.data, harness.clock)
    for mode in ("range", "refresh"):
        for obj in connection.objects:
            harness.extract(obj.name, mode=mode)
        harness.advance(900)

    dated = [obj for obj in connection.objects if not is_snapshot(connection, obj)]
    with harness.account() as account:
        before = len(harness.calls())
        stated = pace(harness.settings, account, harness.landing, ConnectionLooks())
        each = {obj.name: upkeep(account, obj, harness.landing) for obj in connection.objects}
        assert len(harness.calls()) == before
        assert not probe(account, dated, harness.landing, looks).news
        assert (account.usage.cost, account.usage.unit) == (stated.probe, stated.unit)
        limit = account.day_limit
        assert limit is not None
    spent = {}
    for obj in connection.objects:
        with opened(harness.settings, "demo", harness.database, clock=harness.clock) as account:
            extract(account, obj, None, mode="refresh", landing=harness.landing)
            spent[obj.name] = account.usage.cost
    # A record of very many fields comes in two answers.
    assert all(0 <= spent[name] - one.refresh <= 1 for name, one in each.items()), (spent, each)
    assert stated.refresh == sum(one.refresh for one in each.values())
    assert {day.unit for day in harness.accounts()} == {stated.unit}
