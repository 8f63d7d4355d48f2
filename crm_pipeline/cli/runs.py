"""`backfill` and `refresh`: runs of the Dagster jobs in this process, without the web interface."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from crm_pipeline.cli.interruption import interruptible
from crm_pipeline.cli.progress import progress
from crm_pipeline.kernel.errors import ConfigError

if TYPE_CHECKING:
    import dagster as dg

    from crm_pipeline.kernel.clock import Month
    from crm_pipeline.orchestration.runs import RunSummary
    from crm_pipeline.settings import Settings

ConnectionArgument = Annotated[str, typer.Argument(help="A connection of connections.yaml.")]
JsonOption = Annotated[bool, typer.Option("--json", help="The summary as JSON on stdout.")]


def backfill(
    connection: ConnectionArgument,
    first: Annotated[
        str | None, typer.Option("--from", metavar="YYYY-MM", help="By default the first month.")
    ] = None,
    last: Annotated[
        str | None, typer.Option("--to", metavar="YYYY-MM", help="By default the running month.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Read a range of months of an account whole, and publish.

    It is one run of the same Dagster job that the UI launches, recorded there as well. Months are those
    of the records' last modification; the first one holds everything older, too. Nothing that landed
    before is removed.

    For instance:

      crm-pipeline backfill salesforce_demo
      crm-pipeline backfill salesforce_demo --from 2024-01 --to 2024-12
    """
    from crm_pipeline.orchestration.runs import run_backfill

    months = (_month(first, "--from"), _month(last, "--to"))
    settings = _prepared(connection)
    with instance_of(settings) as instance, progress(f"backfill of {connection}") as told:
        summary = interruptible(
            instance,
            lambda: run_backfill(settings, connection, *months, instance, on_step=told),
        )
    report(settings, summary, as_json=as_json)


def refresh(connection: ConnectionArgument, as_json: JsonOption = False) -> None:
    """Read what changed in an account since the last time, and publish.

    Each object is read from its watermark, less the lookback of the connection; an object that was never
    read is read from the beginning. Where nothing changed nothing is written.

    For instance:

      crm-pipeline refresh salesforce_demo
    """
    from crm_pipeline.orchestration.runs import run_refresh

    settings = _prepared(connection)
    with instance_of(settings) as instance, progress(f"refresh of {connection}") as told:
        summary = interruptible(
            instance, lambda: run_refresh(settings, connection, instance, on_step=told)
        )
    report(settings, summary, as_json=as_json)


@contextmanager
def instance_of(settings: "Settings") -> Iterator["dg.DagsterInstance"]:
    """Open Dagster's storage, starting the embedded PostgreSQL if needed."""
    from crm_pipeline.cli.console import working
    from crm_pipeline.orchestration.instance import opened_instance
    from crm_pipeline.orchestration.reconcile import Here, reconcile
    from crm_pipeline.store.database import database_url, running_database

    with ExitStack() as stack:
        with working("starting PostgreSQL"):
            stack.enter_context(running_database(settings))
            url = database_url(settings)
            assert url is not None
            instance = stack.enter_context(opened_instance(settings, url))
            # A run that was killed would hold its places in the pools for ever.
            reconcile(instance, Here.of(settings))
        yield instance


def report(settings: "Settings", summary: "RunSummary", *, as_json: bool = False) -> None:
    """Say what a run did.

    Raises:
        typer.Exit: it failed; each failed step has been explained on stderr.
    """
    from dataclasses import asdict

    from crm_pipeline.cli.console import emit_json, output

    if as_json:
        emit_json(asdict(summary))
    else:
        landed = sum(summary.landed.values())
        line = f"{summary.job}: {landed:,} records landed with {summary.calls:,} API calls"
        output().print(f"{line}; {_published_line(settings, summary)}.")
    explain(summary)


def explain(summary: "RunSummary") -> None:
    """Write a paragraph for each way in which steps failed, naming those that failed so.

    Raises:
        typer.Exit: the run failed.
    """
    import sys

    from crm_pipeline.cli.failures import paragraph

    steps: dict[str, list[str]] = {}
    for failed in summary.failed:
        steps.setdefault(f"{failed.message} {failed.cure}", []).append(
            failed.step.replace("__", "/", 2)
        )
    for text, names in steps.items():
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        sys.stderr.write(paragraph(f"{', '.join(names[:3])}{more}: {text}") + "\n")
    if not summary.is_success:
        raise typer.Exit(1)


def _published_line(settings: "Settings", summary: "RunSummary") -> str:
    from crm_pipeline.store.published import Snapshots

    if not summary.is_success:
        return "the run failed, what was published before stays"
    current = Snapshots(settings.data).current()
    if not summary.rows:
        return "nothing to publish" if current is None else f"{current.name} is still current"
    return f"{len(summary.rows)} tables published as {current.name if current else '?'}"


def _prepared(connection: str) -> "Settings":
    from crm_pipeline.cli.logs import to_stderr
    from crm_pipeline.cli.workspace import load_settings, ready_data

    to_stderr()
    settings = load_settings()
    settings.connection(connection)
    ready_data(settings)
    return settings


def _month(text: str | None, option: str) -> "Month | None":
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
