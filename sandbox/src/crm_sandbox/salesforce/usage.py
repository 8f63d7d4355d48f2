"""The org's API limits: a counter that counts calls, and its display in `/limits`."""

import threading
from typing import Any

from crm_sandbox.salesforce.errors import ApiError

_OTHER_LIMITS = {
    "DailyAsyncApexExecutions": 250_000,
    "DailyBulkApiBatches": 15_000,
    "DailyBulkV2QueryFileStorageMB": 976_562,
    "DailyBulkV2QueryJobs": 10_000,
    "DailyDurableStreamingApiEvents": 1_000_000,
    "DataStorageMB": 10_240,
    "FileStorageMB": 20_480,
    "HourlyPublishedPlatformEvents": 250_000,
    "SingleEmail": 5_000,
}


class ApiUsage:
    """Calls made and calls allowed in 24 hours."""

    def __init__(self, maximum: int = 100_000) -> None:
        self._lock = threading.Lock()
        self.maximum = maximum
        self.used = 0
        self.bulk_jobs = 0
        self.bulk_batches = 0
        self.app_name = ""

    def count(self) -> None:
        """Count one call.

        Raises:
            ApiError: the org has no calls left.
        """
        with self._lock:
            if self.used >= self.maximum:
                raise ApiError(403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.")
            self.used += 1

    def count_batches(self, records: int) -> None:
        """Count the internal batches of an ingest job, which the vendor makes of 10,000 records."""
        with self._lock:
            self.bulk_batches += -(-records // 10_000)

    def set(self, maximum: int | None = None, used: int | None = None) -> None:
        """Change the limit, the counter, or both."""
        with self._lock:
            self.maximum = self.maximum if maximum is None else maximum
            self.used = self.used if used is None else used

    @property
    def header(self) -> tuple[str, str]:
        """The header that data answers carry."""
        value = f"api-usage={self.used}/{self.maximum}"
        if self.app_name:
            value += f"; per-app-api-usage={self.used}/{self.maximum}(appName={self.app_name})"
        return ("Sforce-Limit-Info", value)

    def limits(self) -> dict[str, Any]:
        """Return the body of `/limits`."""
        made = {name: {"Max": most, "Remaining": most} for name, most in _OTHER_LIMITS.items()}
        jobs = _OTHER_LIMITS["DailyBulkV2QueryJobs"]
        made["DailyBulkV2QueryJobs"] = {"Max": jobs, "Remaining": jobs - self.bulk_jobs}
        batches = _OTHER_LIMITS["DailyBulkApiBatches"]
        made["DailyBulkApiBatches"]["Remaining"] = batches - self.bulk_batches
        left = max(0, self.maximum - self.used)
        return {"DailyApiRequests": {"Max": self.maximum, "Remaining": left}} | made
