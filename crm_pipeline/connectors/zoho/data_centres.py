"""Zoho's data centres: which accounts servers there are, and which addresses are none.

Tokens are good only in the data centre that issued them. The accounts server is all that is configured: the
address of the API is what the token answer says. Hosts:
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
# The host answers without a part before it as well.
_API_PARTS = ("www.", "", "sandbox.", "developer.", "content.")
LOGINS = frozenset({"self_client", "refresh_token"})
# A data centre that is opened after this was written has a host of the same form. It is for login_url alone,
# which a person sets: an answer may name those that are documented.
_ACCOUNTS = re.compile(r"accounts\.zoho(?:cloud)?\.[a-z]{2,3}(?:\.[a-z]{2})?")


def is_accounts_host(host: str) -> bool:
    """Say whether a host has the form of an accounts server of the vendor."""
    return _ACCOUNTS.fullmatch(host.lower()) is not None


def api_hosts(connection: Connection) -> tuple[str, ...]:
    """Return the hosts of the API: of all known data centres, and of the one that is configured."""
    host = (urlsplit(connection.login_url).hostname or "").lower()
    own = re.sub(r"^accounts\.zoho(?:cloud)?\.", "", host) if is_accounts_host(host) else ""
    domains = dict.fromkeys((*_API_DOMAINS, *([own] if own else [])))
    return tuple(f"{part}zohoapis.{domain}" for domain in domains for part in _API_PARTS)


def web_site(api_host: str) -> str:
    """Return the site at which people of an API host's data centre work; "" where it is not known.

    Environments for developers have sites of their own, which are not documented.
    """
    found = re.fullmatch(r"(?:www\.)?zohoapis\.([a-z.]{2,6})", api_host.lower())
    if found is None or found[1] not in _API_DOMAINS:
        return ""
    return f"https://crm.{'zohocloud' if found[1] == 'ca' else 'zoho'}.{found[1]}"


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
            cure=f"Set login_url to {_meant(host)}; the address of the API is learned from there. Known: "
            f"{', '.join(ACCOUNTS)}.",
        )
    if address.path not in ("", "/"):
        raise ConfigError(
            f"{where}: login_url goes on behind the host ({address.path}).",
            cure=f"Set login_url to {address.scheme}://{host}.",
        )


def _meant(host: str) -> str:
    """Guess the accounts server from another host of the vendor, such as crm.zoho.eu."""
    found = re.search(r"zoho(?:apis|cloud)?\.([a-z.]+)$", host)
    meant = next((one for one in ACCOUNTS if found and one.endswith(f"zoho.{found[1]}")), None)
    if found and found[1] == "ca":
        meant = "accounts.zohocloud.ca"
    return f"https://{meant or 'accounts.zoho.com (or that of your data centre)'}"
