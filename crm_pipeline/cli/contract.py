"""`contract`: write a first contract, try all contracts, export those of the model."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from crm_pipeline.cli.console import flowing
from crm_pipeline.kernel.errors import ConfigError, UnknownName

if TYPE_CHECKING:
    from crm_pipeline.contracts.files import ContractFolder
    from crm_pipeline.settings import Settings
    from crm_pipeline.stages.normalized.trial import Trial
    from crm_pipeline.store.tables.engine import Engine

contract = typer.Typer(
    name="contract",
    help="Write a first contract, try all contracts, and export those of the common tables.",
    no_args_is_help=True,
)
JsonOption = Annotated[bool, typer.Option("--json", help="Machine-readable output on stdout.")]


def init(
    target: Annotated[
        str, typer.Argument(help="A table (deals), or a connection's table or object (acme.deals).")
    ],
    *,
    out: Annotated[
        Path | None, typer.Option(help="The file to write; by default contracts/<table>.py.")
    ] = None,
) -> None:
    """Write a first contract for a table or an object from the data that there are.

    It is true of the current rows and warns only; correct it, and give it the policy block where it matters. A file
    that exists is never replaced.

    For instance:

      crm-pipeline contract init deals
      crm-pipeline contract init acme.Opportunity
    """
    from crm_pipeline.cli.console import say, verbatim
    from crm_pipeline.cli.workspace import load_settings
    from crm_pipeline.contracts.files import FOLDER
    from crm_pipeline.store import files

    settings = load_settings()
    path = out or settings.root / FOLDER / f"{target.removeprefix('crm.')}.py"
    if path.exists():
        raise ConfigError(f"{path} exists already.", cure="Name another file with --out.")
    with _engine(settings) as engine:
        text = _drafted(settings, engine, target)
    files.make_folder(path.parent)
    path.write_text(text, encoding="utf-8")
    say(verbatim(f"{path} is written; `crm-pipeline contract test` tries it."))


def try_all(
    targets: Annotated[
        list[str] | None,
        typer.Argument(help="Only these tables, or those of these objects; by default all."),
    ] = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Try all contracts on what has landed and on the current tables; nothing is changed.

    Exit code 1 if a contract cannot be read, is for a table that is not there, or would keep a table back.

    For instance:

      crm-pipeline contract test
      crm-pipeline contract test deals --json
    """
    from crm_pipeline.cli.console import emit_json
    from crm_pipeline.cli.workspace import load_settings

    settings = load_settings()
    for target in targets or ():
        if target not in (known := _known(settings)):
            raise UnknownName("table or object", target, known)
    folder, faults = _contracts(settings)
    with _engine(settings) as engine:
        trials = list(_trials(settings, folder, engine, set(targets or ())))
    if as_json:
        emit_json({"faults": [str(f) for f in faults], "subjects": [_record(t) for t in trials]})
    else:
        _show(faults, trials)
    if faults or any(trial.is_refused for trial in trials):
        raise typer.Exit(1)


def export(
    names: Annotated[
        list[str] | None, typer.Argument(help="Tables of schema crm; by default all.")
    ] = None,
) -> None:
    """Print the contracts of the common tables as Open Data Contract Standard YAML.

    For instance:

      crm-pipeline contract export deals contacts > crm.odcs.yaml
    """
    from crm_pipeline import __version__
    from crm_pipeline.contracts.odcs import exported
    from crm_pipeline.model.tables import TABLES

    chosen = [name.removeprefix("crm.") for name in names or TABLES]
    for name in chosen:
        if name not in TABLES:
            raise UnknownName("table", name, TABLES, where="schema crm")
    typer.echo(exported([TABLES[name] for name in chosen], __version__), nl=False)


@contextmanager
def _engine(settings: "Settings") -> "Iterator[Engine]":
    from crm_pipeline.store.tables.engine import Engine

    limit = f"{settings.memory_mb}MB"
    with Engine(settings.data / "tmp", memory_limit=limit) as engine:
        yield engine


def _contracts(settings: "Settings") -> "tuple[ContractFolder, list[ConfigError]]":
    """Return the user's contracts, and what is wrong with their files."""
    from crm_pipeline.contracts.files import ContractFolder

    folder = ContractFolder(settings.root, settings.policies)
    _, errors = folder.all()
    return folder, [*errors, *folder.strangers(_known(settings))]


def _known(settings: "Settings") -> set[str]:
    """Return the names of all tables and objects."""
    from crm_pipeline.connectors.registry import connector
    from crm_pipeline.stages.normalized.trial import contract_names

    connections = settings.connections.values()
    return contract_names(connections, {c.vendor: connector(c.vendor).mapping for c in connections})


def _trials(
    settings: "Settings", folder: "ContractFolder", engine: "Engine", only: set[str]
) -> "Iterator[Trial]":
    from crm_pipeline.connectors.registry import connector
    from crm_pipeline.contracts.files import targets_of
    from crm_pipeline.kernel.clock import SystemClock
    from crm_pipeline.stages.normalized import tables_for
    from crm_pipeline.stages.normalized.trial import objects_of, tried
    from crm_pipeline.store.landing import Landing
    from crm_pipeline.store.tables import Tables

    landing, tables = Landing(settings.data, SystemClock()), Tables(settings.data)
    seen: set[str] = set()
    for connection in settings.connections.values():
        vendor = connector(connection.vendor)
        for table in tables_for(connection, vendor.mapping):
            names = {
                *targets_of(connection.name, table),
                *objects_of(connection, table, vendor.mapping),
            }
            if only and not only & names:
                continue
            for trial in tried(
                connection, table, landing, tables, vendor.mapping, engine, vendor.keys, folder
            ):
                if trial.subject not in seen:
                    seen.add(trial.subject)
                    yield trial


def _drafted(settings: "Settings", engine: "Engine", target: str) -> str:
    from crm_pipeline.contracts.draft import drafted
    from crm_pipeline.model.contracts import LIVE
    from crm_pipeline.model.tables import normalized_name
    from crm_pipeline.store.tables import Tables

    tables = Tables(settings.data)
    connection, _, table = target.rpartition(".")
    table = table or target
    names = [connection] if connection and connection != "crm" else list(settings.connections)
    for name in names:
        settings.connection(name)
    versions = [v for n in names if (v := tables.version(normalized_name(n, table))) and v.base]
    if not versions:
        return _drafted_of_object(settings, engine, connection, table)
    rows = " UNION ALL BY NAME ".join(f"SELECT * FROM {tables.relation(v)}" for v in versions)
    relation = f"(SELECT * FROM ({rows}) WHERE {LIVE})"
    types = {f.name: f.type for f in engine.arrow(f"SELECT * FROM {relation} LIMIT 0").schema}
    key = versions[0].key[0]
    return drafted(engine, relation, target, types, key)


def _drafted_of_object(settings: "Settings", engine: "Engine", connection: str, name: str) -> str:
    from crm_pipeline.connectors.registry import connector
    from crm_pipeline.contracts.draft import drafted
    from crm_pipeline.kernel.clock import SystemClock
    from crm_pipeline.stages.normalized.trial import texts_of
    from crm_pipeline.store.landing import Landing

    chosen = settings.connections.get(connection)
    found = None
    if chosen and any(obj.name == name for obj in chosen.objects):
        landing = Landing(settings.data, SystemClock())
        vendor = connector(chosen.vendor)
        found = texts_of(chosen, name, landing, vendor.mapping, engine, vendor.keys)
    if found is None:
        target = f"{connection}.{name}" if connection else name
        known = _known(settings)
        if target in known:
            raise ConfigError(
                f"nothing of {target} has been read yet.", cure="Run `crm-pipeline refresh` first."
            )
        raise UnknownName("table or object", target, known)
    relation, types = found
    return drafted(engine, relation, f"{connection}.{name}", types)


def _record(trial: "Trial") -> dict[str, Any]:
    return {
        "subject": trial.subject,
        "fault": trial.fault,
        "broken": [
            {
                "rule": r.rule,
                "policy": r.policy,
                "rows": r.failures,
                "examples": list(r.examples),
                "contract": r.contract,
            }
            for r in trial.results
            if r.failures
        ],
    }


def _show(faults: Iterable[ConfigError], trials: "Iterable[Trial]") -> None:
    from crm_pipeline.cli.console import output, table

    console = output()
    for fault in faults:
        console.print(f"error: {fault}", markup=False)
    rows = []
    count = 0
    for trial in trials:
        count += 1
        if trial.fault:
            console.print(f"error: {trial.fault} {trial.cure}", markup=False)
        rows += [
            (trial.subject, r.rule, r.policy, r.failures, ", ".join(r.examples))
            for r in trial.results
            if r.failures
        ]
    if rows:
        title = "broken rules"
        columns = ("table or object", "rule", "policy", "rows", "such as")
        console.print(table(title, columns, rows, numbers=(3,)))
    console.print(f"{count} tables and objects were judged; {len(rows)} rules are broken.")


for _name, _command in (("init", init), ("test", try_all), ("export", export)):
    contract.command(_name, help=flowing(_command.__doc__ or ""))(_command)
