"""`status`: where each object stands, read from files only; PostgreSQL need not run."""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from crm_pipeline.kernel.errors import CrmError

if TYPE_CHECKING:
    from crm_pipeline.cli.standing import ObjectStatus
    from crm_pipeline.settings import Connection, Settings


def status(
    as_json: Annotated[bool, typer.Option("--json", help="Machine-readable output.")] = False,
) -> None:
    """Show how far each object has been read, whether counts agree, and what is published.

    Reads files only: it works while runs go on, and without PostgreSQL. Call budgets are shown while
    PostgreSQL runs.

    For instance:

      crm-pipeline status
      crm-pipeline status --json
    """
    from crm_pipeline.cli.console import emit_json
    from crm_pipeline.cli.standing import objects_of
    from crm_pipeline.cli.workspace import load_settings

    settings = load_settings()
    objects = {
        name: objects_of(settings, connection) for name, connection in settings.connections.items()
    }
    budgets = {name: _budget(settings, item) for name, item in settings.connections.items()}
    published = _published(settings)
    if as_json:
        emit_json(
            {
                "data": str(settings.data),
                "published": published,
                "connections": [
                    {
                        "connection": name,
                        "budget": budgets[name],
                        "objects": [entry.record() for entry in objects[name]],
                    }
                    for name in objects
                ],
            }
        )
        return
    _show(settings, objects, budgets, published)


def _published(settings: "Settings") -> Mapping[str, Any]:
    from crm_pipeline.store.published import Snapshots
    from crm_pipeline.store.tables import Tables

    release = Tables(settings.data).current()
    snapshots = Snapshots(settings.data)
    current = snapshots.current()
    return {
        "release": release.number,
        "committed_at": release.committed_at,
        "file": str(snapshots.link) if current else None,
        "snapshot": current.name if current else None,
        "bytes": current.stat().st_size if current else None,
    }


def _budget(settings: "Settings", connection: "Connection") -> list[dict[str, Any]] | None:
    """Return how the call limits of a connection stand; None where PostgreSQL is not running."""
    import psycopg2

    from crm_pipeline.kernel.clock import SystemClock
    from crm_pipeline.store.database import Database, database_url
    from crm_pipeline.store.gate import Gate

    try:
        url = database_url(settings)
        if url is None:
            return None
        with Database(url) as database, Gate(database, SystemClock()) as gate:
            return [asdict(usage) for usage in gate.usage(connection.limit_group)]
    except psycopg2.errors.UndefinedTable:
        return []  # nobody has called anything yet
    except CrmError:
        return None


def _minute(at: datetime | None) -> str | None:
    return at.strftime("%Y-%m-%d %H:%M") if at else None


def _budget_line(usage: Mapping[str, Any]) -> str:
    from crm_pipeline.store.limit_usage import window_words

    name, ours = usage["name"], f"our {usage['ceiling']:,} {usage['unit']}"
    if usage["kind"] == "concurrency":
        return f"budget {name}: {usage['under_way']:,} of {ours} under way"
    window = window_words(usage["period_s"], usage["resets"])
    text = f"budget {name}: {usage['used']:,} of {ours} spent {window}"
    if usage["vendor_ceiling"] is not None and usage["kind"] == "daily":
        text += f" (the vendor counts {usage['vendor_used']:,} of {usage['vendor_ceiling']:,})"
    if len(usage["members"]) > 1:
        text += "; " + ", ".join(f"{who} {used:,}" for who, used in usage["members"].items())
    return text


def _show(
    settings: "Settings",
    objects: "Mapping[str, list[ObjectStatus]]",
    budgets: Mapping[str, list[dict[str, Any]] | None],
    published: Mapping[str, Any],
) -> None:
    from crm_pipeline.cli.console import output, table

    console = output()
    columns = ("object", "read up to", "last read", "windows", "landed rows", "last count", "route")
    for name, entries in objects.items():
        rows = [
            (
                entry.name,
                _minute(entry.watermark),
                _minute(entry.last.committed_at) if entry.last else None,
                entry.windows,
                entry.landed,
                entry.reconciled,
                entry.last and entry.last.route,
            )
            for entry in entries
        ]
        console.print(table(name, columns, rows, numbers=(3, 4)))
        budget = budgets[name]
        for usage in budget or ():
            console.print(_budget_line(usage))
        if budget is None:
            console.print("budget: unknown while PostgreSQL is not running", style="dim")
    if published["file"] is None:
        console.print(f"published: nothing yet in {settings.data}")
    else:
        console.print(
            f"published: release {published['release']} as {published['snapshot']} "
            f"({published['bytes'] / 1e6:,.1f} MB), opened through {published['file']}"
        )
