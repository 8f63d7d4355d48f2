"""The vendor's error responses: an HTTP status and an envelope with code, details, message and status."""

from typing import Any

from crm_sandbox.http import Response, json_response


class ZohoError(Exception):
    """An answer that is not a success.

    Args:
        status: the HTTP status.
        code: the `code`.
        message: the `message`.
        details: the `details`.
    """

    def __init__(
        self, status: int, code: str, message: str, details: dict[str, Any] | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.details = details or {}

    @property
    def envelope(self) -> dict[str, Any]:
        """The body."""
        return {
            "code": self.code,
            "details": self.details,
            "message": self.message,
            "status": "error",
        }

    def response(self) -> Response:
        """Return the error as the API sends it."""
        return json_response(self.envelope, self.status)


def invalid_data(message: str, **details: Any) -> ZohoError:
    """Return the error for a value that does not fit."""
    return ZohoError(400, "INVALID_DATA", message, details)


def missing_param(name: str) -> ZohoError:
    """Return the error for a parameter that must be there."""
    return ZohoError(
        400,
        "REQUIRED_PARAM_MISSING",
        "One of the expected parameter is missing",
        {"param_name": name},
    )


def limit_exceeded(message: str, **details: Any) -> ZohoError:
    """Return the error for more than may be asked at once."""
    return ZohoError(400, "LIMIT_EXCEEDED", message, details)


def ambiguous(*names: str) -> ZohoError:
    """Return the error for parameters that exclude each other."""
    return ZohoError(
        400,
        "AMBIGUITY_DURING_PROCESSING",
        f"Ambiguity while processing the request: {' and '.join(names)} given together",
        {"ambiguity_due_to": [{"param_name": name} for name in names]},
    )


def no_such_address() -> ZohoError:
    """Return the error for an address that leads nowhere."""
    return ZohoError(
        404,
        "INVALID_URL_PATTERN",
        "Please check if the URL trying to access is a correct one",
    )


def wrong_method() -> ZohoError:
    """Return the error for a method that an address does not take."""
    return ZohoError(
        400, "INVALID_REQUEST_METHOD", "The http request method type is not a valid one"
    )
