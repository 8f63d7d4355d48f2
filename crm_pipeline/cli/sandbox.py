"""`sandbox`: the emulated vendors in the foreground."""

import errno
import json
import signal
import sys
import threading
from typing import TYPE_CHECKING, Annotated

import typer

from crm_pipeline.kernel.errors import ConfigError

if TYPE_CHECKING:
    from crm_pipeline.cli.emulated import WorldChoice
    from crm_pipeline.settings import Settings
    from crm_sandbox.certificates import Authority
    from crm_sandbox.server import SandboxServer


def sandbox(
    *,
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="0 takes a free one.")] = None,
    seed: Annotated[int | None, typer.Option(help="The same seed gives the same world.")] = None,
    contacts: Annotated[int | None, typer.Option(min=20, help="Size of the world.")] = None,
    tls: Annotated[
        bool, typer.Option("--tls", help="Speak TLS on the same port too, with a CA of its own.")
    ] = False,
    ends_with_stdin: Annotated[bool, typer.Option(hidden=True)] = False,
) -> None:
    """Serve emulated CRM accounts on this machine, until Ctrl-C.

    `demo` and `up` start it by themselves. Without options it listens where connections.yaml expects
    it and shows the world that data/ holds records of, or a new one of 2,000 contacts. Addresses and
    credentials are printed; docs/sandbox.md describes the admin API and the faults on order.

    With --tls clients that insist on https or on the vendor's host names run against it as well: it
    is their proxy, and its own certificate authority, kept in data/run, vouches for the hosts.

    For instance:

      crm-pipeline sandbox
      crm-pipeline sandbox --port 9000 --seed 1 --contacts 500
      crm-pipeline sandbox --tls
    """
    from crm_pipeline.cli.emulated import address, choose_world, new_world, remember
    from crm_pipeline.cli.sandboxes import require_sandbox
    from crm_pipeline.cli.workspace import load_settings, ready_data

    require_sandbox()
    settings = load_settings()
    expected = address(settings)
    listening = (host or expected[0], expected[1] if port is None else port)
    is_ours = listening == expected
    if is_ours:
        ready_data(settings)
        world = choose_world(settings, contacts=contacts, seed=seed)
    else:
        world = new_world(contacts=contacts, seed=seed)
    finished = threading.Event()
    authority = _authority(settings) if tls else None
    with _opened(*listening, world, authority, is_chosen=not is_ours) as server:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: finished.set())
        if is_ours:
            remember(settings, world, server.url)
        _announce(server, world, settings, quietly=ends_with_stdin)
        if ends_with_stdin:
            threading.Thread(target=_await_end_of_input, args=(finished,), daemon=True).start()
        finished.wait()


def _authority(settings: "Settings") -> "Authority":
    from crm_sandbox.certificates import Authority

    folder = settings.data / "run"
    try:
        return Authority(folder)
    except OSError as error:
        raise ConfigError(
            f"the sandbox's certificate authority cannot be kept in {folder}: {error.strerror}.",
            cure="Make the folder writable, or set CRM_DATA to another.",
        ) from error


def _opened(
    host: str, port: int, world: "WorldChoice", authority: "Authority | None", *, is_chosen: bool
) -> "SandboxServer":
    from crm_pipeline.cli.console import working
    from crm_sandbox.server import SandboxServer

    try:
        with working(f"drawing a world of {world}"):
            return SandboxServer(
                host=host,
                port=port,
                seed=world.seed,
                contacts=world.contacts,
                now=world.now,
                authority=authority,
            )
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise ConfigError(
                f"port {port} of {host} is in use by another program.",
                cure="Choose another with --port; 0 takes a free one."
                if is_chosen
                else "End that program, or set CRM_SANDBOX_PORT (in the environment or .env) to a "
                "free port; connections marked 'sandbox: true' follow it.",
            ) from error
        raise ConfigError(
            f"cannot listen on {host}:{port}: {error.strerror}.",
            cure="Choose an address of this machine and a port above 1023.",
        ) from error


def _announce(
    server: "SandboxServer", world: "WorldChoice", settings: "Settings", *, quietly: bool
) -> None:
    if quietly:
        sys.stdout.write(json.dumps({"url": server.url}) + "\n")
        sys.stdout.flush()
        return
    from crm_pipeline.cli.console import output
    from crm_sandbox.access import describe_access

    console = output()
    console.print(f"The sandbox answers at {server.url} with {world}. Ctrl-C ends it.")
    lines = describe_access(server)
    width = max(len(label) for label, _ in lines)
    for label, value in lines:
        console.print(f"  {label:<{width}}  {value}")
    pointing = [name for name, c in settings.connections.items() if c.is_emulated]
    if pointing:
        console.print(f"connections pointing here: {', '.join(pointing)}", style="dim")


def _await_end_of_input(finished: threading.Event) -> None:
    # The parent holds the other end: it closes with the parent, however that ends.
    while sys.stdin.read(4096):
        pass
    finished.set()
