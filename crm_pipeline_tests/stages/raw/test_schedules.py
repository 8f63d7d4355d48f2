"""Changes, page reads, kills and retries in any order: once it is quiet, the table is what the CRM has."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.schedules import wrong_in
from crm_pipeline.store.landing import compaction
from crm_pipeline.store.tables.engine import Engine
from crm_pipeline_tests.stages.raw.schedules import (
    LOOKBACK_S,
    WRONG,
    ByIdAccount,
    PagedAccount,
    Pipeline,
    Plant,
    Step,
    Unquiet,
)

KEYS, VALUES = st.sampled_from("12345"), st.integers(1, 9)
LAGS = st.sampled_from([0, 0, 1, LOOKBACK_S])
WAITS = st.tuples(st.just("wait"), st.sampled_from([0, 1, 3, 9]))
CHANGES = st.one_of(
    st.tuples(st.just("edit"), KEYS, VALUES, LAGS),
    st.tuples(st.just("edit"), KEYS, VALUES, LAGS),
    st.tuples(st.just("delete"), KEYS, LAGS),
    st.tuples(st.just("merge"), KEYS, KEYS, VALUES),
    WAITS,
)
POINTS = st.tuples(st.just("point"), st.lists(KEYS, min_size=1, max_size=2, unique=True))
BETWEEN = st.lists(
    st.lists(st.one_of(CHANGES, CHANGES, POINTS, st.just(("killed",))), max_size=3), max_size=4
)
REFRESHES = st.tuples(st.just("refresh"), BETWEEN)
STEPS = st.lists(st.one_of(CHANGES, CHANGES, POINTS, REFRESHES), min_size=4, max_size=16)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    with Engine(tmp_path_factory.mktemp("engine"), memory_limit="256MB", threads=1) as made:
        yield made


def is_right(
    new_org: Any,
    engine: Engine,
    steps: Sequence[Step],
    *,
    account: type[PagedAccount] = PagedAccount,
    plant: Plant | None = None,
    counts: bool = False,
) -> bool:
    """Run a schedule, wait until it is quiet, and say whether the table is what the vendor has."""
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(compaction, "KEPT", 1)
        patch.setattr(compaction, "FEWEST", 2)
        org = new_org(Path(folder))
        run = Pipeline(Path(folder), org, engine, account=account, counts=counts)
        if plant is not None:
            plant(patch, run)
        run.refresh()
        for step in steps:
            run.do(step)
        run.wait_until_quiet()
        return run.table() == run.world()


@settings(max_examples=6, deadline=None)
@given(steps=STEPS, account=st.sampled_from([PagedAccount, ByIdAccount]), counts=st.booleans())
def test_any_schedule(
    new_org: Any, engine: Engine, steps: list[Step], account: type[PagedAccount], counts: bool
) -> None:
    """Whatever order edits, deletions, merges, late commits, page reads and kills come in, nothing is lost or doubled."""
    assert is_right(new_org, engine, steps, account=account, counts=counts)


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_algorithm_is_caught(new_org: Any, engine: Engine, name: str) -> None:
    """Each of eight wrong ways to read loses something in a schedule in which ours does not."""
    wrong = WRONG[name]
    ours = ByIdAccount if wrong.account is ByIdAccount else PagedAccount
    assert is_right(new_org, engine, wrong.steps, account=ours)
    try:
        caught = not is_right(
            new_org, engine, wrong.steps, account=wrong.account, plant=wrong.plant
        )
    except Unquiet:
        caught = True
    assert caught


def test_windows_and_fold_in_many_schedules() -> None:
    """The windows that refreshes choose and the fold lose nothing, if the look-back is as long as commits are late."""
    assert wrong_in(seed=1, schedules=400) == 0
    assert wrong_in(seed=1, schedules=400, lookback_s=LOOKBACK_S - 2) > 0
