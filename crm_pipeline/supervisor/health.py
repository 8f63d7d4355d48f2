"""Health checks of the local servers of the stack: is a port free, is Dagster up, are its daemons alive?

They call addresses of this machine only.
"""

import json
import socket
import urllib.error
import urllib.request
from typing import Any

from crm_pipeline.kernel.errors import ConfigError

_TIMEOUT_S = 5.0
_WORKSPACE = """
{ workspaceOrError { __typename
    ... on Workspace { locationEntries { name loadStatus
      locationOrLoadError { __typename ... on PythonError { message } } } }
    ... on PythonError { message } }
  instance { daemonHealth { allDaemonStatuses { daemonType required healthy } } } }
"""


def require_free(host: str, port: int, program: str, flag: str) -> None:
    """Make sure that nothing listens on a port.

    Raises:
        ConfigError: something does, or the address is not of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise ConfigError(
                f"{program} cannot listen on port {port} of {host}: {error.strerror}.",
                cure=f"Stop the program that uses it, or choose another port with {flag}.",
            ) from error


def is_listening(host: str, port: int) -> bool:
    """Say whether something accepts connections there."""
    try:
        with socket.create_connection((host, port), timeout=_TIMEOUT_S):
            return True
    except OSError:
        return False


def is_unix_socket_answering(path: str) -> bool:
    """Say whether something accepts connections on a unix socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(_TIMEOUT_S)
        try:
            probe.connect(path)
        except OSError:
            return False
        return True


def ask(url: str, query: str, variables: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return the data of a query to Dagster's web API.

    Raises:
        OSError: it does not respond.
        ValueError: it refuses the query.
    """
    query_body = json.dumps({"query": query, "variables": variables or {}}).encode()
    request = urllib.request.Request(  # noqa: S310 - an http address that we made ourselves
        f"{url}/graphql", data=query_body, headers={"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as response:  # noqa: S310 - as above
        body = json.load(response)
    if body.get("errors"):
        raise ValueError(str(body["errors"][0].get("message")))
    return dict(body["data"])


def is_loaded(url: str) -> bool:
    """Say whether the definitions are loaded and all required daemons are healthy.

    Raises:
        ConfigError: the definitions do not load; the text says why.
    """
    try:
        state = ask(url, _WORKSPACE)
    except OSError:
        return False
    workspace = state["workspaceOrError"]
    if "message" in workspace:
        raise ConfigError(f"Dagster has no workspace: {workspace['message']}")
    entries = workspace["locationEntries"]
    for entry in entries:
        location = entry["locationOrLoadError"] or {}
        # 'Unreachable' means 'not yet' until the code server listens.
        if "message" in location and "DagsterUserCodeUnreachableError" not in location["message"]:
            raise ConfigError(
                f"the definitions do not load: {_last_line(location['message'])}",
                cure="Correct what it names; `crm-pipeline check` reads the same configuration.",
            )
    is_up = bool(entries) and all(
        (entry["locationOrLoadError"] or {}).get("__typename") == "RepositoryLocation"
        for entry in entries
    )
    daemons = state["instance"]["daemonHealth"]["allDaemonStatuses"]
    return is_up and all(daemon["healthy"] for daemon in daemons if daemon["required"])


def _last_line(message: str) -> str:
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    return lines[-1] if lines else "no reason was given"
