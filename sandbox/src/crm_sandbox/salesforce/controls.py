"""Settings of writes, replication lists and long requests that an admin may make."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from crm_sandbox.salesforce.refusals import Refusal

if TYPE_CHECKING:
    from crm_sandbox.salesforce.ingest import IngestHandler
    from crm_sandbox.salesforce.long_requests import LongRequests
    from crm_sandbox.salesforce.replication import ReplicationHandler
    from crm_sandbox.salesforce.writes import Writer


class WriteControls:
    """What an admin may set in one org."""

    writer: "Writer"
    ingest: "IngestHandler"
    replication: "ReplicationHandler"
    long_requests: "LongRequests"

    def refuse_writes(self, code: str, **which: Any) -> None:
        """Refuse the next writes with a code.

        Args:
            code: UNABLE_TO_LOCK_ROW, DUPLICATES_DETECTED or FIELD_CUSTOM_VALIDATION_EXCEPTION.
            **which: `name` (the object), `record`, `field`, `message`, `times`.

        Raises:
            ValueError: the code is another one.
            TypeError: an argument is unknown.
        """
        self.writer.refusals.order(Refusal(code, **which))

    def set_replication(self, most_ids: int | None = None, open_since: str | None = None) -> None:
        """Change how many ids a list has at most, and since when a transaction has been open."""
        settings = self.replication.settings
        settings.most_ids = settings.most_ids if most_ids is None else most_ids
        settings.open_since = None
        if open_since:
            moment = datetime.fromisoformat(open_since)
            aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
            settings.open_since = aware.astimezone(UTC).replace(tzinfo=None)

    def set_long_requests(
        self, maximum: int | None = None, threshold_s: float | None = None
    ) -> None:
        """Change how many long requests may run at once, and from how many seconds on one is long."""
        settings = self.long_requests
        settings.maximum = settings.maximum if maximum is None else maximum
        settings.threshold_s = settings.threshold_s if threshold_s is None else threshold_s

    def set_largest_upload(self, size: int) -> None:
        """Change how many bytes an ingest upload may have."""
        self.ingest.largest_upload = size
