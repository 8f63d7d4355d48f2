from typing import Any

import dagster as dg
import pytest

from crm_pipeline.kernel.clock import Month
from crm_pipeline.orchestration import raw
from crm_pipeline.orchestration.build import build_defs
from crm_pipeline.orchestration.names import Names
from crm_pipeline.orchestration.partitions import range_tags
from crm_pipeline.orchestration.reading import Reading, job_modes, mode_of
from crm_pipeline.settings import Settings
from crm_pipeline_tests.orchestration.test_assets import DONE, Offline

OLD, LAST, NOW = Month(2024, 3), Month(2026, 10), Month(2026, 11)
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@pytest.mark.parametrize(
    ("selected", "refreshed", "mode"),
    [
        (None, (NOW, NOW), "refresh"),
        (None, None, "refresh"),
        ((NOW, NOW), (NOW, NOW), "refresh"),
        ((NOW, NOW), (LAST, NOW), "refresh"),
        ((LAST, NOW), (NOW, NOW), "range"),
        ((OLD, OLD), (NOW, NOW), "range"),
        ((OLD, OLD), (OLD, NOW), "range"),
        ((OLD, NOW), (OLD, NOW), "refresh"),
        ((OLD, OLD), None, "range"),
        ((NOW, NOW), None, "range"),
    ],
)
def test_months_that_were_selected_by_hand_are_read(
    selected: tuple[Month, Month] | None, refreshed: tuple[Month, Month] | None, mode: str
) -> None:
    """Whole, unless they are those that a refresh touches anyway; an object that was never read has none of these."""
    assert mode_of(Reading(), None, selected, refreshed) == mode


@pytest.mark.parametrize("mode", ["refresh", "range", "recheck"])
def test_a_job_says_how_it_reads(mode: Any) -> None:
    """Whatever the months are; what is typed in at the launch stands."""
    assert mode_of(Reading(), mode, (OLD, OLD), (NOW, NOW)) == mode
    assert mode_of(Reading(mode=mode), "range", (OLD, OLD), (NOW, NOW)) == mode


def test_the_config_of_a_job_shows_what_it_is_for(settings: Settings) -> None:
    """The web interface fills it in; by the job's name it holds for launches that leave it out."""
    defs = build_defs(settings, prefix="eu")
    modes = job_modes("acme", Names("eu"))
    assert {*modes} == {"eu_acme_backfill", "eu_acme_refresh", "eu_acme_nightly"}
    for name, mode in modes.items():
        config = defs.resolve_job_def(name).get_run_config_for_partition_key("2026-02-01")
        read = {step: entry["config"]["mode"] for step, entry in config["ops"].items()}
        assert read["eu__acme__raw__Contact"] == mode
        assert {*read.values()} == {mode}


@pytest.mark.parametrize("prefix", ["", "sales"])
def test_materialize_reads_the_selected_months(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, prefix: str
) -> None:
    """In Dagster's own job for assets, which has no config; a config that is typed in at the launch stands."""
    seen: list[tuple[Any, str]] = []

    def extract(account: Any, obj: Any, window: Any, *, mode: str, **_: Any) -> Any:
        seen.append((window, mode))
        return DONE

    monkeypatch.setattr(raw, "extract", extract)
    defs = build_defs(settings, {"crm": Offline(settings)}, prefix=prefix)
    job = defs.resolve_implicit_global_asset_job_def()
    key = dg.AssetKey([*filter(None, [prefix]), "acme", "raw", "Contact"])
    typed = {"ops": {key.to_python_identifier(): {"config": {"mode": "recheck"}}}}
    for config in ({}, typed):
        done = job.execute_in_process(
            asset_selection=[key],
            tags=range_tags(Month(2026, 1), Month(2026, 2)),
            run_config={**QUIET, **config},
        )
        months = {event.partition for event in done.get_asset_materialization_events()}
        # One event has no month: it is about the whole read.
        assert months - {None} == {"2026-01-01", "2026-02-01"}
    (first, mode), (again, typed_mode) = seen
    assert (first.from_at, first.to_at, mode) == (None, DONE.window.to_at, "range")
    assert (again.from_at, typed_mode) == (Month(2026, 1).start_at, "recheck")
