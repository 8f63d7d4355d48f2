"""`drift`: changed fields of the CRMs, which of them wait for a decision, and the decision."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from crm_pipeline.cli.console import flowing
from crm_pipeline.kernel.errors import ConfigError

if TYPE_CHECKING:
    from crm_pipeline.settings import Settings
    from crm_pipeline.store.drift import Change

drift = typer.Typer(
    name="drift",
    help="Show fields that changed in the CRMs, and decide about them.",
    invoke_without_command=True,
)
JsonOption = Annotated[bool, typer.Option("--json", help="Machine-readable output on stdout.")]
Numbers = Annotated[
    list[int],
    typer.Argument(metavar="NUMBER...", help="Numbers of changes, as `drift` lists them."),
]


@drift.callback()
def overview(context: typer.Context) -> None:
    """Without a command, list the open changes."""
    if context.invoked_subcommand is None:
        show()


def show(
    connection: Annotated[
        str | None, typer.Argument(help="Only this connection; by default all.")
    ] = None,
    *,
    every: Annotated[
        bool, typer.Option("--all", help="Also those that were decided or undone.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """List changed fields: what changed, since when, what it holds back, and what it is concluded from.

    For instance:

      crm-pipeline drift
      crm-pipeline drift show hubspot_acme --all
    """
    from crm_pipeline.cli.console import emit_json, output
    from crm_pipeline.cli.workspace import load_settings
    from crm_pipeline.store.drift import Register

    settings = load_settings()
    if connection:
        settings.connection(connection)
    changes = [
        change
        for change in Register(settings.data).all()
        if (every or change.is_open) and connection in {None, change.connection}
    ]
    if as_json:
        emit_json([change.to_dict() for change in changes])
        return
    console = output()
    if not changes:
        console.print("No changed field waits for a decision.")
    for change in changes:
        console.print(_line(change), markup=False, highlight=False, soft_wrap=True)
        for line in _details(settings, change):
            console.print(f"      {line}", markup=False, highlight=False, soft_wrap=True)


def accept(numbers: Numbers) -> None:
    """Take changes over: tables that they hold back are built again at the next run.

    Where the values show which field has taken the place of a removed one, its mapping is written to
    connections.yaml.

    For instance:

      crm-pipeline drift accept 7
      crm-pipeline drift accept 7 8 9
    """
    from crm_pipeline.cli.console import output
    from crm_pipeline.cli.workspace import load_settings
    from crm_pipeline.store.drift import Register

    settings = load_settings()
    register = Register(settings.data)
    changes = [_undecided(register.change(number)) for number in dict.fromkeys(numbers)]
    console = output()
    for change in changes:
        for line in _mapped(settings, change):
            console.print(line, markup=False, highlight=False, soft_wrap=True)
        register.decide(change.number, "accepted")
        console.print(f"Accepted: [{change.number}] {change.text}.", markup=False, soft_wrap=True)
    _say_next(changes)


def ignore(numbers: Numbers) -> None:
    """Stop asking about changes, and leave connections.yaml as it is.

    For instance:

      crm-pipeline drift ignore 12
    """
    from crm_pipeline.cli.console import output
    from crm_pipeline.cli.workspace import load_settings
    from crm_pipeline.store.drift import Register

    register = Register(load_settings().data)
    changes = [_undecided(register.change(number)) for number in dict.fromkeys(numbers)]
    for change in changes:
        register.decide(change.number, "ignored")
        output().print(f"Ignored: [{change.number}] {change.text}.", markup=False, soft_wrap=True)
    _say_next(changes)


for command in (show, accept, ignore):
    drift.command(help=flowing(command.__doc__ or ""))(command)


def _undecided(change: "Change") -> "Change":
    if not change.is_open:
        raise ConfigError(
            f"change {change.number} is {change.state} already.",
            cure="`crm-pipeline drift` lists those that wait for a decision.",
        )
    return change


def _line(change: "Change") -> str:
    held = ", holds its table back" if change.is_blocking else ""
    state = "" if change.is_open else f", {change.state}"
    since = f"{change.seen_at:%Y-%m-%d %H:%M} UTC"
    return f"[{change.number}] {change.connection}: {change.text} ({change.kind}, since {since}{held}{state})"


def _details(settings: "Settings", change: "Change") -> list[str]:
    from crm_pipeline.stages.normalized import mapping_line

    evidence = ", ".join(
        f"{name.replace('_', ' ')} {value}" for name, value in change.evidence.items()
    )
    lines = [f"evidence: {evidence}"] if evidence else []
    columns = _columns(settings, change) if change.proposal and change.is_open else {}
    if columns:
        line = mapping_line(change.object, columns)
        lines.append(f"`crm-pipeline drift accept {change.number}` writes {line}")
    return lines


def _columns(settings: "Settings", change: "Change") -> dict[str, str | None]:
    """Return the mapping to write for a renamed field; empty where its connection or column is gone."""
    from crm_pipeline.connectors.registry import connector
    from crm_pipeline.stages.normalized import columns_fed

    connection = settings.connections.get(change.connection)
    if connection is None:
        return {}
    maps = connector(connection.vendor).mapping
    fed = columns_fed(connection, maps, change.object, change.field)
    return {change.proposal: fed} if fed else {}


def _mapped(settings: "Settings", change: "Change") -> list[str]:
    """Write the mapping of a renamed field to connections.yaml; return what is said about it."""
    from crm_pipeline.cli.discovery import write_text
    from crm_pipeline.configuration import parse_connections
    from crm_pipeline.settings.document import Document
    from crm_pipeline.settings.editing import with_mapping
    from crm_pipeline.stages.normalized import mapping_line

    columns: dict[str, Any] = _columns(settings, change) if change.proposal else {}
    own = settings.connections[change.connection].mapping.get(change.object, {}) if columns else {}
    if not columns or own.get(change.proposal) == columns[change.proposal]:
        return []
    if change.proposal in own:
        raise ConfigError(
            f"connections.yaml maps {change.object}.{change.proposal} to {own[change.proposal] or 'null'}.",
            cure=f"Map it to {columns[change.proposal]} there, or `drift ignore {change.number}`.",
        )
    text = with_mapping(Document.read(settings.file), change.connection, change.object, columns)
    parse_connections(Document(settings.file, text))
    write_text(settings.file, text)
    line = mapping_line(change.object, columns)
    return [f"Written to {settings.file.name} under {change.connection}: {line}"]


def _say_next(changes: "Sequence[Change]") -> None:
    from crm_pipeline.cli.console import output

    names = sorted(
        {change.connection for change in changes if change.is_blocking or change.proposal}
    )
    for name in names:
        output().print(f"`crm-pipeline refresh {name}` brings its tables up to it.", markup=False)
