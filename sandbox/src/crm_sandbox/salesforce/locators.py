"""Opaque places in a Bulk result; the same place always has the same locator."""

import base64
import binascii

from crm_sandbox.http import is_number
from crm_sandbox.salesforce.errors import ApiError


def locator_of(job: str, position: int) -> str:
    """Return the locator of a record position."""
    text = f"{job[:15]}:{position}".encode()
    return base64.urlsafe_b64encode(text).decode().rstrip("=")


def position_of(job: str, locator: str, count: int) -> int:
    """Return the record position behind a locator; no locator is the beginning.

    Raises:
        ApiError: the locator is not one of this job's.
    """
    if not locator:
        return 0
    try:
        padded = locator + "=" * (-len(locator) % 4)
        owner, _, position = base64.urlsafe_b64decode(padded).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        owner, position = "", ""
    if owner != job[:15] or not is_number(position) or int(position) >= max(count, 1):
        raise ApiError(400, "INVALID_LOCATOR", f"The locator '{locator}' is not valid for this job")
    return int(position)
