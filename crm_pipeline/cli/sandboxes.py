"""Finds the connections that point at a sandbox on this machine, and the services that serve them."""

import importlib.util
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from crm_pipeline.kernel.errors import ConfigError
from crm_pipeline.settings import Connection, Settings

if TYPE_CHECKING:
    from crm_pipeline.supervisor.stack import Service

_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


def require_sandbox() -> None:
    """Refuse to go on without the sandbox, which is a distribution of its own.

    Raises:
        ConfigError: it is not installed.
    """
    if importlib.util.find_spec("crm_sandbox") is None:
        raise ConfigError(
            "the sandbox is not installed.",
            cure="Run `pip install 'crm-pipeline[sandbox]'` (in a checkout of the repository `pip install -e sandbox`), "
            "or point the connections at accounts of your own.",
        )


def sandboxes(settings: Settings) -> Mapping[tuple[str, int], list[Connection]]:
    """Return where sandboxes listen, one for each port, with the connections that point at it."""
    by_port: dict[int, tuple[str, list[Connection]]] = {}
    for connection in settings.connections.values():
        if (address := sandbox_address(connection)) is not None:
            host, port = address
            by_port.setdefault(port, (host, []))[1].append(connection)
    return {(host, port): users for port, (host, users) in by_port.items()}


def sandbox_services(settings: Settings, options: Sequence[str]) -> "tuple[Service, ...]":
    """Return the sandboxes that the connections need, for a stack to run.

    Args:
        settings: with the connections.
        options: more for the command line of each, such as `("--contacts", "500")`.

    Raises:
        ConfigError: one is needed, and the sandbox is not installed.
    """
    from crm_pipeline.supervisor.health import is_listening
    from crm_pipeline.supervisor.stack import Service

    needed = sandboxes(settings)
    # One that runs already serves as it is, wherever it is installed.
    if any(not is_listening(host, port) for host, port in needed):
        require_sandbox()
    return tuple(
        Service(
            name="sandbox",
            label=f"sandbox of {', '.join(connection.name for connection in users)}",
            url=urlsplit(users[0].login_url)._replace(path="", query="", fragment="").geturl(),
            host=host,
            port=port,
            arguments=(
                *("-m", "crm_pipeline", "sandbox", "--host", host, "--port", str(port)),
                *options,
            ),
        )
        for (host, port), users in needed.items()
    )


def sandbox_address(connection: Connection) -> tuple[str, int] | None:
    """Return where the sandbox of a connection listens; None for real accounts and CRMs from a file."""
    parts = urlsplit(connection.login_url)
    if not connection.is_emulated or parts.hostname not in _LOOPBACK or parts.port is None:
        return None
    return parts.hostname, parts.port
