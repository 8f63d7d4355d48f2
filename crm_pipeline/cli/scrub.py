"""`scrub`: is every file below data/ as it was written?"""

from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from crm_pipeline.store.scrub import Scrubbed


def scrub(
    connection: Annotated[
        str | None,
        typer.Argument(help="Only what landed of this connection, and its tables."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Machine-readable output.")] = False,
) -> None:
    """Read every file below data/ and compare it with the checksum taken when it was written.

    Names each file that the disk, or somebody, has changed, with what to do; exit code 1 if there is
    one that something uses. Runs may go on meanwhile, and nothing is changed. Files that earlier versions wrote without a
    checksum count as unproven: only what cannot be read is found in them. PostgreSQL and Dagster look
    after their own folders.

    For instance:

      crm-pipeline scrub
      crm-pipeline scrub salesforce_demo --json
    """
    from crm_pipeline.cli.console import emit_json
    from crm_pipeline.cli.progress import progress
    from crm_pipeline.cli.workspace import load_settings
    from crm_pipeline.store import scrub as store

    settings = load_settings()
    if connection is not None:
        settings.connection(connection)
    with progress("scrub", unit="files") as on_step:
        done = store.scrub(settings.data, connection or "", report=on_step)
    if as_json:
        emit_json(_record(done))
    else:
        _show(done)
    if not done.is_usable:
        raise typer.Exit(1)


def _record(done: "Scrubbed") -> dict[str, Any]:
    from dataclasses import asdict

    return {
        "kinds": {kind: asdict(tally) for kind, tally in done.kinds.items()},
        "damaged": [asdict(file) for file in done.corruption],
        "seconds": round(done.seconds, 1),
    }


def _show(done: "Scrubbed") -> None:
    import sys

    from crm_pipeline.cli.console import output, table
    from crm_pipeline.cli.failures import paragraph

    rows = [
        (kind, tally.files, tally.bytes, tally.damaged, tally.unproven)
        for kind, tally in done.kinds.items()
    ]
    numbers = [sum(column) for column in zip(*(row[1:] for row in rows), strict=True)]
    total = ("all", *numbers)
    columns = ("kind", "files", "bytes", "damaged", "unproven")
    output().print(table("", columns, [*rows, total], numbers=(1, 2, 3, 4)))
    for file in done.corruption:
        sys.stderr.write(paragraph(str(file), "error" if file.is_used else "note") + "\n")
