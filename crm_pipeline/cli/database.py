"""`db`: the embedded PostgreSQL that holds Dagster's storage and our operational state."""

import sys

import typer

from crm_pipeline.cli.console import flowing
from crm_pipeline.kernel.errors import DatabaseUnavailable

db = typer.Typer(
    name="db",
    no_args_is_help=True,
    help="Start, stop and find the embedded PostgreSQL.\n\n"
    "`demo` and `up` start it by themselves. With CRM_DATABASE_URL set, your own server is used and "
    "there is nothing to start.",
)


def start() -> None:
    """Start the server in data/postgres, and say how `dagster dev` finds it.

    For instance:

      eval "$(crm-pipeline db start)" && dg dev
    """
    import shlex

    from crm_pipeline.cli.console import say, working
    from crm_pipeline.cli.workspace import load_settings
    from crm_pipeline.kernel.secret import redacted
    from crm_pipeline.orchestration.instance import environment
    from crm_pipeline.store.embedded import EmbeddedServer

    settings = load_settings()
    if url := settings.environ.get("CRM_DATABASE_URL", ""):
        say(f"CRM_DATABASE_URL names {redacted(url)}; there is no server of ours to start.")
    else:
        with working("starting PostgreSQL"):
            url = EmbeddedServer(settings.data).start()
        say("PostgreSQL runs until `crm-pipeline db stop`.")
    for name, value in sorted(environment(settings, url).items()):
        sys.stdout.write(f"export {name}={shlex.quote(value)}\n")


def stop() -> None:
    """Stop the server in data/postgres; its data stays."""
    from crm_pipeline.cli.console import say, working
    from crm_pipeline.cli.workspace import load_settings
    from crm_pipeline.store.embedded import EmbeddedServer

    with working("stopping PostgreSQL"):
        stopped = EmbeddedServer(load_settings().data).stop()
    say("PostgreSQL is stopped." if stopped else "PostgreSQL was not running.")


def url() -> None:
    """Print the URL of the server in use.

    For instance:

      export CRM_DATABASE_URL="$(crm-pipeline db url)"
    """
    from crm_pipeline.cli.workspace import load_settings
    from crm_pipeline.store.database import database_url

    found = database_url(load_settings())
    if found is None:
        raise DatabaseUnavailable(
            "PostgreSQL is not running.",
            cure="Start it with `crm-pipeline db start`, or set CRM_DATABASE_URL.",
        )
    sys.stdout.write(found + "\n")


for _command in (start, stop, url):
    db.command(help=flowing(_command.__doc__ or ""))(_command)
