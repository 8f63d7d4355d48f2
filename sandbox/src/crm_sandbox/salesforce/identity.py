"""What the identity address and the userinfo endpoint say about the user that clients work as."""

from typing import Any

from crm_sandbox.salesforce import credentials
from crm_sandbox.salesforce.org import Org
from crm_sandbox.salesforce.translation import python_value

_FIRST, _LAST, _NICK = "Ada", "Park", "user0"
_LANGUAGE = "en_US"
_ZONE, _ZONE_OFFSET_MS = "America/New_York", -18_000_000
# The last parts of the addresses that a client may go on to; the version stays open.
_REST = {
    "rest": "",
    "sobjects": "sobjects/",
    "search": "search/",
    "query": "query/",
    "recent": "recent/",
    "tooling_rest": "tooling/",
    "feeds": "chatter/feeds",
    "groups": "chatter/groups",
    "users": "chatter/users",
    "feed_items": "chatter/feed-items",
    "feed_elements": "chatter/feed-elements",
}
_SOAP = {"enterprise": "c", "metadata": "m", "partner": "u", "tooling_soap": "T"}


def identity_of(org: Org, address: str, instance: str) -> dict[str, Any]:
    """Return what the identity address answers.

    Args:
        org: its user.
        address: the identity address itself.
        instance: where the org's API is.
    """
    return {
        "id": address,
        "asserted_user": True,
        "user_id": org.user_id,
        "organization_id": org.organization_id,
        "username": credentials.USERNAME,
        "nick_name": _NICK,
        "display_name": f"{_FIRST} {_LAST}",
        "email": credentials.USERNAME,
        "email_verified": True,
        "first_name": _FIRST,
        "last_name": _LAST,
        "timezone": _ZONE,
        "photos": _photos(instance),
        "addr_street": None,
        "addr_city": None,
        "addr_state": None,
        "addr_country": "US",
        "addr_zip": None,
        "mobile_phone": None,
        "mobile_phone_verified": False,
        "is_lightning_login_user": False,
        "status": {"created_date": None, "body": None},
        "last_modified_date": python_value(org.schema_moment),
        **_common(org, instance),
    }


def userinfo_of(org: Org, address: str, instance: str) -> dict[str, Any]:
    """Return what the userinfo endpoint of OpenID Connect answers; see `identity_of`."""
    return {
        "sub": address,
        "user_id": org.user_id,
        "organization_id": org.organization_id,
        "preferred_username": credentials.USERNAME,
        "nickname": _NICK,
        "name": f"{_FIRST} {_LAST}",
        "email": credentials.USERNAME,
        "email_verified": True,
        "given_name": _FIRST,
        "family_name": _LAST,
        "zoneinfo": _ZONE,
        "photos": _photos(instance),
        "profile": f"{instance}/{org.user_id}",
        "picture": _photos(instance)["picture"],
        "address": {"country": "US"},
        "is_salesforce_integration_user": False,
        "updated_at": python_value(org.schema_moment).replace("+0000", "Z"),
        **_common(org, instance),
    }


def _common(org: Org, instance: str) -> dict[str, Any]:
    rest = {name: f"{instance}/services/data/v{{version}}/{end}" for name, end in _REST.items()}
    soap = {
        name: f"{instance}/services/Soap/{kind}/{{version}}/{org.organization_id}"
        for name, kind in _SOAP.items()
    }
    own = {"profile": f"{instance}/{org.user_id}", "custom_domain": instance}
    return {
        "urls": soap | rest | own,
        "active": True,
        "user_type": "STANDARD",
        "language": _LANGUAGE,
        "locale": _LANGUAGE,
        "utcOffset": _ZONE_OFFSET_MS,
        "is_app_installed": True,
    }


def _photos(instance: str) -> dict[str, str]:
    return {
        "picture": f"{instance}/profilephoto/005/F",
        "thumbnail": f"{instance}/profilephoto/005/T",
    }
