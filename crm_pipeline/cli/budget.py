"""`budget`: show the call limits of connections, and forget counters that are wrong."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from crm_pipeline.cli.console import flowing
from crm_pipeline.kernel.errors import ConfigError

if TYPE_CHECKING:
    from crm_pipeline.ratelimit.limit_status import Forgotten, LimitStatus
    from crm_pipeline.ratelimit.limiter import RateLimiter
    from crm_pipeline.settings import Settings

budget = typer.Typer(
    name="budget",
    help="Show how call limits stand, and forget counters that are wrong.",
    no_args_is_help=True,
)
JsonOption = Annotated[bool, typer.Option("--json", help="Machine-readable output on stdout.")]


def show(
    connection: Annotated[
        str | None, typer.Argument(help="Only this connection; by default all.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show how each call limit stands: what we counted, and what the vendor's own counter says.

    For instance:

      crm-pipeline budget show
      crm-pipeline budget show salesforce_acme --json
    """
    from crm_pipeline.cli.console import emit_json
    from crm_pipeline.cli.workspace import load_settings

    settings = load_settings()
    names = [settings.connection(connection).name] if connection else list(settings.connections)
    groups = list(dict.fromkeys(settings.connections[name].limit_group for name in names))
    with _limiter(settings) as limiter:
        status = {group: limiter.usage(group) for group in groups}
    if as_json:
        emit_json([_record(settings, group, limits) for group, limits in status.items()])
        return
    for group, limits in status.items():
        _show(settings, group, limits)


def reset(
    connection: Annotated[str, typer.Argument(help="A connection of connections.yaml.")],
    *,
    only_counted: Annotated[
        bool, typer.Option("--counted", help="Only what we counted ourselves.")
    ] = False,
    only_vendor: Annotated[
        bool, typer.Option("--told", help="Only what the vendor's own counters said.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Forget the counters of a connection's limits, when they are wrong: ours and the vendor's.

    The vendor's next response states its counter again. Nothing states what we counted: if calls of today
    are forgotten, later ones may be too many for the vendor, which then refuses them. Connections of the same
    `limit_group` share the counters. It is safe while runs go on: calls under way still count.

    For instance:

      crm-pipeline budget reset salesforce_acme
      crm-pipeline budget reset salesforce_acme --told
    """
    from crm_pipeline.cli.console import emit_json, say
    from crm_pipeline.cli.workspace import load_settings

    if only_counted and only_vendor:
        raise ConfigError(
            "--counted and --told exclude each other.", cure="Leave both out for both."
        )
    settings = load_settings()
    group = settings.connection(connection).limit_group
    with _limiter(settings) as limiter:
        forgotten = limiter.forget(group, counted=not only_vendor, reported=not only_counted)
    if as_json:
        emit_json({"limit_group": group, "forgotten": [asdict(limit) for limit in forgotten]})
        return
    shared = _members(settings, group)
    also = f", shared by {', '.join(shared)}" if len(shared) > 1 else ""
    if not forgotten:
        say(f"limit group {group}{also}: no calls have been counted, there is nothing to forget.")
    for limit in forgotten:
        say(f"limit group {group}{also}: {_words(limit)}")


@contextmanager
def _limiter(settings: "Settings") -> "Iterator[RateLimiter]":
    from crm_pipeline.cli.logs import to_stderr
    from crm_pipeline.kernel.clock import SystemClock
    from crm_pipeline.ratelimit.limiter import RateLimiter
    from crm_pipeline.store.postgres.database import running_database

    to_stderr()
    with running_database(settings) as database, RateLimiter(database, SystemClock()) as limiter:
        yield limiter


def _record(settings: "Settings", group: str, limits: "list[LimitStatus]") -> dict[str, Any]:
    return {
        "limit_group": group,
        "connections": _members(settings, group),
        "limits": [{**asdict(limit), "left": limit.left} for limit in limits],
    }


def _members(settings: "Settings", group: str) -> list[str]:
    return [
        name for name, connection in settings.connections.items() if connection.limit_group == group
    ]


def _words(forgotten: "Forgotten") -> str:
    parts = []
    if forgotten.counted is not None:
        parts.append(f"{forgotten.counted:,} {forgotten.unit} that we counted")
    if forgotten.vendor_ceiling is not None:
        parts.append(
            f"the vendor's counter, {forgotten.vendor_used:,} of {forgotten.vendor_ceiling:,}"
        )
    return (
        f"{forgotten.name}: forgot {' and '.join(parts) or 'nothing, the vendor had told nothing'}."
    )


def _show(settings: "Settings", group: str, limits: "list[LimitStatus]") -> None:
    from crm_pipeline.cli.console import output, table
    from crm_pipeline.ratelimit.limit_status import window_words

    members = _members(settings, group)
    title = group if members == [group] else f"{group}: {', '.join(members)}"
    rows = [
        (
            limit.name,
            limit.unit,
            limit.counted + limit.under_way,
            limit.ceiling,
            limit.left,
            "at once"
            if limit.kind == "concurrency"
            else window_words(limit.period_s, limit.resets),
            limit.vendor_used,
            limit.vendor_ceiling,
            f"{limit.observed_at:%Y-%m-%d %H:%M} UTC" if limit.observed_at else None,
        )
        for limit in limits
    ]
    columns = (
        *("limit", "unit", "we counted", "our share", "left", "over"),
        *("vendor counts", "of", "told at"),
    )
    console = output()
    if rows:
        console.print(table(title, columns, rows, numbers=(2, 3, 4, 6, 7)))
        for limit in limits:
            if limit.kind == "daily" and not limit.left:
                console.print(_spent(limit, (members or [group])[0]), style="yellow", markup=False)
    else:
        console.print(f"{title}: no calls have been counted yet.")


def _spent(limit: "LimitStatus", member: str) -> str:
    """Say which counter shows that a daily limit is spent, and when calls are free again."""
    from crm_pipeline.ratelimit.limit_status import reset_words, return_words

    if not limit.is_spent_by_vendor:
        return f"{limit.name}: spent by our own count; {return_words(limit)}."
    return (
        f"{limit.name}: spent by the vendor's counter, which holds what others took as well; we counted "
        f"{limit.counted:,}. It is asked again once an hour; {return_words(limit)}. {reset_words(member)}"
    )


for _command in (show, reset):
    budget.command(help=flowing(_command.__doc__ or ""))(_command)
