"""The shapes of the bodies that are no records: jobs and their changes."""

from typing import Any, TypedDict

from crm_sandbox.http import decoded
from crm_sandbox.salesforce.errors import unreadable
from crm_sandbox.shapes import misfit


class QueryJob(TypedDict):
    """An order of a bulk query."""

    operation: str
    query: str


class JobSettings(TypedDict, total=False):
    """What an order or a change of a job may say."""

    object: str | None
    operation: str | None
    externalIdFieldName: str | None
    contentType: str | None
    columnDelimiter: str | None
    lineEnding: str | None
    state: str | None


def job_of(body: bytes, *shapes: Any) -> dict[str, Any]:
    """Return the body of an order or a change.

    Raises:
        ApiError: `JSON_PARSER_ERROR`, with the place of what does not fit.
    """
    try:
        found = decoded(body)
    except ValueError as problem:
        raise unreadable(f"cannot read the job: {problem}") from problem
    for shape in (JobSettings, *shapes):
        wrong = misfit(found, shape)
        if wrong is not None:
            raise unreadable(f"cannot read the job: {wrong.reason} at {wrong.place}")
    job: dict[str, Any] = found
    return job
