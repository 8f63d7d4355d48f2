"""Computed fields that change without moving a modification time: a sweep lands just the records that have them."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from crm_pipeline.connectors import unstamped as values
from crm_pipeline.connectors.base import Account
from crm_pipeline.stages.raw import unstamped
from crm_pipeline.stages.raw.unstamped import ObjectSweep
from crm_pipeline.store.sweeps import Sweeps
from crm_pipeline.store.tables.engine import Engine
from crm_pipeline_tests.connectors.conformance import Case, Way
from crm_pipeline_tests.connectors.conformance_harness import ConformanceHarness
from crm_pipeline_tests.connectors.conftest import HarnessOf
from crm_pipeline_tests.connectors.modelled import in_memory
from crm_pipeline_tests.connectors.test_conformance_audit import is_older
from crm_pipeline_tests.connectors.test_conformance_shrink import (
    CADENCE_S,
    COUNTS,
    LISTS,
    METADATA,
    blind,
    emptied,
)
from crm_sandbox.http import Request, Response

COMPUTED: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "salesforce": ("Region_Code__c", {"Region_Code__c": "XX-Other"}),
    "hubspot": ("num_associated_deals", {"num_associated_deals": "77"}),
    "pipedrive": ("notes_count", {}),
    "zoho": ("Region_Code", {"Region_Code": "XX-Other"}),
}
"""By vendor, a field of the case's object that its metadata calls computed, and another value of it. Pipedrive counts
the notes of a person."""


def swept(
    harness: ConformanceHarness, allowed: int | None = None, account: Account | None = None
) -> ObjectSweep:
    """Sweep the case's object."""
    if account is None:
        with harness.account() as opened:
            return swept(harness, allowed, opened)
    objects = tuple(obj for obj in account.connection.objects if obj.name == harness.object)
    account.connection = replace(account.connection, objects=objects)
    unstamped_of = account.unstamped  # type: ignore[attr-defined]
    account.unstamped = lambda *given: [  # type: ignore[attr-defined]
        each for each in unstamped_of(*given) if each.kind == "fields"
    ]
    done = unstamped.sweep(
        account,
        harness.landing,
        Sweeps(harness.settings.data),
        open_engine=lambda: Engine(harness.settings.data / "tmp"),
        allowed=allowed,
        key_of=lambda _: None,
    )
    [fields] = done
    return fields


def recalculated(
    harness: ConformanceHarness, count: int = 2, among: Sequence[str] = ()
) -> set[str]:
    """Change the computed field of some records behind the API; return their ids."""
    _, others = COMPUTED[harness.case.vendor]
    chosen = sorted(among or harness.emulated())[:count]
    for key in chosen:
        if others:
            harness.emulator.formula_change(harness.object, key, **others)
        else:
            harness.emulator.create("notes", person_id=int(key), content="Called back")
    return set(chosen)


def versions(harness: ConformanceHarness) -> dict[str, int]:
    """Count the landed versions of each record by plain SQL over the files."""
    files = str(harness.settings.data / "landing" / "demo" / harness.object / "2*" / "*.parquet")
    sql = "SELECT _source_id, count(*) FROM read_parquet(?, union_by_name = true) GROUP BY ALL"
    return dict(in_memory().execute(sql, [files]).fetchall())


def shown(harness: ConformanceHarness) -> dict[str, Any]:
    """Return the computed field of the newest landed version of each live record."""
    name, _ = COMPUTED[harness.case.vendor]
    return {
        key: one.record.get("properties", one.record).get(name)
        for key, one in harness.live().items()
    }


def more(before: Mapping[str, int], now: Mapping[str, int]) -> dict[str, int]:
    """Return how many versions each record has more than before."""
    counts = {key: now.get(key, 0) - before.get(key, 0) for key in before.keys() | now.keys()}
    return {key: count for key, count in counts.items() if count}


def read_once(harness: ConformanceHarness, **options: Any) -> None:
    harness.extract(mode="refresh", **options)
    harness.advance(CADENCE_S)


def test_just_what_was_recalculated_lands(way: Way, alone: HarnessOf) -> None:
    """However the records were read: a refresh sees no recalculated field, a sweep lands just those records, once each,
    and a second one finds no difference."""
    harness = alone(way.case, contacts=20)
    read_once(harness, route=way.route.name)
    before, old = versions(harness), shown(harness)
    changed = recalculated(harness)
    assert harness.extract(mode="refresh").records == 0
    done = swept(harness)
    assert (done.error, done.is_complete) == ("", True)
    assert more(before, versions(harness)) == dict.fromkeys(changed, 1)
    assert {key for key, value in shown(harness).items() if value != old[key]} == changed
    assert (done.differing, done.landed) == (2, 2)
    assert done.compared == len(harness.live())
    assert harness.landing.windows("demo", harness.object)[-1].kind == "point"
    again = swept(harness)
    assert (again.differing, again.landed, again.compared) == (0, 0, done.compared)


@contextmanager
def answering(
    harness: ConformanceHarness, change: Callable[[Request, Response], Response]
) -> Iterator[None]:
    """Let a function make the answers of the emulator."""
    emulator, handle = harness.emulator, harness.emulator.handle
    emulator.handle = lambda request: change(request, handle(request).unpacked())
    try:
        yield
    finally:
        del emulator.handle


def test_a_list_that_is_empty_by_mistake(case: Case, alone: HarnessOf) -> None:
    """Of a login that sees no records, and of a list that ends early, nothing false lands, and the object is named; the
    next sweep lands the rest, each record once."""
    harness = alone(case, contacts=20)
    read_once(harness)
    before, changed = versions(harness), recalculated(harness, 4)
    with blind(harness):
        unseen = swept(harness)
    assert (unseen.landed, unseen.is_complete) == (0, False)
    assert harness.object in unseen.error
    assert versions(harness) == before
    assert harness.object not in Sweeps(harness.settings.data).at("demo", "fields")
    pages = 0

    def ending(request: Request, response: Response) -> Response:
        nonlocal pages
        try:
            body = json.loads(bytes(response.body))
        except ValueError:
            return response
        lists = [key for key in LISTS if isinstance(body, dict) and len(body.get(key, ())) > 1]
        if METADATA.search(request.path) or not lists:
            return response
        pages += 1
        cut = {**emptied(body), **{key: one for key, one in body.items() if key in COUNTS}}
        return response if pages == 1 else replace(response, body=json.dumps(cut).encode())

    with answering(harness, ending):
        first = swept(harness)
    assert pages > 1
    assert first.error
    assert not first.is_complete
    assert more(before, versions(harness)).keys() <= changed
    assert swept(harness).is_complete
    assert more(before, versions(harness)) == dict.fromkeys(changed, 1)


def test_a_sweep_that_is_cut(case: Case, alone: HarnessOf, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the CRM refuses in the middle, what came before has landed, and the next sweep goes on there."""
    monkeypatch.setattr(values, "SPAN_RECORDS", 6)
    harness = alone(case, contacts=20)
    read_once(harness)
    before = versions(harness)
    changed = recalculated(harness, len(harness.live()))
    spans = 0

    with harness.account() as account:
        plan_sweep = account.plan_sweep  # type: ignore[attr-defined]

        def planned(*arguments: Any) -> Any:
            nonlocal spans
            spans += 1
            return plan_sweep(*arguments)

        account.plan_sweep = planned  # type: ignore[attr-defined]
        refused = Response(403, b'{"message": "no"}')
        with answering(harness, lambda _, response: refused if spans == 3 else response):
            cut = swept(harness, account=account)
    assert cut.error
    assert 0 < cut.compared < len(changed)
    landed = more(before, versions(harness))
    assert len(landed) == cut.compared == cut.landed
    rest = swept(harness)
    assert (rest.error, rest.is_complete) == ("", True)
    assert rest.compared == len(changed) - cut.compared
    assert more(before, versions(harness)) == dict.fromkeys(changed, 1)
    progress = Sweeps(harness.settings.data).at("demo", "fields")[harness.object]
    assert (progress.after, progress.compared) == ("", len(changed))
    kept = Sweeps(harness.settings.data).results("demo")
    assert [
        (one.compared, one.landed, bool(one.error)) for one in kept if one.kind == "fields"
    ] == [
        (cut.compared, cut.landed, True),
        (rest.compared, rest.landed, False),
    ]


def test_an_edit_during_the_sweep(case: Case, alone: HarnessOf) -> None:
    """A record that was edited before the list is left to the refresh, or to the audit where its stamp is older; one that
    is edited between the list and its read lands as it is then; after the refresh all versions that count are the newest."""
    harness = alone(case, contacts=20)
    read_once(harness)
    before, older = (
        versions(harness),
        [key for key, one in harness.emulated().items() if is_older(one)],
    )
    early, late, missed, plain = sorted(recalculated(harness, 4, older))
    last = max(one.modified_at for one in harness.live().values() if one.modified_at)
    stamp = f"{last - timedelta(seconds=1):%Y-%m-%dT%H:%M:%S}+00:00"
    harness.emulator.edit(case.object, missed, stamp=stamp, **{case.text: "Edited late"})
    harness.emulator.edit(case.object, early, **{case.text: "Edited before"})
    harness.advance()
    with harness.account() as account:
        read = account.read

        def edited(*arguments: Any) -> Any:
            harness.emulator.edit(case.object, late, **{case.text: "Edited meanwhile"})
            return read(*arguments)

        account.read = edited  # type: ignore[method-assign]
        done = swept(harness, account=account)
    assert (done.error, done.landed) == ("", 2)
    assert more(before, versions(harness)) == {late: 1, plain: 1}
    harness.advance(CADENCE_S)
    harness.extract(mode="refresh")
    newest, expected = harness.newest(), harness.emulated()
    for key in (early, late, plain):
        landed = newest[key]
        assert landed.modified_at == expected[key].modified_at
        assert case.text_of(landed.record) == expected[key].text


def test_what_it_may_cost(case: Case, alone: HarnessOf, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sweeps that may cost little stay within it, go on where the last one stopped, and come to the end."""
    monkeypatch.setattr(values, "SPAN_RECORDS", 4)
    harness = alone(case, contacts=40)
    read_once(harness)
    with harness.account() as account, Engine(harness.settings.data / "tmp") as engine:
        plans = unstamped.plan_sweep(
            account, harness.landing, Sweeps(harness.settings.data), engine
        )
    [plan] = [each for each in plans if each.fields and each.object == harness.object]
    assert COMPUTED[case.vendor][0] in plan.fields
    assert plan.records == len(harness.live())
    whole = swept(harness)
    assert (whole.is_complete, whole.compared) == (True, plan.records)
    assert whole.cost <= plan.cost
    before, changed = versions(harness), recalculated(harness, 3)
    allowed, sweeps = whole.cost * 3 // 4, 0
    while True:
        done = swept(harness, allowed=allowed)
        assert not done.error
        assert done.cost <= allowed
        sweeps += 1
        if done.is_complete:
            break
        assert sweeps < 20
    assert sweeps > 1
    stuck = swept(harness, allowed=1)
    assert (stuck.compared, "sweep_percent" in stuck.error) == (0, True)
    assert more(before, versions(harness)) == dict.fromkeys(changed, 1)
