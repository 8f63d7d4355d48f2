"""`quarantine`: records that could not be used, why, and what becomes of them."""

from typing import TYPE_CHECKING, Annotated

import typer

from crm_pipeline.cli.console import flowing
from crm_pipeline.kernel.errors import ConfigError

if TYPE_CHECKING:
    from crm_pipeline.settings import Settings
    from crm_pipeline.store.quarantine import Quarantine, Quarantined

quarantine = typer.Typer(
    name="quarantine",
    help="List records that could not be used, and try them again or drop them.",
    invoke_without_command=True,
)
JsonOption = Annotated[bool, typer.Option("--json", help="Machine-readable output on stdout.")]
IdArgument = Annotated[
    str, typer.Argument(metavar="ID", help="Of a set of records, as `quarantine list` shows it.")
]
IdsArgument = Annotated[
    list[str],
    typer.Argument(metavar="ID...", help="Of sets of records, as `quarantine list` shows them."),
]


@quarantine.callback()
def overview(context: typer.Context) -> None:
    """Without a command, list what waits for a decision."""
    if context.invoked_subcommand is None:
        show()


def show(
    connection: Annotated[
        str | None, typer.Argument(help="Only this connection; by default all.")
    ] = None,
    *,
    obj: Annotated[
        str | None, typer.Option("--object", metavar="OBJECT", help="Only this object.")
    ] = None,
    reason: Annotated[
        str | None, typer.Option("--reason", help="Only reasons that hold this text.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Also records that were dropped.")] = False,
    as_json: JsonOption = False,
) -> None:
    """List the records that could not be used, by object and reason: how many, since when, set aside where.

    `landing`: they could not be read when they came. `normalized`: their table is built without them. `contract`: they
    break a rule of a contract. Reads files only, and works without PostgreSQL.

    For instance:

      crm-pipeline quarantine
      crm-pipeline quarantine list hubspot_acme --object contacts --all
      crm-pipeline quarantine list --json
    """
    from crm_pipeline.cli.console import emit_json, output, table
    from crm_pipeline.cli.workspace import load_settings

    settings = load_settings()
    if connection:
        settings.connection(connection)
    sets = [
        each
        for each in _quarantine(settings).sets(connection, obj)
        if (every or not each.is_dropped) and (reason or "") in each.reason
    ]
    if as_json:
        emit_json([each.to_dict() for each in sets])
        return
    if not sets:
        output().print("No record is in quarantine.")
        return
    rows = [
        (
            each.id,
            f"{each.connection}.{each.object}",
            each.table or None,
            f"{each.stage}, dropped" if each.is_dropped else each.stage,
            each.reason,
            each.records,
            f"{each.since:%Y-%m-%d %H:%M}",
            f"{each.last_seen_at:%Y-%m-%d %H:%M}",
        )
        for each in sets
    ]
    columns = ("id", "object", "table", "set aside in", "reason", "records", "since", "last seen")
    output().print(table("quarantine (UTC)", columns, rows, numbers=(5,)))
    output().print("`crm-pipeline quarantine explain ID` says what is wrong and what to do.")


def explain(
    set_id: IdArgument,
    *,
    values: Annotated[
        bool,
        typer.Option("--show", help="Print the records as received. They may hold personal data."),
    ] = False,
    limit: Annotated[int, typer.Option(min=1, help="So many records at most.")] = 5,
) -> None:
    """Say what is wrong with a set of records, what was expected, where the bytes are, and what to do.

    Records are shown without their values: letters are x, digits are 9. With --show they are printed as received.

    For instance:

      crm-pipeline quarantine explain 3f2a91c0
      crm-pipeline quarantine explain 3f2a91c0 --show --limit 1
    """
    from crm_pipeline.cli.workspace import load_settings
    from crm_pipeline.store.quarantine import reasons

    settings = load_settings()
    store = _quarantine(settings)
    chosen = _any_of(store, set_id)
    where = f"{chosen.connection}.{chosen.object}"
    table = f", left out of table {chosen.table}" if chosen.table else ""
    _print(f"[{chosen.id}] {where}: {_records(chosen.records)}{table}. Reason: {chosen.reason}.")
    _print(
        f"since: {chosen.since:%Y-%m-%d %H:%M} UTC, last seen {chosen.last_seen_at:%Y-%m-%d %H:%M} UTC"
    )
    _print(f"set aside in: {chosen.stage}{', dropped' if chosen.is_dropped else ''}")
    _print(f"expected: {reasons.expected(chosen)}")
    rows = store.rows(chosen, limit)
    for row in rows.to_pylist():
        received: bytes = row["record"]
        form = received.decode("utf-8", "backslashreplace") if values else reasons.masked(received)
        _print(f"  id {row['_source_id'] or 'unknown'}, {len(received):,} bytes: {form}")
        _print(f"    in {row['_file']}")
    if rows.num_rows < min(chosen.records, limit):
        _print(
            f"  {_records(chosen.records - rows.num_rows)} cannot be shown one by one, see {chosen.folder}"
        )
    _print(f"what to do: {reasons.cure(chosen)}")


def replay(ids: IdsArgument) -> None:
    """Try records again: with today's reader, mapping and contracts, and publish what can be used now.

    Records that could not be landed are read again from their bytes; tables of records that were left out are built
    again. No CRM is asked. It says what came back.

    For instance:

      crm-pipeline quarantine replay 3f2a91c0
    """
    from crm_pipeline.cli.logs import to_stderr
    from crm_pipeline.cli.replay import replayed
    from crm_pipeline.cli.workspace import load_settings, ready_data

    to_stderr()
    settings = load_settings()
    store = _quarantine(settings)
    chosen = [store.find(set_id) for set_id in dict.fromkeys(ids)]
    ready_data(settings)
    if not replayed(settings, store, chosen):
        raise typer.Exit(1)


def drop(
    ids: IdsArgument,
    *,
    undo: Annotated[bool, typer.Option("--undo", help="Take such decisions back.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Decide that nobody needs these records: they are not reported any more, and hold no table back.

    The decision is about just these records, as received: one that comes with other content is reported again. Nothing is
    deleted, and `--undo` takes the decision back.

    For instance:

      crm-pipeline quarantine drop 3f2a91c0
      crm-pipeline quarantine drop 3f2a91c0 --undo
    """
    from crm_pipeline.cli.prompts import Prompter, is_interactive
    from crm_pipeline.cli.workspace import load_settings

    settings = load_settings()
    store = _quarantine(settings)
    chosen = [store.find(set_id, is_dropped=undo) for set_id in dict.fromkeys(ids)]
    if undo:
        for each in chosen:
            store.undo(each)
            _print(
                f"[{each.id}] {_records(each.records)} of {each.connection}.{each.object} wait for a decision again."
            )
        return
    for each in chosen:
        _print(
            f"[{each.id}] {each.connection}.{each.object}: {_records(each.records)}, {each.reason}."
        )
    if not yes and not is_interactive():
        raise ConfigError(
            "nobody can be asked here, and nothing was dropped.",
            cure="Run it in a terminal, or add --yes if you mean it.",
        )
    if not yes and not Prompter(asks=True).confirms("Does nobody need them?", proposal=False):
        _print("Nothing was dropped.")
        raise typer.Exit(1)
    for each in chosen:
        store.drop(each)
        _print(
            f"[{each.id}] dropped. `crm-pipeline quarantine drop --undo {each.id}` takes it back."
        )


quarantine.command(name="list", help=flowing(show.__doc__ or ""))(show)
for command in (explain, replay, drop):
    quarantine.command(help=flowing(command.__doc__ or ""))(command)


def _quarantine(settings: "Settings") -> "Quarantine":
    from crm_pipeline.store.landing import Landing
    from crm_pipeline.store.quarantine import Quarantine

    return Quarantine(Landing(settings.data))


def _any_of(store: "Quarantine", set_id: str) -> "Quarantined":
    """Return a set of records, also a dropped one."""
    dropped = (each for each in store.sets() if each.id == set_id and each.is_dropped)
    try:
        return store.find(set_id)
    except ConfigError:
        if (known := next(dropped, None)) is None:
            raise
        return known


def _records(number: int) -> str:
    return "1 record" if number == 1 else f"{number:,} records"


def _print(text: str) -> None:
    from crm_pipeline.cli.console import output

    output().print(text, markup=False, highlight=False, soft_wrap=True)
