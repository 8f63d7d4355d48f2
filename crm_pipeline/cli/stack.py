"""`up`: everything on one machine, in the foreground."""

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from crm_pipeline.supervisor.stack import Stack


def up(
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port of the Dagster UI.")] = 3000,
    host: Annotated[str, typer.Option(help="Address of the Dagster UI.")] = "127.0.0.1",
    with_sandbox: Annotated[
        bool, typer.Option("--sandbox/--no-sandbox", help="Start the sandbox if it is needed.")
    ] = True,
    contacts: Annotated[
        int | None, typer.Option(min=20, help="Size of the sandbox's world, if it is a new one.")
    ] = None,
) -> None:
    """Start PostgreSQL, the sandbox, the Dagster UI and its daemon; Ctrl-C stops all of it.

    The sandbox is started if a connection points at it. What a killed stack left behind (processes, runs
    that nobody works on, places in pools) is put right first. The UI has no login: leave it on this
    machine, or put one in front of it. Logs are in data/run.

    For instance:

      crm-pipeline up
      crm-pipeline up --port 3001 --no-sandbox
    """
    from crm_pipeline.cli.emulated import choose_world
    from crm_pipeline.cli.logs import to_stderr
    from crm_pipeline.cli.sandboxes import sandbox_services
    from crm_pipeline.cli.workspace import load_settings, ready_data, with_dotenv
    from crm_pipeline.supervisor.stack import Stack, StackOptions

    to_stderr()
    settings = load_settings()
    ready_data(settings)
    settings = with_dotenv(settings)
    world = choose_world(settings, contacts=contacts, seed=None)
    shown = ("--seed", str(world.seed), "--contacts", str(world.contacts))
    services = sandbox_services(settings, shown) if with_sandbox else ()
    _run(Stack(settings, StackOptions(host=host, port=port, services=services)))


def _run(stack: "Stack") -> None:
    from crm_pipeline.cli.console import notes, output

    console = notes()
    with console.status("starting") as status:
        # Shown during the start; kept as lines where the output is no terminal.
        stack.start(status.update if console.is_terminal else console.print)
    try:
        for name, url in stack.urls.items():
            output().print(f"{name}: {url}", soft_wrap=True)
        output().print("Ctrl-C stops all of it.")
        # The status display is over: further progress is written as lines.
        stack.wait(console.print)
    finally:
        stack.stop()
