"""The commands by name, and the options that belong to all of them."""

import os
from collections.abc import Callable
from typing import Annotated

import typer

from crm_pipeline.cli import (
    acceptance,
    accounts,
    add,
    audit,
    backup,
    demo,
    enrich,
    erase,
    history,
    init,
    login,
    plan,
    points,
    query,
    runs,
    sandbox,
    scrub,
    stack,
    status,
    sweep,
    verify,
)
from crm_pipeline.cli.budget import budget
from crm_pipeline.cli.console import flowing
from crm_pipeline.cli.contract import contract
from crm_pipeline.cli.database import db
from crm_pipeline.cli.drift import drift
from crm_pipeline.cli.failures import ExplainingGroup
from crm_pipeline.cli.logs import LEVEL_VARIABLE
from crm_pipeline.cli.quarantine import quarantine

_HELP = """From CRMs to one DuckDB file that analysts can trust.

The first commands: `crm-pipeline init DIR` makes a project, `crm-pipeline demo` fills its data/crm.duckdb from
emulated CRM accounts, `crm-pipeline up` opens the Dagster UI on it. Accounts are entries of connections.yaml;
`crm-pipeline check` says whether they work. Each command explains itself with --help.
"""


app = typer.Typer(
    name="crm-pipeline",
    help=flowing(_HELP),
    cls=ExplainingGroup,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)


@app.callback()
def options(
    debug: Annotated[
        bool, typer.Option("--debug", help="On failure, print the traceback as well.")
    ] = False,
) -> None:
    """Options of all commands."""
    if debug:
        os.environ.setdefault(LEVEL_VARIABLE, "debug")  # child processes inherit it


def version() -> None:
    """Print the versions of this package and of what it stands on."""
    import platform
    from importlib import metadata

    from crm_pipeline import __version__
    from crm_pipeline.cli.console import output

    console = output()
    console.print(f"crm-pipeline {__version__}")
    console.print(f"python {platform.python_version()}")
    for name in ("dagster", "duckdb", "pyarrow", "pandera"):
        console.print(f"{name} {metadata.version(name)}")


def _register(panel: str, *commands: Callable[..., None]) -> None:
    for command in commands:
        app.command(help=flowing(command.__doc__ or ""), rich_help_panel=panel)(command)


_register("Start here", init.init, demo.demo, stack.up)
_register("Accounts", add.add, login.login, accounts.check, accounts.discover, accounts.preview)
_register(
    "Runs",
    plan.plan,
    runs.backfill,
    runs.refresh,
    points.read,
    sweep.sweep,
    acceptance.accept_shrink,
)
_register("Results", query.query, history.history, audit.audit, status.status, verify.verify)
_register("Enrichment", enrich.enrich, enrich.credits)
_register(
    "Services",
    scrub.scrub,
    erase.erase,
    backup.backup,
    backup.restore,
    sandbox.sandbox,
    version,
)
app.add_typer(budget, rich_help_panel="Runs")
app.add_typer(drift, rich_help_panel="Results")
app.add_typer(contract, rich_help_panel="Results")
app.add_typer(quarantine, rich_help_panel="Results")
app.add_typer(db, rich_help_panel="Services")
