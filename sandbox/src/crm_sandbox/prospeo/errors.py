"""Refusals: what went wrong stands in `error_code`, and nearly all of them have status 400."""

from crm_sandbox.http import Response, json_response

_STATUSES = {"INVALID_API_KEY": 401, "RATE_LIMITED": 429}


class ApiError(Exception):
    """A refusal.

    Args:
        code: as `error_code`.
        filter_error: what is wrong with the filters of a search.
    """

    def __init__(self, code: str, filter_error: str = "", status: int = 0) -> None:
        super().__init__(code)
        self.code = code
        self._filter_error = filter_error
        self._status = status or _STATUSES.get(code, 400)

    def response(self) -> Response:
        """Return it as a response."""
        body: dict[str, object] = {"error": True, "error_code": self.code}
        if self._filter_error:
            body["filter_error"] = self._filter_error
        return json_response(body, self._status)
