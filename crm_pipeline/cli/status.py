"""`status`: the status of each object, read from files only; PostgreSQL need not run."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from crm_pipeline.kernel.errors import CrmError

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text

    from crm_pipeline.cli.object_status import ObjectStatus
    from crm_pipeline.settings import Connection, Settings
    from crm_pipeline.store.tables.published import Snapshots

_STYLES = {"failing": "red", "unknown": "red", "late": "yellow", "unread": "yellow"}


def status(
    connection: Annotated[
        str | None, typer.Argument(help="Only this connection, with when it was looked at.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Machine-readable output.")] = False,
) -> None:
    """Show how far each object has been read, what cannot be had, whether counts agree, what is published.

    Reads files only: it works while runs go on, and without PostgreSQL. Call budgets, and for one connection
    what automation costs a day, are shown while PostgreSQL runs. No vendor is asked.

    For instance:

      crm-pipeline status
      crm-pipeline status salesforce_demo
      crm-pipeline status --json
    """
    from crm_pipeline.cli.console import emit_json, output
    from crm_pipeline.cli.new_fields import status_lines, status_of
    from crm_pipeline.cli.object_status import objects_of
    from crm_pipeline.cli.verdict_counts import lines, verdict_counts
    from crm_pipeline.cli.workspace import load_settings

    settings = load_settings()
    chosen = [settings.connection(connection)] if connection else settings.connections.values()
    objects = {c.name: objects_of(settings, c) for c in chosen}
    budgets = {c.name: _budget(settings, c) for c in chosen}
    published = _published(settings)
    verified = verdict_counts(settings.data)
    if as_json:
        emit_json(
            {
                "data": str(settings.data),
                "published": published,
                "verified": verified,
                "connections": [
                    {
                        "connection": name,
                        "budget": budgets[name],
                        "field_backfills": status_of(settings.data, name),
                        "objects": [entry.record() for entry in objects[name]],
                    }
                    for name in objects
                ],
            }
        )
        return
    _show(settings, objects, budgets, published, with_looks=connection is not None)
    for line in (*status_lines(settings.data, objects), *lines(verified)):
        output().print(line, markup=False)


def _published(settings: "Settings") -> Mapping[str, Any]:
    from crm_pipeline.store.tables import Tables
    from crm_pipeline.store.tables.published import Snapshots, release_number

    release = Tables(settings.data).current()
    snapshots = Snapshots(settings.data)
    current = snapshots.current()
    return {
        "release": release.number,
        "published_release": release_number(current) if current else None,
        "problem": _problem(snapshots, release.number),
        "committed_at": release.committed_at,
        "file": str(snapshots.link) if current else None,
        "snapshot": current.name if current else None,
        "bytes": current.stat().st_size if current else None,
        "older_parquet": _older_parquet(settings, release_number(current) if current else 0),
    }


def _older_parquet(settings: "Settings", release: int) -> list[dict[str, Any]]:
    """Return the files of `published/` that hold an earlier release than `crm.duckdb`: name, release and its time."""
    from crm_pipeline.store.files.checksums import Verifier
    from crm_pipeline.store.tables.published_files import PublishedFiles

    try:
        held = PublishedFiles(settings.data / "published", Verifier()).all_held()
    except CrmError:  # the next publish repairs the record
        return []
    return [
        {"file": name, "release": entry.release, "at": entry.at}
        for name, entry in sorted(held.items())
        if entry.release < release
    ]


def _problem(snapshots: "Snapshots", release: int) -> str | None:
    """Return why `crm.duckdb` does not show the last publish; None where it does."""
    try:
        snapshots.require_link()
    except CrmError as error:
        return str(error)
    later = snapshots.later(release)
    if later is None:
        return None
    return (
        f"{snapshots.link} leads to an older snapshot than {later.name}, which was published. Run "
        "`crm-pipeline refresh CONNECTION`, which publishes the newest release again."
    )


def _budget(settings: "Settings", connection: "Connection") -> list[dict[str, Any]] | None:
    """Return the usage of the call limits of a connection; None where PostgreSQL is not running."""
    import psycopg2

    from crm_pipeline.kernel.clock import SystemClock
    from crm_pipeline.ratelimit.limiter import RateLimiter
    from crm_pipeline.store.postgres.database import Database, database_url

    try:
        url = database_url(settings)
        if url is None:
            return None
        with Database(url) as database, RateLimiter(database, SystemClock()) as limiter:
            return [
                {**asdict(usage), "left": usage.left}
                for usage in limiter.usage(connection.limit_group)
            ]
    except psycopg2.errors.UndefinedTable:
        return []  # no call has been made yet
    except CrmError:
        return None


def _minute(at: datetime | None) -> str | None:
    return at.strftime("%Y-%m-%d %H:%M") if at else None


def _budget_line(usage: Mapping[str, Any]) -> str:
    from crm_pipeline.ratelimit.limit_status import window_words

    name, ours = usage["name"], f"our {usage['ceiling']:,} {usage['unit']}"
    if usage["kind"] == "concurrency":
        return f"budget {name}: {usage['under_way']:,} of {ours} under way"
    window = window_words(usage["period_s"], usage["resets"])
    text = f"budget {name}: we spent {usage['counted']:,} of {ours} {window}"
    if usage["vendor_ceiling"] is not None and usage["kind"] == "daily":
        text += f"; the vendor counts {usage['vendor_used']:,} of {usage['vendor_ceiling']:,}"
    if usage["kind"] == "daily":
        text += f"; {usage['left']:,} left"
    if len(usage["members"]) > 1:
        text += "; " + ", ".join(f"{who} {used:,}" for who, used in usage["members"].items())
    return text


def _object_status(name: str, entries: "list[ObjectStatus]") -> "RenderableType":
    from rich.text import Text

    from crm_pipeline.cli.console import table

    columns = (
        *("object", "state", "behind by", "read up to", "last read"),
        *("windows", "landed rows", "last count", "route"),
    )
    rows = [
        (
            entry.name,
            Text(entry.state, style=_STYLES.get(entry.state, "")),
            _age(entry.behind_s),
            _minute(entry.read_to),
            _minute(entry.last.committed_at) if entry.last else None,
            entry.windows,
            entry.landed,
            entry.comparison,
            entry.last and entry.last.route,
        )
        for entry in entries
    ]
    return table(name, columns, rows, numbers=(2, 5, 6))


def _looks(entries: "list[ObjectStatus]") -> "RenderableType":
    from crm_pipeline.cli.console import table

    columns = (
        *("object", "history read from", "last look", "last good look"),
        *("failing since", "tried again at"),
    )
    rows = [
        (
            entry.name,
            "the beginning" if entry.fresh.is_whole else _minute(entry.fresh.history_from),
            _minute(entry.fresh.looked_at),
            _minute(entry.fresh.good_at),
            _minute(entry.fresh.failing_since),
            _minute(entry.fresh.next_try_at),
        )
        for entry in entries
        if entry.fresh is not None
    ]
    return table("looks (UTC)", columns, rows)


def _stale(entries: "list[ObjectStatus]") -> "Iterator[Text]":
    """Yield lines about objects that cannot be read, and about missing history."""
    from rich.text import Text

    fresh = [entry.fresh for entry in entries if entry.fresh is not None]
    for error in dict.fromkeys(row.error for row in fresh if row.state == "unknown"):
        yield Text(error, style="red")
    for line in _errors([entry for entry in entries if entry.state != "unknown"]):
        yield Text(line, style="red")
    parts: dict[datetime, list[str]] = {}
    for entry in entries:
        if entry.fresh is not None and entry.fresh.history_from is not None:
            parts.setdefault(entry.fresh.history_from, []).append(entry.name)
    for history_from, names in sorted(parts.items()):
        text = f"what was last changed before {_minute(history_from)} has not been read of "
        yield Text(text + ", ".join(names), style="yellow")


def _errors(entries: "list[ObjectStatus]") -> Iterator[str]:
    """Yield a line for each error with its objects; a common cause, such as a spent budget, is said once."""
    causes: dict[str, dict[str, list[ObjectStatus]]] = {}
    for entry in entries:
        if entry.fresh is not None and entry.fresh.error:
            problem, _, rest = entry.fresh.error.partition(". ")
            causes.setdefault(rest, {}).setdefault(problem, []).append(entry)
    for rest, problems in causes.items():
        for problem, failing in problems.items():
            names = ", ".join(entry.name for entry in failing)
            since = min(
                (s for e in failing if e.fresh and (s := e.fresh.failing_since)), default=None
            )
            when = f" since {_minute(since)} UTC" if since else ""
            end = f". {rest}" if rest and len(problems) == 1 else "." * (len(problems) > 1)
            yield f"{names} cannot be had{when}: {problem}{end}"
        if rest and len(problems) > 1:
            yield f"all of these: {rest}"


def _age(seconds: float | None) -> str | None:
    from crm_pipeline.connectors.upkeep import span

    return None if seconds is None else span(seconds)


def _show(
    settings: "Settings",
    objects: "Mapping[str, list[ObjectStatus]]",
    budgets: Mapping[str, list[dict[str, Any]] | None],
    published: Mapping[str, Any],
    *,
    with_looks: bool,
) -> None:
    from crm_pipeline.cli.automation import line_of
    from crm_pipeline.cli.console import output

    console = output()
    for name, entries in objects.items():
        console.print(_object_status(name, entries))
        if with_looks:
            console.print(_looks(entries))
        for line in _stale(entries):
            console.print(line)
        for entry in entries:
            for remark in entry.remarks:
                console.print(f"{entry.name}: {remark}", style="yellow", markup=False)
        budget = budgets[name]
        for usage in budget or ():
            console.print(_budget_line(usage))
        if with_looks:
            console.print(line_of(settings, name), markup=False)
        if budget is None:
            console.print("budget: unknown while PostgreSQL is not running", style="dim")
    _show_published(settings, published)


def _show_published(settings: "Settings", published: Mapping[str, Any]) -> None:
    from crm_pipeline.cli.console import output

    console, release = output(), published["release"]
    if published["file"] is not None:
        console.print(
            f"published: release {published['published_release']} as {published['snapshot']} "
            f"({published['bytes'] / 1e6:,.1f} MB), opened through {published['file']}"
        )
        if published["older_parquet"]:
            oldest = min(published["older_parquet"], key=lambda entry: entry["release"])
            console.print(
                f"published/*.parquet: {len(published['older_parquet'])} files wait for their daily turn; "
                f"{oldest['file']} is of release {oldest['release']}, {_minute(oldest['at'])} UTC",
                markup=False,
            )
        if release > published["published_release"] and not published["problem"]:
            console.print(f"release {release} of the tables is not published yet", style="dim")
    elif published["problem"] is None:
        console.print(f"published: nothing yet in {settings.data}")
    if published["problem"]:
        console.print(f"published: {published['problem']}", style="red", markup=False)
