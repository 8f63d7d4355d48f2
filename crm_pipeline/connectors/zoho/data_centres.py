"""Zoho's data centres: their accounts servers, and the check of configured addresses.

Tokens are valid only in the data centre that issued them. Only the accounts server is configured: the token
response names the address of the API. Hosts:
zoho.com/crm/developer/docs/api/v8/multi-dc.html and the official SDK.
"""

import re
from urllib.parse import urlsplit

from crm_pipeline.kernel.errors import ConfigError
from crm_pipeline.settings import Connection

ACCOUNTS = (
    "accounts.zoho.com",
    "accounts.zoho.eu",
    "accounts.zoho.in",
    "accounts.zoho.com.au",
    "accounts.zoho.com.cn",
    "accounts.zoho.jp",
    "accounts.zohocloud.ca",
    "accounts.zoho.sa",
    "accounts.zoho.uk",
)
_API_DOMAINS = ("com", "eu", "in", "com.au", "com.cn", "jp", "ca", "sa", "uk")
# The host also works without a prefix.
_API_PREFIXES = ("www.", "", "sandbox.", "developer.", "content.")
LOGINS = frozenset({"self_client", "refresh_token"})
# New data centres will have hosts of the same form. The form is enough for login_url, which a person sets;
# responses may name only documented hosts.
_ACCOUNTS = re.compile(r"accounts\.zoho(?:cloud)?\.[a-z]{2,3}(?:\.[a-z]{2})?")


def is_accounts_host(host: str) -> bool:
    """Return whether a host has the form of an accounts server of the vendor."""
    return _ACCOUNTS.fullmatch(host.lower()) is not None


def api_hosts(connection: Connection) -> tuple[str, ...]:
    """Return the API hosts of all known data centres and of the configured one."""
    host = (urlsplit(connection.login_url).hostname or "").lower()
    own = re.sub(r"^accounts\.zoho(?:cloud)?\.", "", host) if is_accounts_host(host) else ""
    domains = dict.fromkeys((*_API_DOMAINS, *([own] if own else [])))
    return tuple(f"{prefix}zohoapis.{domain}" for domain in domains for prefix in _API_PREFIXES)


def web_site(api_host: str) -> str:
    """Return the web site of an API host's data centre; "" where it is not known.

    Developer environments have sites of their own, which are not documented.
    """
    match = re.fullmatch(r"(?:www\.)?zohoapis\.([a-z.]{2,6})", api_host.lower())
    if match is None or match[1] not in _API_DOMAINS:
        return ""
    return f"https://crm.{'zohocloud' if match[1] == 'ca' else 'zoho'}.{match[1]}"


def console(connection: Connection) -> str:
    """Return the address of the API console of a connection's data centre."""
    host = urlsplit(connection.login_url).hostname or ""
    if not is_accounts_host(host):
        return connection.login_url
    return f"https://api-console.{host.removeprefix('accounts.')}"


def refuse_unusable(connection: Connection) -> None:
    """Refuse a login or an address that cannot work, before anything is sent.

    Raises:
        ConfigError: another kind of login, or an address that is no accounts server.
    """
    where = f"connection '{connection.name}'"
    kind = connection.auth.kind
    if kind not in LOGINS:
        raise ConfigError(
            f"{where} is of kind {kind}, which Zoho does not have.",
            cure="Use 'kind: self_client' (a code that you make by hand in the API console), or 'kind: "
            "refresh_token' (a login in the browser); see docs/connections.md.",
        )
    if connection.sandbox:
        return
    address = urlsplit(connection.login_url)
    host = (address.hostname or "").lower()
    if not is_accounts_host(host):
        raise ConfigError(
            f"{where}: {host} is no accounts server of Zoho.",
            cure=f"Set login_url to {_suggested(host)}; the address of the API is learned from there. Known: "
            f"{', '.join(ACCOUNTS)}.",
        )
    if address.path not in ("", "/"):
        raise ConfigError(
            f"{where}: login_url goes on behind the host ({address.path}).",
            cure=f"Set login_url to {address.scheme}://{host}.",
        )


def _suggested(host: str) -> str:
    """Return the accounts server that fits another host of the vendor, such as crm.zoho.eu."""
    match = re.search(r"zoho(?:apis|cloud)?\.([a-z.]+)$", host)
    ending = f"zoho.{match[1]}" if match else None
    server = next((name for name in ACCOUNTS if ending and name.endswith(ending)), None)
    if match and match[1] == "ca":
        server = "accounts.zohocloud.ca"
    return f"https://{server or 'accounts.zoho.com (or that of your data centre)'}"
