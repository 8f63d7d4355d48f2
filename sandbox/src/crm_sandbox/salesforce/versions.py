"""API versions: which exist, what they are called, how retired ones answer."""

from crm_sandbox.salesforce.errors import ApiError, not_found

OLDEST = 31
NEWEST = 68
_SEASONS = ("Winter", "Spring", "Summer")
_WINTER_26 = 65


def listed_versions() -> list[dict[str, str]]:
    """Return the body of `/services/data/`."""
    return [
        {
            "label": f"{_SEASONS[(number - _WINTER_26) % 3]} '{26 + (number - _WINTER_26) // 3}",
            "url": f"/services/data/v{number}.0",
            "version": f"{number}.0",
        }
        for number in range(OLDEST, NEWEST + 1)
    ]


def check_version(version: str) -> None:
    """Refuse versions that are retired or not there yet.

    Raises:
        ApiError: 410 for a retired version, 404 for an unknown one.
    """
    number = float(version)
    if number < OLDEST:
        raise ApiError(410, "GONE", f"API version {version} is retired")
    if number > NEWEST or number != int(number):
        raise not_found()
