"""The vendor's data centres and their hosts.

Hosts: zoho.com/crm/developer/docs/api/v8/multi-dc.html and the official SDK's `api/dc`; the one of the
United Kingdom stands in a single secondary source.
"""

from dataclasses import dataclass

from crm_sandbox.http import Request

_ENVIRONMENTS = ("sandbox", "developer")


@dataclass(frozen=True)
class Centre:
    """One data centre.

    Attributes:
        key: as redirects of a consent name it in `location`.
        api: the API host without `www.`, which both answer.
        uploads: the host that takes files.
    """

    key: str
    accounts: str
    api: str
    uploads: str

    @property
    def hosts(self) -> tuple[str, ...]:
        """Every host of the centre."""
        apis = (self.api, f"www.{self.api}", *(f"{name}.{self.api}" for name in _ENVIRONMENTS))
        return (self.accounts, *apis, self.uploads)


CENTRES = (
    Centre("us", "accounts.zoho.com", "zohoapis.com", "content.zohoapis.com"),
    Centre("eu", "accounts.zoho.eu", "zohoapis.eu", "content.zohoapis.eu"),
    Centre("in", "accounts.zoho.in", "zohoapis.in", "content.zohoapis.in"),
    Centre("au", "accounts.zoho.com.au", "zohoapis.com.au", "content.zohoapis.com.au"),
    Centre("cn", "accounts.zoho.com.cn", "zohoapis.com.cn", "content.zohoapis.com.cn"),
    Centre("jp", "accounts.zoho.jp", "zohoapis.jp", "content.zohoapis.jp"),
    Centre("ca", "accounts.zohocloud.ca", "zohoapis.ca", "upload.zohocloud.ca"),
    Centre("sa", "accounts.zoho.sa", "zohoapis.sa", "files.zoho.sa"),
    Centre("uk", "accounts.zoho.uk", "zohoapis.uk", "content.zohoapis.uk"),
)
_BY_HOST = {host: one for one in CENTRES for host in one.hosts}
_BY_KEY = {one.key: one for one in CENTRES}
HOSTS = tuple(_BY_HOST)


def host_of(request: Request) -> str:
    """Return the vendor's host that a request names, empty where it came by the path's prefix."""
    return request.host.split(":")[0].lower() if request.by_host else ""


def centre_of(request: Request) -> Centre | None:
    """Return the data centre that a request went to; None by the path's prefix, which has none."""
    return _BY_HOST.get(host_of(request))


def is_accounts(request: Request) -> bool:
    """Say whether a request went to an accounts server; by prefix one address is all servers."""
    centre = centre_of(request)
    return centre is None or host_of(request) == centre.accounts


def is_developer(request: Request) -> bool:
    """Say whether a request went to the host of a developer or sandbox environment."""
    return host_of(request).split(".")[0] in _ENVIRONMENTS


def api_domain(request: Request, key: str) -> str:
    """Return the address of the API for an account of a centre, as it is reached from here."""
    if not request.by_host:
        return request.base_url
    scheme = request.base_url.split(":")[0]
    return f"{scheme}://{api_host(key)}"


def api_host(key: str) -> str:
    """Return the API host of a centre."""
    return f"www.{_BY_KEY[key].api}"


def accounts_server(request: Request, key: str) -> str:
    """Return the address of a centre's accounts server, as it is reached from here."""
    if not request.by_host:
        return request.base_url
    return f"{request.base_url.split(':')[0]}://{_BY_KEY[key].accounts}"
