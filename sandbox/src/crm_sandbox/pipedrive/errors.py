"""Refusals in the shapes of the API.

Source: https://pipedrive.readme.io/docs/core-api-concepts-responses
"""

from typing import Any

from crm_sandbox.http import Response, json_response

_INFO = "Please check developers.pipedrive.com for more information."
SCHEMA = "ERR_SCHEMA_VALIDATION_FAILED"


class ApiError(Exception):
    """A refusal of one request.

    Args:
        status: the HTTP status.
        error: the sentence.
        code: the machine-readable code; only v2 answers carry it.
    """

    def __init__(self, status: int, error: str, code: str = "") -> None:
        super().__init__(error)
        self.status = status
        self.error = error
        self.code = code

    def response(self) -> Response:
        """Return the refusal as the API sends it."""
        body: dict[str, Any] = {"success": False, "error": self.error, "error_info": _INFO}
        body |= {"data": None, "additional_data": None}
        return json_response(body | ({"code": self.code} if self.code else {}), self.status)


def invalid(*problems: str) -> ApiError:
    """Return the refusal of parameters or a body, several problems in one sentence."""
    return ApiError(400, f"Validation failed: {'; '.join(problems)}", SCHEMA)


def not_allowed(name: str) -> str:
    """Return the problem with a parameter or a field that does not exist."""
    return f"{name}: Parameter '{name}' is not allowed for this request"


def unauthorized() -> Response:
    """Return the answer to a token that is none; the gateway says it, not the API."""
    body = {"success": False, "error": "unauthorized access", "errorCode": 401}
    return json_response(body | {"error_info": "Please check developers.pipedrive.com"}, 401)


def html_forbidden() -> Response:
    """Return what the proxy in front says to who ignores refusals."""
    page = (
        b"<!DOCTYPE html><html><head><title>Access denied</title></head>"
        b"<body><h1>Error 1015</h1><p>You are being rate limited</p></body></html>"
    )
    return Response(403, page, content_type="text/html; charset=UTF-8")
