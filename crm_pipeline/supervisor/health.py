"""Questions to the local web servers of the stack: is a port free, is Dagster up, are daemons alive?

Only addresses of this machine are asked, and no data passes here.
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


def require_free(host: str, port: int, what: str, flag: str) -> None:
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
                f"{what} cannot listen on port {port} of {host}: {error.strerror}.",
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
    """Ask Dagster's web API.

    Raises:
        OSError: it does not answer.
        ValueError: it refuses the question.
    """
    body = json.dumps({"query": query, "variables": variables or {}}).encode()
    request = urllib.request.Request(  # noqa: S310 - an http address that we made ourselves
        f"{url}/graphql", data=body, headers={"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer:  # noqa: S310 - as above
        told = json.load(answer)
    if told.get("errors"):
        raise ValueError(str(told["errors"][0].get("message")))
    return dict(told["data"])


def is_loaded(url: str) -> bool:
    """Say whether the definitions are loaded and all daemons breathe.

    Raises:
        ConfigError: the definitions do not load; the text says why.
    """
    try:
        told = ask(url, _WORKSPACE)
    except OSError:
        return False
    workspace = told["workspaceOrError"]
    if "message" in workspace:
        raise ConfigError(f"Dagster has no workspace: {workspace['message']}")
    entries = workspace["locationEntries"]
    for entry in entries:
        found = entry["locationOrLoadError"] or {}
        # Until the code server listens, 'unreachable' only means 'not yet'.
        if "message" in found and "DagsterUserCodeUnreachableError" not in found["message"]:
            raise ConfigError(
                f"the definitions do not load: {_last_words(found['message'])}",
                cure="Correct what it names; `crm-pipeline check` reads the same configuration.",
            )
    is_up = bool(entries) and all(
        (entry["locationOrLoadError"] or {}).get("__typename") == "RepositoryLocation"
        for entry in entries
    )
    daemons = told["instance"]["daemonHealth"]["allDaemonStatuses"]
    return is_up and all(one["healthy"] for one in daemons if one["required"])


def _last_words(message: str) -> str:
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    return lines[-1] if lines else "no reason was given"
