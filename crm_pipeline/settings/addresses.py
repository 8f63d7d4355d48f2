"""Addresses in connections.yaml: plain ones, and the sandbox's on this machine."""

import ipaddress
from urllib.parse import urlsplit

from crm_pipeline.settings.model import problem


def plain_url(value: str, example: str) -> str:
    """Return an address without a slash at its end.

    Raises:
        PydanticCustomError: it is none, or holds more than an address.
    """
    try:
        url = urlsplit(value)
        whole = bool(url.hostname) and (url.port is None or url.port > 0)
    except ValueError:
        whole = False
    if not whole or url.scheme not in ("https", "http"):
        raise problem(
            "is no web address", cure=f"Write it like {example}, without a path of the API."
        )
    if url.username or url.password or url.query or url.fragment:
        raise problem(
            "carries more than an address (a login, a query or a fragment)",
            cure="Keep the part before '?' and '#', and put credentials into the environment.",
        )
    return value.rstrip("/")


def require_https(value: str, *, sandbox: bool, key: str) -> None:
    """Refuse plain http, unless it goes to the sandbox on this machine.

    Raises:
        PydanticCustomError: secrets would be readable over the network.
    """
    url = urlsplit(value)
    if url.scheme == "http" and not (sandbox and _is_loopback(url.hostname or "")):
        raise problem(
            "is plain http, which would send the secrets readable over the network; it is allowed "
            "only for the sandbox on this machine",
            cure="Write https://, or, for the sandbox, use 127.0.0.1 and add 'sandbox: true'.",
            at=key,
        )


def with_port(address: str, port: int) -> str:
    """Return an address with another port."""
    url = urlsplit(address)
    host = url.netloc.rpartition(":")[0] if url.port is not None else url.netloc
    return url._replace(netloc=f"{host}:{port}").geturl()


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
