"""The replication lists: which records were touched or deleted in a window of time."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from crm_sandbox.http import Request, Response, json_response
from crm_sandbox.salesforce.errors import ApiError
from crm_sandbox.salesforce.org import Org
from crm_sandbox.salesforce.schema import SObject
from crm_sandbox.salesforce.translation import python_value

_LOOK_BACK = {"updated": timedelta(days=30), "deleted": timedelta(days=15)}


@dataclass
class ReplicationSettings:
    """How the lists behave.

    Attributes:
        most_ids: longer lists are refused.
        open_since: naive UTC; since when a transaction has been open, whose records are not to be
            seen yet. The lists then cover only the time before it.
        purged: naive UTC; when records were deleted for good, by id, which the list of deleted ones still has.
    """

    most_ids: int = 600_000
    open_since: datetime | None = None
    purged: dict[str, datetime] = field(default_factory=dict)


class ReplicationHandler:
    """Answer `/sobjects/X/updated` and `/sobjects/X/deleted`.

    Args:
        org: holds the records.
    """

    def __init__(self, org: Org) -> None:
        self._org = org
        self.settings = ReplicationSettings()

    def answer(self, request: Request, name: str, kind: str) -> Response:
        """List what happened between `start` and `end`; seconds are ignored."""
        sobject = self._org.visible(name)
        if not sobject.has_deleted:
            raise ApiError(400, "INVALID_TYPE", f"{sobject.name} is not replicateable")
        start, end = (_minute(request, key) for key in ("start", "end"))
        now = self._org.clock.stamp()
        self._check(kind, start, end, now)
        if self.settings.open_since is not None:
            end = min(end, self.settings.open_since.replace(second=0, microsecond=0))
        covered = min(end, now.replace(second=0))
        rows = self._touched(sobject, kind, start, end)
        if len(rows) > self.settings.most_ids:
            raise ApiError(400, "EXCEEDED_ID_LIMIT", f"more than {self.settings.most_ids} ids")
        listed = python_value(covered)
        if kind == "updated":
            return json_response({"ids": [row[0] for row in rows], "latestDateCovered": listed})
        gone = [{"id": row[0], "deletedDate": python_value(row[1])} for row in rows]
        return json_response(
            {
                "deletedRecords": gone,
                "earliestDateAvailable": python_value(now - _LOOK_BACK[kind]),
                "latestDateCovered": listed,
            }
        )

    def _check(self, kind: str, start: datetime, end: datetime, now: datetime) -> None:
        problem = ""
        if start >= end:
            problem = "endDate must be at least one minute later than startDate"
        elif now - start > _LOOK_BACK[kind] + timedelta(minutes=1):
            problem = f"startDate cannot be more than {_LOOK_BACK[kind].days} days ago"
        if problem:
            raise ApiError(400, "INVALID_REPLICATION_DATE", problem)

    def _touched(
        self, sobject: SObject, kind: str, start: datetime, end: datetime
    ) -> list[tuple[str, datetime]]:
        gone = "" if kind == "deleted" else "NOT "
        sql = (
            f'SELECT "Id", "SystemModstamp" FROM "{sobject.name}" WHERE "SystemModstamp" >= ? '
            f'AND "SystemModstamp" < ? AND {gone}"IsDeleted" ORDER BY 2, 1'
        )
        purged = [
            (one, at)
            for one, at in self.settings.purged.items()
            if kind == "deleted" and one.startswith(sobject.prefix) and start <= at < end
        ]
        return [*self._org.cursor().execute(sql, [start, end]).fetchall(), *purged]


def _minute(request: Request, key: str) -> datetime:
    try:
        moment = datetime.fromisoformat(request.query[key]).astimezone(UTC)
    except (KeyError, ValueError, OverflowError) as problem:
        raise ApiError(
            400, "MALFORMED_QUERY", f"{key} must be a dateTime with an offset"
        ) from problem
    return moment.replace(tzinfo=None, second=0, microsecond=0)
