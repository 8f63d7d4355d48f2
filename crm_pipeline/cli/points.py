"""`read`: read single records of an account by their ids, land them, and say what came of each."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from crm_pipeline.kernel.errors import ConfigError

if TYPE_CHECKING:
    from crm_pipeline.settings import ObjectSettings, Settings
    from crm_pipeline.stages.raw import PointRead
    from crm_pipeline.store.tokens.hash_key import HashKey

_UNANSWERED = frozenset({"malformed", "refused", "unreadable"})


def read(
    connection: Annotated[str, typer.Argument(help="A connection of connections.yaml.")],
    obj: Annotated[str, typer.Argument(metavar="OBJECT", help="An object of that connection.")],
    ids: Annotated[
        list[str] | None, typer.Argument(metavar="[ID]...", help="Ids of its records.")
    ] = None,
    *,
    file: Annotated[
        Path | None,
        typer.Option("--file", help="A file with further ids, one a line; - is standard input."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Machine-readable output on stdout.")
    ] = False,
) -> None:
    """Read single records by their ids, land them, and say what came of each.

    A record lands in its present version, whatever landed before; the next refresh brings the tables up to it.
    Nothing else changes: the object counts as read no further, and what a refresh reads stays the same. A record
    counts as deleted only where the vendor says so. The exit code is 1 if an id is malformed, was refused, or its
    record cannot be read.

    For instance:

      crm-pipeline read hubspot_demo contacts 101 102
      crm-pipeline read salesforce_demo Contact --file ids.txt --json
    """
    from crm_pipeline.cli.accounts import account_of
    from crm_pipeline.cli.console import emit_json, working
    from crm_pipeline.cli.workspace import load_settings, ready_data
    from crm_pipeline.stages.raw import read_points
    from crm_pipeline.store.landing import Landing

    settings = load_settings()
    chosen = settings.connection(connection)
    wanted = chosen.object(obj)
    texts = [*(ids or ()), *(_lines(file) if file else ())]
    if not texts:
        raise ConfigError("no id was given.", cure="Name ids, or a file with --file.")
    ready_data(settings)
    with working(f"asking {connection}"), account_of(settings, chosen) as account:
        key = _hash_key(settings, wanted)
        done = read_points(account, wanted, texts, landing=Landing(settings.data), key=key)
    if as_json:
        emit_json(_record(done))
    else:
        _show(done)
    if _UNANSWERED & done.counts.keys():
        raise typer.Exit(1)


def _lines(file: Path) -> list[str]:
    try:
        text = sys.stdin.read() if str(file) == "-" else file.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{file} cannot be read: {type(error).__name__}.",
            cure="Name a text file with one id a line.",
        ) from None
    return [line.strip() for line in text.splitlines() if line.strip()]


def _hash_key(settings: "Settings", obj: "ObjectSettings") -> "HashKey | None":
    from crm_pipeline.store.landing.tombstones import Tombstones
    from crm_pipeline.store.tokens.hash_key import HashKey

    return HashKey.of(settings) if obj.keeps_out or Tombstones.at(settings.data) else None


def _record(done: "PointRead") -> dict[str, Any]:
    return {
        "connection": done.connection,
        "object": done.object,
        "window_id": done.window_id or None,
        "landed": done.records,
        "quarantined": done.quarantined,
        "calls": done.calls,
        "cost": done.cost,
        "unit": done.unit,
        "ids": [{"id": one, **vars(outcome)} for one, outcome in done.outcomes.items()],
        "warnings": list(done.warnings),
    }


def _show(done: "PointRead") -> None:
    from crm_pipeline.cli.console import output, table

    rows = [
        (one, outcome.status.replace("_", " "), outcome.reason)
        for one, outcome in done.outcomes.items()
    ]
    console = output()
    console.print(table(f"{done.connection}.{done.object}", ("id", "outcome", "why"), rows))
    landed = "1 record" if done.records == 1 else f"{done.records:,} records"
    spent = "1 API call" if done.calls == 1 else f"{done.calls:,} API calls"
    if done.unit != "calls":
        spent += f" ({done.cost:,} {done.unit})"
    console.print(f"{landed} landed with {spent}.")
    for text in done.warnings:
        console.print(text, markup=False)
