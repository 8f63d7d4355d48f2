"""HubSpot's error responses: a status and a JSON object, of which only three keys are always there.

Source: https://developers.hubspot.com/docs/api-reference/error-handling
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from crm_sandbox.http import Response, json_response

Context = Mapping[str, Sequence[str]]


class ApiError(Exception):
    """An answer that is not a success.

    Args:
        status: the HTTP status.
        category: the `category`.
        message: the `message`.
        sub_category: the `subCategory`, where there is one.
        context: lists of values by name.
        errors: single complaints of a request that has several.
        body: replaces the whole body; `correlationId` is added.
    """

    def __init__(
        self,
        status: int,
        category: str,
        message: str,
        *,
        sub_category: str = "",
        context: Context | None = None,
        errors: Iterable[Mapping[str, Any]] = (),
        body: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.category = category
        self.message = message
        self.sub_category = sub_category
        self.context = {key: list(values) for key, values in (context or {}).items()}
        self.errors = [dict(one) for one in errors]
        self.body = body

    def entry(self) -> dict[str, Any]:
        """Return the error as one of several in the answer of a batch."""
        made: dict[str, Any] = {
            "status": "error",
            "category": self.category,
            "message": self.message,
            "context": self.context,
            "links": {},
            "errors": self.errors,
        }
        return made | ({"subCategory": self.sub_category} if self.sub_category else {})

    def response(self, correlation_id: str) -> Response:
        """Return the error as the API sends it."""
        if self.body is not None:
            return json_response({**self.body, "correlationId": correlation_id}, self.status)
        made: dict[str, Any] = {
            "status": "error",
            "message": self.message,
            "correlationId": correlation_id,
            "category": self.category,
        }
        if self.sub_category:
            made["subCategory"] = self.sub_category
        if self.errors:
            made["errors"] = self.errors
        if self.context:
            made["context"] = self.context
        return json_response(made, self.status)


def invalid(message: str, **more: Any) -> ApiError:
    """Return the error for a request that cannot be meant like this."""
    return ApiError(400, "VALIDATION_ERROR", message, **more)


def not_found(message: str = "resource not found", **more: Any) -> ApiError:
    """Return the error for what is not there."""
    return ApiError(404, "OBJECT_NOT_FOUND", message, **more)


def unsupported_method() -> ApiError:
    """Return the error for an address that knows other methods only."""
    return ApiError(405, "METHOD_NOT_ALLOWED", "HTTP 405 Method Not Allowed")


def wrong_values(portal: int, complaints: Iterable[tuple[str, str, str]]) -> ApiError:
    """Return the error for property values, whose complaints are JSON inside the message.

    Args:
        portal: its id, which every complaint names.
        complaints: message, code and property name of each.
    """
    listed = [
        {
            "isValid": False,
            "message": message,
            "error": code,
            "name": name,
            "localizedErrorMessage": message,
            "portalId": portal,
        }
        for message, code, name in complaints
    ]
    inside = json.dumps(listed, ensure_ascii=False, separators=(",", ":"))
    singles = [
        {"message": message, "code": code, "context": {"propertyName": [name]}}
        for message, code, name in complaints
    ]
    return invalid(f"Property values were not valid: {inside}", errors=singles)
