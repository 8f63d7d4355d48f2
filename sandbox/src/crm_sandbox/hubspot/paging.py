"""Pages and bodies of lists, and the cursor of the next page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import msgspec

from crm_sandbox.http import Parameters, Request, Response, is_number
from crm_sandbox.hubspot.bodies import must_fit
from crm_sandbox.hubspot.errors import ApiError, invalid
from crm_sandbox.hubspot.routes import Route, address_of

_ENCODER = msgspec.json.Encoder()


def encoded(value: Any) -> bytes:
    """Return JSON in UTF-8."""
    return _ENCODER.encode(value)


def answered(value: Any, status: int = 200) -> Response:
    """Answer with a JSON document."""
    return Response(status, encoded(value))


def limit_of(query: Mapping[str, str], *, default: int, most: int) -> int:
    """Return how many a page may have.

    Raises:
        ApiError: it is no number, or none that is allowed.
    """
    text = query.get("limit", "")
    if not text:
        return default
    if not is_number(text.removeprefix("-")):
        raise invalid(f"Invalid integer passed for limit: {text}")
    limit = int(text)
    if limit < 1 or limit > most:
        raise invalid(f"limit must be between 1 and {most}, but was {limit}")
    return limit


def after_of(query: Mapping[str, str]) -> int:
    """Return where a page begins; zero where it is not said.

    Raises:
        ApiError: it is no number.
    """
    text = query.get("after", "") or "0"
    if not is_number(text):
        raise invalid(f"Invalid value for 'after': {text}")
    return int(text)


def flag_of(query: Mapping[str, str], name: str) -> bool:
    """Return a boolean of the query string; false where it is missing.

    Raises:
        ApiError: it is neither true nor false.
    """
    text = query.get(name, "false").lower()
    if text not in {"true", "false", ""}:
        raise invalid(f"Invalid boolean passed for {name}: {text}")
    return text == "true"


def names_of(query: Parameters, name: str) -> list[str]:
    """Return a list of the query string, each once: one value with commas, or the name repeated.

    The vendor's descriptions say `style: form, explode: true`, and its JavaScript client repeats the
    name; its Python client and its guides write commas.
    """
    listed = [one.strip() for one in query.joined(name).split(",")]
    return list(dict.fromkeys(one for one in listed if one))


@dataclass(frozen=True)
class Page:
    """Where a list was asked for, so that it can say where it goes on."""

    request: Request
    route: Route

    def link(self, after: str) -> str:
        """Return an address that leads on - under another version than the one that was called.

        The vendor does that too, so that only `after` can be relied on.
        """
        version = "v3" if self.route.is_dated else "2026-03"
        path = address_of(self.route.area, version, self.route.parts)
        kept = [pair for pair in self.request.query.pairs if pair[0] != "after"]
        query = [*kept, ("after", after)]
        return f"{self.request.base_url}{path}?{urlencode(query)}"

    def paging(self, after: str) -> dict[str, Any]:
        """Return what says that there is more."""
        return {"next": {"after": after, "link": self.link(after)}}

    def of(self, results: Sequence[Any], after: str | None) -> Response:
        """Answer a page; without `after` it is the last one."""
        more = {} if after is None else {"paging": self.paging(after)}
        return answered({"results": results, **more})

    def single(self, value: Any, status: int = 200) -> Response:
        """Answer one thing."""
        return answered(value, status)


def json_of(request: Request, shape: type[Any]) -> dict[str, Any]:
    """Return the body, which has to be a JSON object of a shape; see `bodies.py`.

    Raises:
        ApiError: it is something else.
    """
    try:
        body = request.json()
    except ValueError as problem:
        raise invalid(f"Invalid input JSON on line 1, column 1: {problem}") from problem
    if not isinstance(body, dict):
        raise invalid("Invalid input JSON on line 1, column 1: expected an object")
    must_fit(body, shape)
    return body


def inputs_of(body: Mapping[str, Any], most: int) -> list[dict[str, Any]]:
    """Return the inputs of a batch.

    Raises:
        ApiError: there are none, or too many.
    """
    inputs = body.get("inputs")
    if not isinstance(inputs, list) or not all(isinstance(one, dict) for one in inputs):
        raise invalid("inputs must be an array of objects")
    if len(inputs) > most:
        raise ApiError(
            400,
            "VALIDATION_ERROR",
            f"The maximum number of inputs supported in a batch request is {most}. "
            f"You attempted to send {len(inputs)} inputs.",
        )
    return inputs
