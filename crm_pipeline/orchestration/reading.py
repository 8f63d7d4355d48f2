"""How a raw asset reads: the config that a run gives it, and what that means for the months that were selected.

A job says what it does. Whoever materialises an asset by hand says nothing, and selects months: those are read again, as in
any other pipeline, unless they are the newest ones, of which a refresh reads what changed.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Literal

import dagster as dg
from pydantic import Field

from crm_pipeline.kernel.clock import Month
from crm_pipeline.orchestration.names import Names
from crm_pipeline.stages.raw import Mode


class Reading(dg.Config):
    """What a raw asset reads."""

    mode: Literal["auto", "refresh", "range", "recheck"] = Field(
        default="auto",
        description="auto: in a job of ours, what the job is for. By hand, the selected months are read again, whole; where "
        "they are the newest ones, which a refresh touches anyway, or where none are selected, it is a refresh. "
        "refresh: what changed since the watermark, less the look-back; months do not matter. range: the selected months, "
        "whole. recheck: the selected months, of which only what refreshes have missed lands, and is counted.",
    )


def job_modes(connection: str, names: Names) -> Mapping[str, Mode]:
    """Return what the jobs of a connection are for, by their names.

    Dagster applies the config of a job with partitions only where one partition is launched: not to ranges of months, and
    not to runs that were queued by a version without it.
    """
    return {
        names.backfill(connection): "range",
        names.refresh(connection): "refresh",
        names.nightly(connection): "recheck",
    }


def mode_of(
    reading: Reading,
    job: Mode | None,
    selected: tuple[Month, Month] | None,
    refreshed: tuple[Month, Month] | None,
) -> Mode:
    """Return how to read.

    Args:
        reading: the config of the step.
        job: what the job of the run is for; None for Dagster's own job, and for jobs of others.
        selected: the first and the last month of the run's partitions; None without any.
        refreshed: the months that a refresh would touch; None for an object that was never read.
    """
    if reading.mode != "auto":
        return reading.mode
    if job is not None:
        return job
    if selected is None:
        return "refresh"
    if refreshed is None:
        return "range"
    is_newest = refreshed[0] <= selected[0] and refreshed[1] <= selected[1]
    return "refresh" if is_newest else "range"


def config_for(keys: Iterable[dg.AssetKey], mode: Mode) -> dict[str, Any]:
    """Return the run config of a job that reads some raw assets in one way."""
    steps = {key.to_python_identifier(): {"config": {"mode": mode}} for key in keys}
    return {"ops": steps}
