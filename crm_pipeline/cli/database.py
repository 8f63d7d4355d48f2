"""`db`: the embedded PostgreSQL that holds Dagster's storage and our operational state."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from crm_pipeline.cli.console import flowing
from crm_pipeline.kernel.errors import ConfigError, DatabaseUnavailable

if TYPE_CHECKING:
    from crm_pipeline.settings import Settings
    from crm_pipeline.supervisor.stack_lock import Holder

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
    from crm_pipeline.store.postgres.embedded import EmbeddedServer

    settings = load_settings()
    if url := settings.environ.get("CRM_DATABASE_URL", ""):
        say(f"CRM_DATABASE_URL names {redacted(url)}; there is no server of ours to start.")
    else:
        with working("starting PostgreSQL"):
            url = EmbeddedServer(settings.data).start()
        say("PostgreSQL runs until `crm-pipeline db stop`.")
    for name, value in sorted(environment(settings, url).items()):
        sys.stdout.write(f"export {name}={shlex.quote(value)}\n")


def stop(
    force: Annotated[
        bool, typer.Option("--force", help="Also under `up`, which then starts it again.")
    ] = False,
) -> None:
    """Stop the server in data/postgres; its data stays.

    It is refused while `up` runs on the data folder: the UI and all runs need the server.
    """
    from crm_pipeline.cli.console import say, working
    from crm_pipeline.cli.workspace import load_settings
    from crm_pipeline.store.postgres.embedded import EmbeddedServer

    settings = load_settings()
    server = EmbeddedServer(settings.data)
    user = _stack_on(settings) if server.is_running() else None
    if user and not force:
        raise ConfigError(
            f"PostgreSQL is in use: {user} runs on {settings.data}, and its UI, daemon and runs fail "
            "without it.",
            cure="Stop that with Ctrl-C in its terminal; it stops the server as well if it started it. "
            "`crm-pipeline db stop --force` stops the server all the same, and `up` starts it again "
            "within seconds.",
        )
    with working("stopping PostgreSQL"):
        stopped = server.stop()
    if not stopped:
        say("PostgreSQL was not running.")
    elif user:
        say(f"PostgreSQL was stopped; {user} starts it again within seconds.")
    else:
        say("PostgreSQL is stopped.")


def _stack_on(settings: "Settings") -> "Holder | None":
    """Return the stack that uses the embedded server; None if there is none, or it uses the user's server."""
    from crm_pipeline.store.postgres.database import URL_VARIABLE
    from crm_pipeline.supervisor.stack_lock import stack_of

    if settings.environ.get(URL_VARIABLE, "").strip():
        return None
    return stack_of(settings.data)


def url() -> None:
    """Print the URL of the server in use.

    For instance:

      export CRM_DATABASE_URL="$(crm-pipeline db url)"
    """
    from crm_pipeline.cli.workspace import load_settings
    from crm_pipeline.store.postgres.database import database_url

    address = database_url(load_settings())
    if address is None:
        raise DatabaseUnavailable(
            "PostgreSQL is not running.",
            cure="Start it with `crm-pipeline db start`, or set CRM_DATABASE_URL.",
        )
    sys.stdout.write(address + "\n")


def prepare(
    code_server: Annotated[
        list[str] | None,
        typer.Option(
            "--code-server",
            metavar="HOST:PORT",
            help="The code server that is started next: its earlier runs are over. May be repeated.",
        ),
    ] = None,
) -> None:
    """Make what Dagster's own programs need, on a PostgreSQL of your own.

    For deployments without `up`, such as containers: writes DAGSTER_HOME below the data folder, creates all tables, ends
    the runs that died with an earlier code server and frees their places in pools. It may run any number of times.

    For instance:

      crm-pipeline db prepare --code-server code:4000
    """
    from crm_pipeline.cli.console import say
    from crm_pipeline.cli.workspace import load_settings, ready_data
    from crm_pipeline.orchestration.instance import opened_instance
    from crm_pipeline.store.postgres.database import URL_VARIABLE, Database
    from crm_pipeline.supervisor.reconcile import Here, reconcile

    settings = load_settings()
    own_url = settings.environ.get(URL_VARIABLE, "").strip()
    if not own_url:
        raise ConfigError(
            f"{URL_VARIABLE} is not set, and `db prepare` is for a PostgreSQL of your own.",
            cure="Set it, or use `crm-pipeline up`, which brings a server.",
        )
    ready_data(settings)
    with Database(own_url) as database:
        database.migrate()
    with opened_instance(settings, own_url) as instance:
        done = reconcile(instance, Here.of(settings, code_server or ()))
    say(f"DAGSTER_HOME is {settings.data / 'dagster'}; all tables are there.")
    if done.runs:
        say(f"ended {len(done.runs)} runs whose process was gone")


for _command in (start, stop, url, prepare):
    db.command(help=flowing(_command.__doc__ or ""))(_command)
