"""Values that do not fit their column, in new batches and in the others."""

import json
from dataclasses import replace

from crm_pipeline.orchestration.checks import normalized_results
from crm_pipeline.stages.normalized import Normalized, mapping_failures
from crm_pipeline.stages.normalized.mapping_failures import (
    MAPPING,
    counted,
    failing_in,
    judged_mapping,
)

FIELDS = ("Name", "Amount:currency:Amount", "CloseDate:date:Close Date")


def deals(first: int, count: int, bad: int = 0, amount: str = "about 5") -> list[dict[str, str]]:
    """Make deals, the first ones of which have an amount that is no number."""
    return [
        {"Id": f"006{n:012}", "Name": f"Deal {n}", "Amount": amount if n < first + bad else "7"}
        for n in range(first, first + count)
    ]


def build(org, schema_of, rows) -> Normalized:
    org.land(schema_of("Opportunity", *FIELDS), rows)
    return org.normalize("deals")


def said(done: Normalized) -> str | None:
    [check] = [each for each in normalized_results(done) if each.check_name == "mapping"]
    assert check.passed == (not done.failing)
    return check.description


def test_many_failures_in_a_new_batch_are_said_until_they_are_gone(org, schema_of, monkeypatch):
    """The check names field and numbers, also in later builds; the text stays in custom; records read again resolve it."""
    assert not build(org, schema_of, deals(0, 400, bad=2)).failing
    done = build(org, schema_of, deals(1_000, 60, bad=12))
    assert "12 of 60 new records have a value of Opportunity.Amount that does not fit" in str(
        said(done)
    )
    assert "where 0.5% of the others have" in str(said(done))
    custom = org.rows("deals", "custom ->> 'Amount'")
    assert custom.count(("about 5",)) == 14
    monkeypatch.setattr(mapping_failures, "NEWEST", 1)
    done = build(org, schema_of, deals(2_000, 5))
    assert [(each.failures, each.records) for each in done.failing] == [(12, 60)]
    assert not build(org, schema_of, deals(1_000, 12)).failing
    assert json.loads(json.dumps(org.tables.version("normalized/acme/deals").meta["mapping"]))


def test_what_always_failed_is_no_news(org, schema_of):
    """A first load and batches with the usual share of failures pass, and so do few failures of many records."""
    assert not build(org, schema_of, deals(0, 200, bad=30)).failing
    assert not build(org, schema_of, deals(1_000, 100, bad=20)).failing
    assert said(org.normalize("deals")) is None


def test_failures_in_many_small_batches_add_up(org, schema_of):
    """A refresh brings a few records at a time: the newest batches are judged together, however many there were."""
    build(org, schema_of, deals(0, 300))
    counts = [len(build(org, schema_of, deals(n * 1_000, 4, bad=4)).failing) for n in (1, 2, 3)]
    assert counts == [0, 0, 1]


def test_tables_of_earlier_versions_are_judged_from_now_on(org, schema_of):
    """A version without these numbers has no newest batches, and what came after it has."""
    build(org, schema_of, deals(0, 100))
    version = org.tables.version("normalized/acme/deals")
    earlier = replace(version, meta={k: v for k, v in version.meta.items() if k != MAPPING})
    assert failing_in(earlier) == ()
    paths = build(org, schema_of, deals(1_000, 20, bad=15)).version.base
    with org.engine() as engine:
        batches = counted(
            engine, paths, earlier, {"Opportunity.Amount": 15}, is_parent_readable=True
        )
    judged = judged_mapping(batches, earlier)
    assert [each["failures"] for each in judged["failing"]] == [15]
