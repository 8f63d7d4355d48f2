"""`erase`: a person's values leave every store, and a search proves it."""

from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Any

import typer

from crm_pipeline.kernel.errors import ConfigError, CrmError

if TYPE_CHECKING:
    from crm_pipeline.erasure.run import Outcome
    from crm_pipeline.settings import Settings


def erase(
    target: Annotated[
        str,
        typer.Argument(
            metavar="EMAIL|KEY", help="An e-mail address, or <connection>:<object>:<id>."
        ),
    ],
    *,
    only_plan: Annotated[
        bool, typer.Option("--plan", help="Show what would go; this is the default.")
    ] = False,
    is_applied: Annotated[
        bool, typer.Option("--apply", help="Erase it, and search for what is left.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Machine-readable output.")] = False,
) -> None:
    """Erase a person from everything below data/ and from PostgreSQL.

    An address stands for all records of persons that have it, in any connection; a key for one record and those
    that were merged into it. Activities with nobody else go as well; in other linked records names and phones
    are replaced, and addresses everywhere. With --apply a search of all bytes follows: exit code 1 if it finds an
    address, with the files. Later reads do not bring the person back, unless the record was created in
    the CRM after the erasure. Erase the person in the CRM as well: this command changes nothing there.

    For instance:

      crm-pipeline erase jane@acme.example
      crm-pipeline erase salesforce_acme:Contact:003xx000004TmiQ --apply
    """
    from crm_pipeline.cli.console import emit_json, working
    from crm_pipeline.cli.workspace import load_settings
    from crm_pipeline.erasure import run
    from crm_pipeline.store.build_lock import Building
    from crm_pipeline.store.postgres.database import running_database

    if only_plan and is_applied:
        raise ConfigError("--plan and --apply exclude each other.", cure="Give one of the two.")
    settings = load_settings()
    if is_applied:
        _require_rest(settings)
    with working("erasing" if is_applied else "searching"), running_database(settings) as database:
        do = run.apply if is_applied else run.plan
        try:
            outcome = do(settings, target, database)
        except Building as error:
            raise Building(error.message + _running(settings), cure=error.cure) from None
    if as_json:
        emit_json(_record(outcome))
    else:
        _show(outcome)
    if is_applied and not outcome.is_proven:
        raise typer.Exit(1)


def _require_rest(settings: "Settings") -> None:
    """Refuse while `up` runs, whose runs would write what is being erased."""
    from crm_pipeline.supervisor.stack_lock import stack_of

    holder = stack_of(settings.data)
    if holder is not None:
        raise ConfigError(
            f"{holder} is running on {settings.data}, and may be building tables.",
            cure="Stop it (Ctrl-C), erase, and start it again.",
        )


def _running(settings: "Settings") -> str:
    """Return a sentence that names the runs that are under way; "" where there are none."""
    from crm_pipeline.cli.runs import instance_of
    from crm_pipeline.supervisor.reconcile import running

    runs: list[str] = []
    with suppress(CrmError), instance_of(settings) as instance:  # the refusal counts without it
        runs = [f"{run.job_name} ({run.run_id[:8]})" for run in running(instance)]
    return f" Under way: {', '.join(runs)}." if runs else ""


def _is_stored(outcome: "Outcome") -> bool:
    return any(each.rows or each.values or each.files for each in outcome.erased)


def _records(outcome: "Outcome") -> list[str]:
    """Return the keys of the records that go; none where nothing is stored, of a key that does not exist for instance."""
    return sorted(map(str, outcome.found.subject.records)) if _is_stored(outcome) else []


def _record(outcome: "Outcome") -> dict[str, Any]:
    subject, searched = outcome.found.subject, outcome.searched
    return {
        "records": _records(outcome),
        "linked": sorted(map(str, subject.linked)),
        "addresses": len(subject.addresses),
        "shared_addresses": outcome.found.shared,
        "stores": {
            erased.store: {
                "rows": erased.rows,
                "values": erased.values,
                "files": sorted(map(str, erased.files)),
            }
            for erased in outcome.erased
        },
        "is_applied": outcome.is_applied,
        "is_proven": outcome.is_proven if searched else None,
        "searched": {
            "files": searched.files,
            "bytes": searched.bytes,
            "decoded": searched.kinds,
            "found": {str(path): sorted(names) for path, names in searched.found.items()},
            "unreadable": sorted(map(str, searched.unreadable)),
        }
        if searched
        else None,
        "unowned": outcome.unowned,
    }


def _show(outcome: "Outcome") -> None:
    from crm_pipeline.cli.console import output, say, table

    subject = outcome.found.subject
    for record in _records(outcome):
        say(f"{'erased' if outcome.is_applied else 'would go'}: {record}")
    rows = [
        (erased.store, erased.rows, erased.values, len(erased.files)) for erased in outcome.erased
    ]
    columns = ("store", "rows removed", "rows with values replaced", "files")
    output().print(table("", columns, rows, numbers=(1, 2, 3)))
    say(
        f"Records: {len(_records(outcome)):,}; addresses: {len(subject.addresses):,}; linked records of others: "
        f"{len(subject.linked):,}."
    )
    if not _is_stored(outcome):
        say(
            "Nothing of it is stored. Check its spelling: in keys, capitals matter. Once erased, it does not land later."
        )
    if outcome.found.shared:
        say(
            f"{outcome.found.shared:,} addresses stay, because records of others have them as well."
        )
    for name in outcome.unowned:
        say(f"data/{name} belongs to no store, so nothing is erased from it; it is searched.")
    if outcome.searched is None:
        say("Nothing was changed; --apply erases.")
        return
    _show_proof(outcome)


def _show_proof(outcome: "Outcome") -> None:
    import sys

    from crm_pipeline.cli.console import say
    from crm_pipeline.cli.failures import paragraph

    searched = outcome.searched
    assert searched is not None
    decoded = ", ".join(f"{number:,} {kind}" for kind, number in sorted(searched.kinds.items()))
    say(
        f"Searched {searched.files:,} files, {searched.bytes:,} bytes, decoded: {decoded or 'none'}."
    )
    for path, names in sorted(searched.found.items()):
        sys.stderr.write(
            paragraph(f"{path} still holds: {', '.join(sorted(names))}", "error") + "\n"
        )
    for path in searched.unreadable:
        text = f"{path} cannot be decoded, so it is not known what it holds."
        sys.stderr.write(paragraph(text, "error") + "\n")
    if outcome.is_proven:
        say("No address is left.")
    else:
        sys.stderr.write(
            paragraph(f"It is not proven that nothing is left. {_cure(outcome)}") + "\n"
        )


def _cure(outcome: "Outcome") -> str:
    """Return what to do about a proof that failed."""
    searched = outcome.searched
    assert searched is not None
    parts = {part for path in (*searched.found, *searched.unreadable) for part in path.parts}
    steps = []
    if own := [f"data/{name}" for name in outcome.unowned if name in parts]:
        steps.append(f"Remove or correct what is in {', '.join(own)}.")
    if searched.unreadable:
        steps.append("`crm-pipeline scrub` says what to do about damaged files.")
    steps.append("Then erase" if steps else "Erase")
    return " ".join(steps) + (
        " again with --apply. A file that is named again may hold a longer address with this one in it: see "
        "'The proof' in docs/operations.md."
    )
