"""Where requests of one connection may go: the configured host, and hosts that the vendor documents.

Vendors name addresses in answers: of the instance behind a login, of the next page, of a download. Such a
name is a claim, and whoever is asked there receives our token. `wire.session` asks here before it sends.
"""

import re
from functools import lru_cache
from urllib.parse import urlsplit

from crm_pipeline.settings import Connection


class TrustedHosts:
    """The places of one connection.

    Args:
        connection: whose `login_url` is trusted as it is.
        hosts: the vendor's documented hosts, with `*` for any number of labels: `*.my.salesforce.com`.
    """

    def __init__(self, connection: Connection, hosts: tuple[str, ...]) -> None:
        self._ours = _place(connection.login_url)
        self._documented = [_pattern(host) for host in hosts]

    def includes(self, address: str) -> bool:
        """Say whether a request may go to an address."""
        place = _place(address)
        if place is None:
            return False
        if place == self._ours:
            return True
        scheme, host, port = place
        is_default = (scheme, port) == ("https", 443)
        return is_default and any(pattern.fullmatch(host) for pattern in self._documented)


@lru_cache(maxsize=1024)
def _origin(scheme: str, netloc: str) -> tuple[str, str, int] | None:
    if "@" in netloc or "\\" in netloc:
        return None
    try:
        parts = urlsplit(f"{scheme}://{netloc}")
        port = parts.port
    except ValueError:
        return None
    host = (parts.hostname or "").rstrip(".")
    if scheme not in {"http", "https"} or not host:
        return None
    return scheme, host, port or (443 if scheme == "https" else 80)


def _place(address: str) -> tuple[str, str, int] | None:
    """Return scheme, host and port of an address; None where it is none that can be trusted."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return None
    return _origin(parts.scheme.lower(), parts.netloc.lower())


def _pattern(host: str) -> re.Pattern[str]:
    label = r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?"
    any_labels = rf"{label}(?:\.{label})*"
    return re.compile(any_labels.join(re.escape(part) for part in host.lower().split("*")))
