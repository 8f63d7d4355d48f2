"""The hosts that requests of one account may go to: the configured one, and those that the vendor documents.

Responses name addresses: of the instance behind a login, of the next page, of a download. Such an address is
unverified, and its host would receive our token. `wire.session` checks it here before it sends a request.
"""

import re
from functools import lru_cache
from urllib.parse import urlsplit


class TrustedHosts:
    """The trusted hosts of one account.

    Args:
        configured: the address that is configured for it.
        hosts: the vendor's documented hosts, with `*` for any number of labels: `*.my.salesforce.com`.
    """

    def __init__(self, configured: str, hosts: tuple[str, ...]) -> None:
        self._configured = _origin(configured)
        self._documented = [_pattern(host) for host in hosts]

    def includes(self, address: str) -> bool:
        """Return whether a request may go to an address."""
        origin = _origin(address)
        if origin is None:
            return False
        if origin == self._configured:
            return True
        scheme, host, port = origin
        is_default = (scheme, port) == ("https", 443)
        return is_default and any(pattern.fullmatch(host) for pattern in self._documented)


@lru_cache(maxsize=1024)
def _origin_of(scheme: str, netloc: str) -> tuple[str, str, int] | None:
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


def _origin(address: str) -> tuple[str, str, int] | None:
    """Return scheme, host and port of an address; None where it is malformed or holds credentials."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return None
    return _origin_of(parts.scheme.lower(), parts.netloc.lower())


def _pattern(host: str) -> re.Pattern[str]:
    label = r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?"
    any_labels = rf"{label}(?:\.{label})*"
    return re.compile(any_labels.join(re.escape(part) for part in host.lower().split("*")))
