"""`backfill` and `refresh`: runs of the Dagster jobs in this process, without the web interface."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from crm_pipeline.cli.amounts import amount
from crm_pipeline.cli.interruption import interruptible
from crm_pipeline.cli.progress import StepCallback, progress
from crm_pipeline.kernel.errors import ConfigError

if TYPE_CHECKING:
    import dagster as dg

    from crm_pipeline.kernel.clock import Month
    from crm_pipeline.orchestration.runs import RunSummary
    from crm_pipeline.settings import Settings

ConnectionArgument = Annotated[str, typer.Argument(help="A connection of connections.yaml.")]
ConnectionsArgument = Annotated[
    list[str] | None,
    typer.Argument(metavar="[CONNECTION]...", help="Connections of connections.yaml."),
]
AllOption = Annotated[bool, typer.Option("--all", help="All connections, one after the other.")]
Run = Callable[["Settings", str, "dg.DagsterInstance", StepCallback, bool], "RunSummary"]
"""Runs a job for one connection; the last argument says whether it publishes."""
JsonOption = Annotated[bool, typer.Option("--json", help="The summary as JSON on stdout.")]


def backfill(
    connections: ConnectionsArgument = None,
    *,
    everything: AllOption = False,
    first: Annotated[
        str | None, typer.Option("--from", metavar="YYYY-MM", help="By default the first month.")
    ] = None,
    last: Annotated[
        str | None, typer.Option("--to", metavar="YYYY-MM", help="By default the running month.")
    ] = None,
    objects: Annotated[
        list[str] | None,
        typer.Option(
            "--object",
            metavar="OBJECT",
            help="Only this object of one connection; may be repeated.",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Read a range of months of accounts whole, and publish.

    It is one run of the same Dagster job that the UI launches, recorded there as well. Months are those
    of the records' last modification; the first one holds everything older, too. Nothing that landed
    before is removed. Several accounts are published together at the end; one that fails does not keep
    back the others.

    For instance:

      crm-pipeline backfill salesforce_demo
      crm-pipeline backfill --all
      crm-pipeline backfill salesforce_demo --from 2024-01 --to 2024-12
      crm-pipeline backfill salesforce_demo --object Case --object Task
    """
    from crm_pipeline.orchestration.runs import run_backfill

    months = (month_of(first, "--from"), month_of(last, "--to"))
    _check_objects(connections or [], objects or [])

    def run(
        settings: "Settings",
        name: str,
        instance: "dg.DagsterInstance",
        on_step: StepCallback,
        publishes: bool,
    ) -> "RunSummary":
        return run_backfill(
            settings,
            name,
            *months,
            instance,
            objects=objects or (),
            publishes=publishes,
            on_step=on_step,
        )

    _run_each("backfill", connections, run, everything=everything, as_json=as_json)


def _check_objects(connections: list[str], objects: list[str]) -> None:
    from crm_pipeline.cli.workspace import load_settings

    if not objects:
        return
    if len(connections) != 1:
        raise ConfigError(
            "--object names objects of one connection.", cure="Name that connection, and no other."
        )
    chosen = load_settings().connection(connections[0])
    for name in objects:
        chosen.object(name)


def refresh(
    connections: ConnectionsArgument = None,
    *,
    everything: AllOption = False,
    as_json: JsonOption = False,
) -> None:
    """Read what changed in accounts since the last time, and publish.

    Each object is read from its watermark, less the lookback of the connection; an object that was never
    read is read from the beginning. Where nothing changed nothing is written. Several accounts are
    published together at the end; one that fails does not keep back the others.

    For instance:

      crm-pipeline refresh salesforce_demo
      crm-pipeline refresh --all
    """
    from crm_pipeline.orchestration.runs import run_refresh

    def run(
        settings: "Settings",
        name: str,
        instance: "dg.DagsterInstance",
        on_step: StepCallback,
        publishes: bool,
    ) -> "RunSummary":
        return run_refresh(settings, name, instance, publishes=publishes, on_step=on_step)

    _run_each("refresh", connections, run, everything=everything, as_json=as_json)


def _run_each(
    verb: str, connections: list[str] | None, run: Run, *, everything: bool, as_json: bool
) -> None:
    from dataclasses import asdict

    from crm_pipeline.cli.console import emit_json
    from crm_pipeline.orchestration.runs import with_published

    settings = _prepared(connections or [], everything=everything)
    names = list(settings.connections) if everything else connections or []
    is_one = len(names) == 1
    summaries = []
    published = None
    with instance_of(settings) as instance:
        for name in names:
            with progress(f"{verb} of {name}") as on_step:
                work = partial(run, settings, name, instance, on_step, is_one)
                summary = interruptible(instance, work)
            summaries.append(summary)
            if not as_json:
                report(settings, summary, publishes=is_one)
        if summaries and not is_one:
            published = publish_all(settings, instance)
    if as_json:
        if published is not None:
            summaries = [with_published(summary, published) for summary in summaries]
        records = [asdict(summary) for summary in summaries]
        emit_json(records if everything or len(names) > 1 else records[0])
        for summary in summaries:
            explain(summary)
    if published is not None:
        explain(published)
        if not as_json:
            _say_published(settings, published)
    if not all(summary.is_success for summary in (*summaries, *([published] if published else []))):
        raise typer.Exit(1)


def publish_all(settings: "Settings", instance: "dg.DagsterInstance") -> "RunSummary":
    """Publish once what the runs of several connections have built; tables of failed steps stay as they were."""
    from crm_pipeline.orchestration.runs import run_publish

    with progress("publish") as on_step:
        return interruptible(instance, lambda: run_publish(settings, instance, on_step=on_step))


def _say_published(settings: "Settings", published: "RunSummary") -> None:
    from crm_pipeline.cli.console import output

    output().print(f"{published.job}: {_published_line(settings, published)}.")


@contextmanager
def instance_of(settings: "Settings") -> Iterator["dg.DagsterInstance"]:
    """Open Dagster's storage, starting the embedded PostgreSQL if needed."""
    from crm_pipeline.cli.console import working
    from crm_pipeline.cli.echoes import without_echoes
    from crm_pipeline.kernel.clock import SystemClock
    from crm_pipeline.orchestration.instance import opened_instance
    from crm_pipeline.store.postgres.database import database_url, running_database
    from crm_pipeline.supervisor.old_runs import remove_old_runs
    from crm_pipeline.supervisor.reconcile import Here, reconcile

    with ExitStack() as stack:
        # Dagster's files in the data folder are for this user alone, as ours are.
        stack.callback(os.umask, os.umask(0o077))
        with working("starting PostgreSQL"):
            stack.enter_context(running_database(settings))
            url = database_url(settings)
            assert url is not None
            instance = stack.enter_context(opened_instance(settings, url))
            # A run that was killed would hold its slots in the pools for ever.
            reconcile(instance, Here.of(settings))
            remove_old_runs(instance, url, settings, SystemClock().now())
        stack.enter_context(without_echoes())
        yield instance


def report(settings: "Settings", summary: "RunSummary", *, publishes: bool = True) -> None:
    """Print the result of a run, and on stderr why steps failed; `publishes` says whether it was to publish."""
    from crm_pipeline.cli.console import output

    landed, filled = sum(summary.landed.values()), sum(summary.filled.values())
    again = f", and {amount(filled, 'records')} read again for new fields," if filled else ""
    calls = amount(summary.calls, "API calls")
    line = f"{summary.job}: {amount(landed, 'records')} landed{again} with {calls}"
    output().print(f"{line}; {_published_line(settings, summary)}." if publishes else f"{line}.")
    for text in (*_gaps(summary), *_missing(summary)):
        output().print(text)
    explain(summary)


def _gaps(summary: "RunSummary") -> Iterator[str]:
    """Yield lines about objects whose older records have not been read."""
    objects: dict[str, list[str]] = {}
    for name, since in summary.partial.items():
        objects.setdefault(since, []).append(name)
    for since, names in sorted(objects.items()):
        yield (
            f"What was last changed before {since} has not been read of {', '.join(names)}; a refresh, or a "
            "backfill from the first month on, reads it."
        )


def _missing(summary: "RunSummary") -> Iterator[str]:
    """Yield a line about objects with records that cannot be read."""
    if not summary.missing:
        return
    counts = ", ".join(f"{records:,} of {obj}" for obj, records in sorted(summary.missing.items()))
    yield f"Records that cannot be read are missing: {counts}; `crm-pipeline status` says why."


def explain(summary: "RunSummary") -> None:
    """Write a paragraph for each error, with the steps that it stopped; ids of calls make no error another one."""
    import re
    import sys

    from crm_pipeline.cli.failures import paragraph

    steps: dict[str, tuple[str, list[str]]] = {}
    for failed in summary.failed:
        step = failed.step.replace("__", "/", 2)
        # The step names its connection.
        message = failed.message.removeprefix(f"{step.partition('/')[0]}: ")
        text = f"{message} {failed.cure}"
        same = re.sub(r" \(correlation id [^)]*\)", "", text)
        steps.setdefault(same, (text, []))[1].append(step)
    for text, names in steps.values():
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        sys.stderr.write(paragraph(f"{', '.join(names[:3])}{more}: {text}") + "\n")


def _published_line(settings: "Settings", summary: "RunSummary") -> str:
    from crm_pipeline.store.tables.published import Snapshots

    current = Snapshots(settings.data).current()
    if not summary.is_success:
        if not summary.rows:
            return "the run failed, what was published before stays"
        # The tables of failed steps are in it unchanged.
        return f"steps failed; what did not is published as {current.name if current else '?'}"
    if not summary.rows:
        return "nothing to publish" if current is None else f"{current.name} is still current"
    return f"{len(summary.rows)} tables published as {current.name if current else '?'}"


def _prepared(connections: list[str], *, everything: bool) -> "Settings":
    from crm_pipeline.cli.logs import to_stderr
    from crm_pipeline.cli.workspace import load_settings, ready_data

    to_stderr()
    settings = load_settings()
    for name in connections:
        settings.connection(name)
    if everything == bool(connections):
        names = ", ".join(settings.connections)
        raise ConfigError(
            "name connections, or say --all, and not both.",
            cure=f"There are: {names or 'none yet'}.",
        )
    ready_data(settings)
    return settings


def month_of(text: str | None, option: str) -> "Month | None":
    """Read the month of an option.

    Raises:
        ConfigError: it is none.
    """
    from crm_pipeline.kernel.clock import Month

    if text is None:
        return None
    try:
        month = Month.parse(text)
        month.start_at  # noqa: B018 - raises for a 13th month
    except (ValueError, IndexError):
        raise ConfigError(
            f"{option} is '{text}', which is no month.", cure="Write it like 2024-01."
        ) from None
    return month
