"""`demo`: fill data/crm.duckdb from scratch, with the sandbox as the CRM."""

import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from crm_pipeline.cli.interruption import interruptible
from crm_pipeline.cli.progress import progress
from crm_pipeline.kernel.errors import ConfigError

if TYPE_CHECKING:
    import dagster as dg

    from crm_pipeline.cli.emulated import WorldChoice
    from crm_pipeline.orchestration.runs import RunSummary
    from crm_pipeline.settings import Settings

QUERY = """\
SELECT connection, stage_label AS stage, currency, count(*) AS deals, sum(amount) AS amount
FROM crm.deals
WHERE NOT is_closed
GROUP BY ALL
ORDER BY connection, amount DESC"""


def demo(
    contacts: Annotated[
        int | None, typer.Option(min=20, help="Size of the world; by default 2,000 contacts.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="The same seed gives the same world.")] = None,
) -> None:
    """Fill data/crm.duckdb from emulated accounts at four CRMs, and show what came out.

    Starts PostgreSQL and the sandbox, reads its accounts through Dagster, publishes, and stops both again.
    Run again it reads what changed since. It never touches an account that is not marked 'sandbox: true'.

    For instance:

      crm-pipeline demo
      crm-pipeline demo --contacts 500
    """
    from crm_pipeline.cli.emulated import choose_world, running
    from crm_pipeline.cli.logs import to_stderr
    from crm_pipeline.cli.sandboxes import require_sandbox
    from crm_pipeline.cli.workspace import load_settings, ready_data, with_dotenv

    to_stderr()
    settings = load_settings()
    names = [name for name, c in settings.connections.items() if c.is_emulated]
    if not names:
        raise ConfigError(
            f"no connection of {settings.file} is marked 'sandbox: true'; demo reads only those.",
            cure="`crm-pipeline init DIR` makes a project with such connections, if the sandbox is installed; "
            "`crm-pipeline backfill CONNECTION` reads your own account.",
        )
    if running(settings) is None:
        require_sandbox()
    ready_data(settings)
    settings = with_dotenv(settings)
    world = choose_world(settings, contacts=contacts, seed=seed)
    _fill(settings, _with_objects(settings, names), world)
    _show_query(settings)


def _with_objects(settings: "Settings", names: list[str]) -> list[str]:
    """Return the connections that have objects, and name the others: a run of no object would only publish."""
    for name in names:
        if not settings.connection(name).objects:
            _say(
                f"{name}: left out, it names no objects; "
                f"`crm-pipeline discover {name} --write` fills them in"
            )
    return [name for name in names if settings.connection(name).objects]


def _fill(settings: "Settings", names: list[str], world: "WorldChoice") -> None:
    from crm_pipeline.cli.emulated import served
    from crm_pipeline.cli.runs import explain, instance_of, publish_all

    started_s = time.monotonic()
    _say(f"[bold]1[/]  sandbox: {world}")
    with served(settings, world):
        _say("[bold]2[/]  PostgreSQL and Dagster")
        with instance_of(settings) as instance:
            summaries = []
            for name in names:
                _say(f"[bold]3[/]  {name}: raw, normalized")
                summaries.append(_run(settings, name, instance))
                explain(summaries[-1])
                if not summaries[-1].is_success:
                    break
                _show_raw(settings, name, summaries[-1])
            _say("[bold]4[/]  verified, enriched, published")
            published = publish_all(settings, instance)
            explain(published)
            if not all(summary.is_success for summary in (*summaries, published)):
                raise typer.Exit(1)
    _show(settings, summaries, published, time.monotonic() - started_s)


def _run(settings: "Settings", name: str, instance: "dg.DagsterInstance") -> "RunSummary":
    from crm_pipeline.orchestration.runs import run_backfill, run_refresh
    from crm_pipeline.store.landing import Landing

    landing = Landing(settings.data)
    has_landed = any(landing.object_reads(name, obj) for obj in landing.objects(name))
    with progress("refresh" if has_landed else "backfill") as on_step:
        if has_landed:
            return interruptible(
                instance,
                lambda: run_refresh(settings, name, instance, publishes=False, on_step=on_step),
            )
        return interruptible(
            instance,
            lambda: run_backfill(
                settings, name, None, None, instance, publishes=False, on_step=on_step
            ),
        )


def _show_raw(settings: "Settings", name: str, summary: "RunSummary") -> None:
    from crm_pipeline.cli.console import output, table
    from crm_pipeline.cli.object_status import objects_of

    rows = [
        (
            entry.name,
            summary.landed.get(entry.name, 0),
            entry.landed,
            entry.last and entry.last.vendor_count,
            entry.comparison,
            entry.last and entry.last.route,
        )
        for entry in objects_of(settings, settings.connection(name))
    ]
    columns = ("object", "landed now", "landed in all", "count of the CRM", "compared", "route")
    output().print(table(f"{name}, raw", columns, rows, numbers=(1, 2, 3)))


def _show(
    settings: "Settings",
    summaries: "Sequence[RunSummary]",
    published: "RunSummary",
    elapsed_s: float,
) -> None:
    """Print what is published, and the sums over all accounts."""
    from crm_pipeline.cli.console import output, table

    console = output()
    rows = _published_rows(settings)
    parts = ("table", "rows", "deleted")
    console.print(table("published in schema crm", parts, rows, numbers=(1, 2)))
    landed = sum(sum(summary.landed.values()) for summary in summaries)
    calls = sum(summary.calls for summary in summaries)
    news = "" if published.rows else " Nothing had changed: what was published stays."
    console.print(
        f"{landed:,} records landed with {calls:,} API calls from {len(summaries)} accounts, "
        f"{sum(count for _, count, _ in rows):,} rows published, {elapsed_s:.1f} s.{news}"
    )


def _published_rows(settings: "Settings") -> list[tuple[str, int, int]]:
    from crm_pipeline.cli.query_result import run
    from crm_pipeline.model.names import literal, quoted
    from crm_pipeline.model.tables import DELETED_SUFFIX

    _, names = run(
        settings.data,
        "SELECT table_name FROM information_schema.tables "
        "WHERE table_schema = 'crm' ORDER BY table_name",
    )
    counts = " UNION ALL ".join(
        f"SELECT {literal(name)}, count(*) FROM crm.{quoted(name)}" for (name,) in names
    )
    rows = {str(name): int(count) for name, count in run(settings.data, counts)[1]}
    return [
        (name, count, rows.get(name + DELETED_SUFFIX, 0))
        for name, count in rows.items()
        if not (name.endswith(DELETED_SUFFIX) and name.removesuffix(DELETED_SUFFIX) in rows)
    ]


def _show_query(settings: "Settings") -> None:
    from crm_pipeline.cli.console import output
    from crm_pipeline.cli.query import show
    from crm_pipeline.cli.query_result import run

    console = output()
    program = _program()
    console.print(f"\n[bold]The open pipeline by stage[/]\n\n{QUERY}")
    show(*run(settings.data, QUERY))
    console.print(
        "Next:\n"
        f"  {program} status    where each object stands\n"
        f"  {program} query 'SELECT full_name, title, email FROM crm.contacts LIMIT 5'\n"
        f"  {program} query --file docs/analysts/13_can_i_trust_it.sql    one of docs/analysts.md\n"
        f"  {program} up    the Dagster UI on the same project\n"
        f"  {program} add    a real account; docs/connections.md goes through it"
    )


def _program() -> str:
    """Return how this program is called from here: by its name, or by its path in a virtual environment."""
    if shutil.which("crm-pipeline"):
        return "crm-pipeline"
    path = Path(sys.executable).with_name("crm-pipeline")
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


def _say(text: str) -> None:
    from crm_pipeline.cli.console import notes

    notes().print(text)
