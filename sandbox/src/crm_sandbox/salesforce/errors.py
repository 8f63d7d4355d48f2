"""Error responses of the data API: an HTTP status and a JSON array with one error."""

from collections.abc import Sequence
from typing import Any

from crm_sandbox.http import Response, json_response


class ApiError(Exception):
    """An answer of the data API that is not a success.

    Args:
        status: the HTTP status.
        code: the `errorCode`.
        message: the `message`.
        fields: the names of the fields at fault.
    """

    def __init__(self, status: int, code: str, message: str, fields: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.fields = list(fields)

    def response(self) -> Response:
        """Return the error as the API sends it."""
        entry: dict[str, Any] = {"message": self.message, "errorCode": self.code}
        if self.fields:
            entry["fields"] = self.fields
        return json_response([entry], self.status)


def malformed(message: str) -> ApiError:
    """Return the error for SOQL that cannot be read."""
    return ApiError(400, "MALFORMED_QUERY", message)


def invalid_field(name: str, entity: str) -> ApiError:
    """Return the error for a column that does not exist or may not be seen."""
    return ApiError(
        400,
        "INVALID_FIELD",
        f"No such column '{name}' on entity '{entity}'. If you are attempting to use a custom field, "
        "be sure to append the '__c' after the custom field name. Please reference your WSDL or the "
        "describe call for the appropriate names.",
    )


def no_such_column(name: str, entity: str) -> ApiError:
    """Return the error for a field in a write that does not exist or may not be seen."""
    return ApiError(400, "INVALID_FIELD", f"No such column '{name}' on sobject of type {entity}")


def malformed_id(label: str, value: object, field: str) -> ApiError:
    """Return the error for an id that is none, or one of another object."""
    return ApiError(400, "MALFORMED_ID", f"{label}: id value of incorrect type: {value}", [field])


def unreadable(message: str) -> ApiError:
    """Return the error for a body that is not the JSON that was expected."""
    return ApiError(400, "JSON_PARSER_ERROR", message)


def invalid_type(name: str) -> ApiError:
    """Return the error for an object that does not exist or may not be seen."""
    return ApiError(
        400,
        "INVALID_TYPE",
        f"sObject type '{name}' is not supported. If you are attempting to use a custom object, be "
        "sure to append the '__c' after the entity name. Please reference your WSDL or the describe "
        "call for the appropriate names.",
    )


def not_found() -> ApiError:
    """Return the error for an address that leads nowhere."""
    return ApiError(404, "NOT_FOUND", "The requested resource does not exist")
