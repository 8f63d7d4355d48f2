"""Try quarantined records again: read what could not be landed, build tables without them once more, say what came back."""

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from crm_pipeline.settings import Connection, Settings
    from crm_pipeline.store.quarantine import Quarantine, Quarantined


def replayed(settings: "Settings", store: "Quarantine", chosen: "Sequence[Quarantined]") -> bool:
    """Try sets of records again, print what came back, and say whether all steps went well.

    A read of single records from the CRM belongs here as well, for sets whose `source_ids` are known.
    """
    is_well = True
    for name in dict.fromkeys(each.connection for each in chosen):
        own = [each for each in chosen if each.connection == name]
        connection = settings.connection(name)
        for obj in dict.fromkeys(each.object for each in own if each.stage == "landing"):
            _read_again(settings, connection, obj)
        is_well = _built(settings, connection, own) and is_well
        for each in own:
            _say(store, each)
    return is_well


def _read_again(settings: "Settings", connection: "Connection", obj: str) -> None:
    from crm_pipeline.connectors.registry import connector
    from crm_pipeline.stages.normalized import retry
    from crm_pipeline.store.build_lock import building
    from crm_pipeline.store.landing import Landing

    with building(settings.data):
        retry(Landing(settings.data), connection.name, obj, connector(connection.vendor).keys)


def _built(settings: "Settings", connection: "Connection", chosen: "Sequence[Quarantined]") -> bool:
    """Build the tables of sets again, in a run like any other; say whether it went well."""
    from crm_pipeline.cli.interruption import interruptible
    from crm_pipeline.cli.progress import progress
    from crm_pipeline.cli.runs import instance_of, report
    from crm_pipeline.connectors.registry import connector
    from crm_pipeline.orchestration.runs import run_rebuild
    from crm_pipeline.stages.normalized import tables_for

    objects = {each.object for each in chosen}
    fed = tables_for(connection, connector(connection.vendor).mapping)
    tables = [name for name, sources in fed.items() if objects.intersection(sources)]
    if not tables:
        return True
    with instance_of(settings) as instance, progress(f"replay of {connection.name}") as on_step:
        run = partial(run_rebuild, settings, connection.name, tables, instance, on_step=on_step)
        summary = interruptible(instance, run)
    report(settings, summary)
    return summary.is_success


def _say(store: "Quarantine", before: "Quarantined") -> None:
    from crm_pipeline.cli.console import output

    now = (each for each in store.sets(before.connection, before.object) if not each.is_dropped)
    left = next((each.records for each in now if each.id == before.id), 0)
    back = max(0, before.records - left)
    where = f"[{before.id}] {before.connection}.{before.object}"
    why = "" if not left else f"; {left:,} cannot be used still: {before.reason}"
    text = f"{where}: {back:,} of {before.records:,} records came back{why}."
    output().print(text, markup=False, highlight=False, soft_wrap=True)
