from collections.abc import Iterator

import pytest

from crm_pipeline.kernel.clock import SystemClock
from crm_pipeline.ratelimit.limiter import RateLimiter
from crm_pipeline.store.postgres.database import Database


@pytest.fixture
def limiter(database: Database) -> Iterator[RateLimiter]:
    """A limiter of this process."""
    with RateLimiter(database, SystemClock()) as limiter:
        yield limiter
