"""The portals' fixed credentials and facts; made up, printed in documentation, worth nothing."""

from dataclasses import dataclass

CLIENT_ID = "5a9d0b0e-0000-4000-8000-000000000001"
CLIENT_SECRET = "5a9d0b0e-0000-4000-8000-00000000cafe"  # noqa: S105 - a public constant of an emulated server
APP_ID = 5_900_001
DEVELOPER_KEY = "sandbox-developer-key"


@dataclass(frozen=True)
class PortalFacts:
    """One portal: who it is, and what opens it.

    Attributes:
        name: what the sandbox calls it.
        hub_id: what the vendor calls it.
        token: of its private app, with every scope; does not expire.
        contacts_token: of another private app that may only read contacts and what belongs to them.
        refresh_token: of the marketplace app (`CLIENT_ID`) that it has installed.
        daily: calls that all its private apps have in a day.
    """

    name: str
    hub_id: int
    token: str
    contacts_token: str
    refresh_token: str
    user_id: int
    currency: str
    time_zone: str
    utc_offset: str
    region: str
    daily: int


MAIN = PortalFacts(
    name="main",
    hub_id=24_100_001,
    token="pat-na1-00000000-5a9d-4000-8000-000000000001",  # noqa: S106 - as above
    contacts_token="pat-na1-00000000-5a9d-4000-8000-000000000011",  # noqa: S106 - as above
    refresh_token="na1-sandbox-refresh-token-main",  # noqa: S106 - as above
    user_id=9_100_001,
    currency="USD",
    time_zone="US/Eastern",
    utc_offset="-05:00",
    region="na1",
    daily=1_000_000,
)
SECOND = PortalFacts(
    name="second",
    hub_id=24_100_002,
    token="pat-eu1-00000000-5a9d-4000-8000-000000000002",  # noqa: S106 - as above
    contacts_token="pat-eu1-00000000-5a9d-4000-8000-000000000012",  # noqa: S106 - as above
    refresh_token="eu1-sandbox-refresh-token-second",  # noqa: S106 - as above
    user_id=9_100_101,
    currency="EUR",
    time_zone="Europe/Berlin",
    utc_offset="+01:00",
    region="eu1",
    daily=625_000,
)
PORTALS = {facts.name: facts for facts in (MAIN, SECOND)}


def is_callback(address: str) -> bool:
    """Say whether the marketplace app has this address registered for its callback."""
    return address.startswith(("http://localhost:", "http://localhost/"))
