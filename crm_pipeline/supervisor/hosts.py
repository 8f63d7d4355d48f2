"""The host names that the web interface accepts, as an ASGI application around it.

The interface has no login of its own; it is safe because only this machine reaches it. A web page that
somebody opens on this machine reaches it too: under its own host name that is made to point here (DNS
rebinding; the Host header shows it), or from another origin (browsers send it in a header).
"""

import ipaddress
import re
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any

from crm_pipeline.kernel.errors import ConfigError
from crm_pipeline.kernel.text import vendor_text

VARIABLE = "CRM_ALLOWED_HOSTS"
_NAME = re.compile(r"(\*\.)?[a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?|\*")
_ADDRESS = re.compile(r"(?P<host>\[[0-9a-fA-F:.]+\]|[^\[\]:@/?#\s]+)(:[0-9]{1,5})?")

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]


@dataclass(frozen=True)
class AllowedHosts:
    """The host names of the interface.

    Attributes:
        bound: the address that it listens on.
        names: further names; `*.acme.com` stands for all names below, `*` for any name.
    """

    bound: str
    names: frozenset[str] = frozenset()

    @classmethod
    def configured(cls, bound: str, environ: Mapping[str, str]) -> "AllowedHosts":
        """Read the variable.

        Raises:
            ConfigError: an entry is no host name.
        """
        entries = environ.get(VARIABLE, "").lower().replace(",", " ").split()
        for entry in entries:
            if not _NAME.fullmatch(entry) and not _is_ip(entry):
                raise ConfigError(
                    f"{VARIABLE} holds '{entry}', which is no host name.",
                    cure="Write names without scheme, port and path, such as 'dagster.acme.com', separated "
                    "by commas.",
                )
        return cls(bound, frozenset(entries))

    def admits(self, host: str) -> bool:
        """Say whether requests to a host, as it stands in a URL without the port, are answered."""
        name = host.strip("[]").lower().removesuffix(".")
        if self.is_named(name) or name == self.bound.lower() or name == "localhost":
            return True
        if name.endswith(".localhost"):
            return True
        if not _is_ip(name):
            return False
        # A page reaches an IP address only if it was served from there.
        return ipaddress.ip_address(name).is_loopback or not _is_loopback(self.bound)

    def is_named(self, name: str) -> bool:
        """Say whether the variable names a host."""
        return (
            name in self.names
            or "*" in self.names
            or any(entry[:2] == "*." and name.endswith(entry[1:]) for entry in self.names)
        )


@dataclass(frozen=True)
class HostCheck:
    """Refuses requests that are meant for another host, or come from a page of another host."""

    application: Application
    allowed: AllowedHosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        wrong = self.objection(scope) if scope["type"] in {"http", "websocket"} else ""
        if not wrong:
            await self.application(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        else:
            await _refuse(send, wrong)

    def objection(self, scope: Scope) -> str:
        """Return why a request is refused; "" if it is not."""
        headers: Sequence[tuple[bytes, bytes]] = scope["headers"]
        hosts = [value.decode("latin-1") for name, value in headers if name == b"host"]
        address = _ADDRESS.fullmatch(hosts[0]) if len(hosts) == 1 else None
        if address is None:
            return "The request names no host, or several."
        if not self.allowed.admits(address["host"]):
            host = vendor_text(address["host"], 100)
            return (
                f"This web interface does not answer to the name '{host}'. If it is yours, set "
                f"{VARIABLE}={host} in the environment or .env, and start again."
            )
        values = {name: value.decode("latin-1") for name, value in headers}
        origin = values.get(b"origin")
        if origin is not None and not self._is_own(origin, hosts[0]):
            return "The request comes from a page of another site."
        # Browsers send no Origin with images and scripts, which could carry a command in their address.
        if values.get(b"sec-fetch-site") in {"cross-site", "same-site"} and (
            origin is None and values.get(b"sec-fetch-mode") != "navigate"
        ):
            return "The request comes from a page of another site."
        return ""

    def _is_own(self, origin: str, host: str) -> bool:
        netloc = origin.lower().partition("://")[2]
        match = _ADDRESS.fullmatch(netloc)
        if match is None:
            return False
        # Behind a proxy the page's host may differ from the one in the Host header.
        return netloc == host.lower() or self.allowed.is_named(match["host"].strip("[]"))


async def _refuse(send: Send, text: str) -> None:
    body = f"{text}\n".encode()
    headers = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", str(len(body)).encode()),
        (b"x-content-type-options", b"nosniff"),
    ]
    await send({"type": "http.response.start", "status": 403, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _is_ip(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _is_loopback(name: str) -> bool:
    return name == "localhost" or (_is_ip(name) and ipaddress.ip_address(name).is_loopback)
