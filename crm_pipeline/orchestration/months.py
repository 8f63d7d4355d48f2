"""The events of a read of months: one a month with records, and one for the read.

Dagster makes an event for each partition of a run, and has none for a range of them. A read from 2018 on would write a
hundred for an object that changed in three months. Here only months with records get one; that the others were read as
well is stated in Dagster's record of an asset's partitions, which the asset page shows
(docs/decisions/0048). Where Dagster offers no such record, where it plans each month of a run by itself, and in its own
backfills, which wait for an event of each partition, each month gets one.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import dagster as dg
from dagster._core.storage.partition_status_cache import get_and_update_asset_status_cache_value
from dagster._core.storage.tags import BACKFILL_ID_TAG

from crm_pipeline.kernel.clock import Month
from crm_pipeline.orchestration import metadata
from crm_pipeline.orchestration.partitions import month_keys
from crm_pipeline.stages.raw import Extraction
from crm_pipeline.store.landing.freshness import Freshness

MONTHS_READ = "months_read"
MONTHS_EMPTY = "months_without_records"


def tell_months(
    context: dg.AssetExecutionContext,
    done: Extraction,
    fresh: Freshness,
    window_facts: metadata.Metadata,
) -> None:
    """Give each month with records its own numbers, and tell once what was read in all.

    Schema and preview stand at the last month, whose event is the latest one of the asset.

    Args:
        context: of the step that has read the months.
        done: what was read.
        fresh: says which months have been read by now, by this run and by earlier ones.
        window_facts: the metadata about the whole read.
    """
    keys = list(context.partition_keys)
    start = context.assets_def.partitions_def.get_first_partition_key() or keys[0]
    records = month_keys(done.months, start, keys[0], keys[-1])
    sizes = month_keys(done.month_bytes, start, keys[0], keys[-1])
    last = keys[-1]
    for key, count in records.items():
        facts = metadata.month(count, sizes.get(key, 0))
        if key != last:
            context.add_asset_metadata(facts, partition_key=key)
    at_last = metadata.month(records.get(last, 0), sizes.get(last, 0))
    at_last |= metadata.extracted(done) | metadata.complete([fresh])
    if len(keys) == 1:
        context.add_asset_metadata(window_facts | at_last, partition_key=last)
        return
    empty = [key for key in keys if not records.get(key)]
    window_facts = window_facts | {
        MONTHS_READ: len(keys),
        MONTHS_EMPTY: ranges(empty, keys) or "none",
    }
    if not _is_once(context):
        # A backfill of the web interface takes no event without a partition.
        context.add_asset_metadata(window_facts | at_last, partition_key=last)
        return
    context.log_event(dg.AssetMaterialization(context.asset_key, metadata=window_facts))
    context.add_asset_metadata(at_last, partition_key=last)
    _only(context, [key for key in keys if records.get(key) or key == last])
    _state_read(context, {*keys, *_read_by_now(context, fresh)})


def ranges(keys: Sequence[str], every: Sequence[str]) -> str:
    """Return partitions as text: '2018-01 to 2019-03, 2019-05'.

    Args:
        keys: the partitions, in order.
        every: all partitions between the first and the last of them, in order.
    """
    place = {key: number for number, key in enumerate(every)}
    parts: list[list[str]] = []
    for key in keys:
        if parts and place[key] == place[parts[-1][-1]] + 1:
            parts[-1].append(key)
        else:
            parts.append([key])
    return ", ".join(
        str(Month.parse(part[0]))
        if len(part) == 1
        else f"{Month.parse(part[0])} to {Month.parse(part[-1])}"
        for part in parts
    )


def _is_once(context: dg.AssetExecutionContext) -> bool:
    """Say whether months without records need no event of their own.

    Where Dagster plans each month by itself, a month without an event turns red as soon as another object fails in the run.
    """
    storage = context.instance.event_log_storage
    is_planned_once = storage.supports_partition_subset_in_asset_materialization_planned_events
    is_stated = is_planned_once and storage.can_write_asset_status_cache()
    return is_stated and BACKFILL_ID_TAG not in context.run.tags


def _only(context: dg.AssetExecutionContext, keys: Sequence[str]) -> None:
    """Let Dagster make events for some partitions of the step only.

    Dagster (1.13) reads the partitions of an output where it stores it, and has no parameter for them. If a later
    version does that elsewhere, each month has its event again.
    """
    step: Any = context.get_step_execution_context()
    make = step.get_output_context
    subset = context.assets_def.partitions_def.subset_with_partition_keys(keys)

    def narrowed(*arguments: Any, **options: Any) -> Any:
        output = make(*arguments, **options)
        output._asset_partitions_subset = subset  # noqa: SLF001
        return output

    step.get_output_context = narrowed


def _read_by_now(context: dg.AssetExecutionContext, fresh: Freshness) -> set[str]:
    """Return the partitions that landing has read without a gap: what Dagster forgot is stated again."""
    definition = context.assets_def.partitions_def
    if fresh.read_to is None or not isinstance(definition, dg.TimeWindowPartitionsDefinition):
        return set()
    since = fresh.history_from
    return {
        key
        for key in definition.get_partition_keys()
        if Month.parse(key).end_at <= fresh.read_to
        and (since is None or Month.parse(key).start_at >= since)
    }


def _state_read(context: dg.AssetExecutionContext, keys: Iterable[str]) -> None:
    """Add partitions to those of which Dagster knows that they are there."""
    definition = context.assets_def.partitions_def
    assert definition is not None
    known = get_and_update_asset_status_cache_value(
        context.instance, context.asset_key, definition, loading_context=None
    )
    if known is None:
        return
    subset = known.deserialize_materialized_partition_subsets(definition)
    stated = subset.with_partition_keys(keys)
    if stated != subset:
        context.instance.update_asset_cached_status_data(
            context.asset_key,
            known._replace(serialized_materialized_partition_subset=stated.serialize()),
        )
