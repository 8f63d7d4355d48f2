"""`accept-shrink`: a person confirms that records which a vendor does not list any more are gone."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from crm_pipeline.kernel.errors import ConfigError

if TYPE_CHECKING:
    from crm_pipeline.settings import Connection, Settings
    from crm_pipeline.store.landing import Landing
    from crm_pipeline.store.landing.manifest import WindowCommit


@dataclass(frozen=True)
class Pending:
    """A read that is not believed yet.

    Attributes:
        text: what it lacks, and what follows if it is accepted.
        accept: records that it is accepted.
    """

    text: str
    accept: Callable[[], None]


def accept_shrink(
    connection: Annotated[str, typer.Argument(help="A connection of connections.yaml.")],
    obj: Annotated[str, typer.Argument(metavar="OBJECT", help="An object's API name.")],
    *,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Believe that what an object lost since the last good read is really gone.

    A read that holds far less than the one before is not believed: a login that may not see records any more
    gets the same answer as one whose records were deleted. `status` names such reads. Look at the CRM first;
    then this command says how many rows will go, asks, and writes down that just this read is believed. The
    next one that loses much is asked about again.

    For instance:

      crm-pipeline accept-shrink hubspot_acme owners
      crm-pipeline accept-shrink hubspot_acme owners --yes
    """
    from crm_pipeline.cli.console import output
    from crm_pipeline.cli.prompts import Prompter, is_interactive
    from crm_pipeline.cli.workspace import load_settings
    from crm_pipeline.store.landing import Landing

    settings = load_settings()
    chosen = settings.connection(connection)
    landing = Landing(settings.data)
    doubts = pending(settings, chosen, landing, chosen.object(obj).name)
    console = output()
    if not doubts:
        console.print(f"{connection}.{obj}: every read is believed, there is nothing to accept.")
        return
    for doubt in doubts:
        console.print(f"{connection}.{obj}: {doubt.text}", markup=False)
    if not yes and not is_interactive():
        raise ConfigError(
            "nobody can be asked here, and nothing was accepted.",
            cure="Run it in a terminal, or add --yes if you mean it.",
        )
    if not yes and not Prompter(asks=True).confirms("Are they really gone?", proposal=False):
        console.print("Nothing was accepted.")
        raise typer.Exit(1)
    for doubt in doubts:
        doubt.accept()
    console.print(f"Accepted. `crm-pipeline refresh {connection}` brings the tables up to it.")


def pending(
    settings: "Settings", chosen: "Connection", landing: "Landing", obj: str
) -> list[Pending]:
    """Return the reads of an object that are not believed yet."""
    return [
        *_reads(settings, chosen, landing, obj),
        *_descriptions(chosen, landing, obj),
        *_lists(settings, chosen, landing, obj),
    ]


def _reads(
    settings: "Settings", chosen: "Connection", landing: "Landing", obj: str
) -> list[Pending]:
    from crm_pipeline.stages.raw import doubted_reads, shrink_text

    doubted = doubted_reads(landing, chosen.name, obj)
    if not doubted or (shrink := doubted[-1].shrink) is None:
        return []
    last, gone = doubted[-1], _gone_already(settings, chosen, landing, obj)
    other = f"; the other {gone:,} are marked so already" if gone else ""
    return [
        Pending(
            f"{shrink_text(shrink)} (read {last.committed_at:%Y-%m-%d %H:%M} UTC). If it is believed, "
            f"{shrink.rows - gone:,} live rows will be marked as deleted{other}{_once(last)}.",
            lambda: landing.accept(chosen.name, obj, last.window_id),
        )
    ]


def _gone_already(settings: "Settings", chosen: "Connection", landing: "Landing", obj: str) -> int:
    """Return how many of the missing records are deleted in the tables already, such as owners who left."""
    from crm_pipeline.stages.normalized import deleted_ids
    from crm_pipeline.stages.raw import doubted_ids
    from crm_pipeline.store.tables import Tables
    from crm_pipeline.store.tables.engine import Engine

    missing, tables = doubted_ids(landing, chosen.name, obj), Tables(settings.data)
    with Engine(settings.data / "tmp", memory_limit=f"{settings.memory_mb}MB") as engine:
        return len(deleted_ids(engine, tables, chosen.name, obj, missing))


def _once(commit: "WindowCommit") -> str:
    if not commit.unproven:
        return ""
    return (
        f", once {commit.unproven:,} records of it can be read of which nobody knows which they are"
    )


def _descriptions(chosen: "Connection", landing: "Landing", obj: str) -> list[Pending]:
    from crm_pipeline.stages.raw import fields_text, refused_description

    refused = refused_description(landing, chosen.name, obj)
    if refused is None:
        return []
    return [
        Pending(
            f"{fields_text(refused)}. If it is believed, reading goes on without them.",
            lambda: landing.accept_schema(chosen.name, obj, refused.fingerprint),
        )
    ]


def _lists(
    settings: "Settings", chosen: "Connection", landing: "Landing", obj: str
) -> list[Pending]:
    from crm_pipeline.stages.normalized import doubted_lists
    from crm_pipeline.store.tables import Tables

    return [
        Pending(
            f"{doubt}. If it is believed, they will be gone.",
            lambda window=doubt.window_id: landing.accept(chosen.name, obj, window),  # type: ignore[misc]
        )
        for doubt in doubted_lists(landing, Tables(settings.data), chosen.name).get(obj, [])
    ]
