"""`check`, `discover`, `preview`: inspect an account before anything is extracted from it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from crm_pipeline.kernel.errors import ConfigError, CrmError, UnknownName, VendorError

if TYPE_CHECKING:
    from crm_pipeline.cli.proposals import Proposal
    from crm_pipeline.connectors.base import Account, Checkup, Finding, ObjectInfo
    from crm_pipeline.model.schema import Schema
    from crm_pipeline.settings import Connection, Settings
    from crm_pipeline.store.postgres.database import Database
    from crm_pipeline.wire.retry import RetryPolicy

_MARKS = {"ok": "[green]ok[/]", "warn": "[yellow]warn[/]", "fail": "[red]fail[/]"}

JsonOption = Annotated[bool, typer.Option("--json", help="Machine-readable output on stdout.")]
ConnectionArgument = Annotated[str, typer.Argument(help="A connection of connections.yaml.")]


def check(
    connection: Annotated[
        str | None, typer.Argument(help="Only this connection; by default all.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Check that each connection works: login, permissions, budget, objects.

    Nothing is extracted. The exit code is 1 if anything failed, and each failure comes with what to
    do about it.

    For instance:

      crm-pipeline check
      crm-pipeline check salesforce_demo --json
    """
    from crm_pipeline.cli.console import emit_json
    from crm_pipeline.cli.workspace import load_settings

    settings = load_settings()
    names = [settings.connection(connection).name] if connection else list(settings.connections)
    if not names:
        raise ConfigError(
            f"{settings.file} holds no connection.",
            cure="`crm-pipeline add` writes one and checks it.",
        )
    checkups = checked(settings, names)
    if as_json:
        emit_json([_checkup_record(checkup) for checkup in checkups])
    else:
        for checkup in checkups:
            show_checkup(checkup)
    if not all(checkup.is_healthy for checkup in checkups):
        raise typer.Exit(1)


def discover(
    connection: ConnectionArgument,
    write: Annotated[
        bool, typer.Option("--write", help="Add the objects found to connections.yaml.")
    ] = False,
    everything: Annotated[
        bool, typer.Option("--all", help="List also the objects that are not usually read.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """List the objects of an account with their fields and counts.

    Looked at are the objects in connections.yaml, those that this vendor is usually read for, and
    custom ones; each costs about two API calls. With --write the ones not yet in connections.yaml are
    added there (custom ones only if they hold records); comments and order of the file stay. Fields of the
    account's own that sound like consent or a reason of losses are proposed as lines of 'mapping', which are
    not written.

    For instance:

      crm-pipeline discover salesforce_demo
      crm-pipeline discover salesforce_acme --write
    """
    from crm_pipeline.cli.workspace import load_settings

    settings = load_settings()
    chosen = settings.connection(connection)
    discovered(settings, chosen, write=write, everything=everything, as_json=as_json)


def discovered(
    settings: "Settings",
    chosen: "Connection",
    *,
    write: bool,
    everything: bool = False,
    as_json: bool = False,
) -> None:
    """List what an account holds and, if wanted, write it into connections.yaml."""
    from crm_pipeline.cli.console import emit_json, say
    from crm_pipeline.cli.discovery import proposed, survey, write_objects

    with _opened_account(settings, chosen) as account:
        surveyed = survey(account, chosen)
        listed = account.objects() if everything else []
    proposals = proposed(surveyed, chosen)
    if as_json:
        emit_json([entry.record(proposals) for entry in surveyed])
    else:
        _show_survey(surveyed, listed)
        _show_proposals(proposals)
    if write:
        added = write_objects(settings, chosen, surveyed)
        say(f"added to {settings.file}: {', '.join(added)}" if added else "nothing to add")


def preview(
    connection: ConnectionArgument,
    obj: Annotated[str, typer.Argument(metavar="OBJECT", help="An object's API name.")],
    rows: Annotated[int, typer.Option(min=1, max=200, help="How many of the newest records.")] = 3,
    as_json: JsonOption = False,
) -> None:
    """Show the newest records of an object with its fields and their types.

    Values are shown as they are, personal data included.

    For instance:

      crm-pipeline preview salesforce_demo Contact
      crm-pipeline preview salesforce_demo Invoice__c --rows 25 --json
    """
    from crm_pipeline.cli.console import emit_json, output
    from crm_pipeline.cli.workspace import load_settings

    settings = load_settings()
    with _opened_account(settings, settings.connection(connection)) as account:
        try:
            schema, records = account.preview(obj, rows)
        except VendorError:
            _explain_unknown(account, connection, obj)
            raise
    if as_json:
        fields = [_field_record(field) for field in schema.fields]
        emit_json({"object": schema.object, "fields": fields, "records": records})
    else:
        output().print(_preview_table(schema, records))


@contextmanager
def account_of(settings: "Settings", chosen: "Connection") -> "Iterator[Account]":
    """Open the account of a connection, with few and short retries: a person is waiting."""
    from crm_pipeline.cli.logs import to_stderr
    from crm_pipeline.stages.raw import opened
    from crm_pipeline.store.postgres.database import running_database

    to_stderr("error")
    with (
        running_database(settings) as database,
        opened(settings, chosen.name, database, retry=_impatient()) as account,
    ):
        yield account


@contextmanager
def _opened_account(settings: "Settings", chosen: "Connection") -> "Iterator[Account]":
    from crm_pipeline.cli.console import working

    with working(f"asking {chosen.name}"), account_of(settings, chosen) as account:
        yield account


def checked(settings: "Settings", names: Sequence[str]) -> "list[Checkup]":
    """Check connections, one after the other."""
    from crm_pipeline.cli.logs import to_stderr
    from crm_pipeline.store.postgres.database import running_database

    to_stderr("error")
    with running_database(settings) as database:
        return [_checkup(settings, name, database) for name in names]


def _checkup(settings: "Settings", name: str, database: "Database") -> "Checkup":
    from dataclasses import replace

    from crm_pipeline.cli.automation import finding
    from crm_pipeline.cli.console import working
    from crm_pipeline.connectors.base import Checkup, Finding
    from crm_pipeline.connectors.registry import connector
    from crm_pipeline.stages.normalized import check_mapping
    from crm_pipeline.stages.raw import opened

    chosen = settings.connection(name)
    try:
        check_mapping(chosen, connector(chosen.vendor).mapping)
        with (
            working(f"checking {name}"),
            opened(settings, name, database, retry=_impatient()) as account,
        ):
            checkup = account.check()
            remarks = (*_kept_out_findings(settings, account), *_remark_findings(settings, chosen))
            checkup = replace(checkup, findings=(*checkup.findings, *remarks))
            if not chosen.objects:
                return checkup
            # The vendor's limits are known by now, if it responded at all.
            return replace(checkup, findings=(*checkup.findings, finding(settings, account)))
    except CrmError as error:
        # The other connections are checked even if this one cannot be opened.
        return Checkup(name, (Finding("fail", "open", error.message, error.cure),))


def _kept_out_findings(settings: "Settings", account: "Account") -> "Iterator[Finding]":
    """Yield for each object whether the fields that connections.yaml keeps out can be kept out."""
    from crm_pipeline.connectors.base import Finding
    from crm_pipeline.stages.raw import visible_schema
    from crm_pipeline.store.tokens.hash_key import HashKey

    for obj in account.connection.objects:
        if not obj.keeps_out:
            continue
        try:
            visible_schema(account, obj, account.describe(obj.name), HashKey.of(settings))
        except ConfigError as error:
            yield Finding("fail", "fields", error.message, error.cure)
        except VendorError:
            continue  # the finding about the object says so
        else:
            counts = f"{len(obj.exclude)} excluded, {len(obj.hash)} hashed"
            yield Finding("ok", "fields", f"{obj.name}: {counts}")


def _remark_findings(settings: "Settings", chosen: "Connection") -> "Iterator[Finding]":
    """Yield the remarks on the landed data of each object as findings."""
    from crm_pipeline.connectors.base import Finding
    from crm_pipeline.orchestration.remarks import held_back_at, remarks_at
    from crm_pipeline.store.landing import Landing
    from crm_pipeline.store.landing.looks import Looks
    from crm_pipeline.store.tables import Tables

    held = held_back_at(Looks(settings.data).at(chosen.name), chosen)
    for obj, remarks in remarks_at(Landing(settings.data), Tables(settings.data), chosen).items():
        for remark in (*held.get(obj, ()), *remarks):
            yield Finding("warn", remark.kind, f"{obj}: {remark.text}", remark.cure)


def _impatient() -> "RetryPolicy":
    from crm_pipeline.wire.retry import RetryPolicy

    # A person is waiting; runs are more patient.
    return RetryPolicy(attempts=3, cap_s=2.0, timeout_s=15.0)


def _explain_unknown(account: "Account", connection: str, obj: str) -> None:
    try:
        names = [info.name for info in account.objects() if info.queryable]
    except CrmError:
        return
    if obj not in names:
        raise UnknownName("object", obj, names, where=f"connection '{connection}'")


def _checkup_record(checkup: "Checkup") -> dict[str, Any]:
    findings = [
        {"level": f.level, "what": f.topic, "detail": f.detail, "cure": f.cure}
        for f in checkup.findings
    ]
    return {
        "connection": checkup.connection,
        "healthy": checkup.is_healthy,
        "findings": findings,
    }


def show_checkup(checkup: "Checkup") -> None:
    """Print the findings of a check-up, with their cures."""
    from rich.text import Text

    from crm_pipeline.cli.console import output, table

    rows = [
        (Text.from_markup(_MARKS[finding.level]), finding.topic, _detail(finding))
        for finding in checkup.findings
    ]
    output().print(table(checkup.connection, ("", "what", "found"), rows))


def _detail(finding: "Finding") -> str:
    if finding.level == "ok" or not finding.cure:
        return finding.detail
    return f"{finding.detail}\n-> {finding.cure}"


def _show_survey(surveyed: Any, listed: "list[ObjectInfo]") -> None:
    from crm_pipeline.cli.console import output, table, verbatim

    columns = ("object", "label", "records", "fields", "custom fields", "in connections.yaml")
    rows = [entry.row() for entry in surveyed]
    console = output()
    console.print(table("", columns, rows, numbers=(2, 3, 4)))
    looked_at = {entry.name for entry in surveyed}
    others = [info.name for info in listed if info.queryable and info.name not in looked_at]
    if others:
        console.print(f"also there: {verbatim(', '.join(others))}")


def _show_proposals(proposals: "Sequence[Proposal]") -> None:
    from crm_pipeline.cli.console import output, verbatim
    from crm_pipeline.cli.proposals import lines

    if not proposals:
        return
    heading = "Fields that may belong into columns of the common model; add to connections.yaml what is right:"
    output().print(f"\n{heading}\n\n{verbatim(lines(proposals))}", soft_wrap=True)


def _field_record(field: Any) -> dict[str, Any]:
    return {
        "name": field.name,
        "label": field.label,
        "type": field.type,
        "common_type": field.common_type,
        "custom": field.custom,
    }


def _preview_table(schema: "Schema", records: list[dict[str, Any]]) -> Any:
    from crm_pipeline.cli.console import table

    shown = records[:3]
    rows = [
        (field.name, field.type, field.label, *(_short(record.get(field.name)) for record in shown))
        for field in schema.fields
    ]
    columns = ("field", "type", "label", *(f"record {n + 1}" for n in range(len(shown))))
    return table(f"{schema.object}: {len(schema.fields)} fields", columns, rows)


def _short(value: Any) -> str:
    text = "" if value is None else " ".join(str(value).split())
    return text if len(text) <= 40 else text[:39] + "…"
