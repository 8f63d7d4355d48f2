"""A process of `test_limiter.py`: forks while it makes a call; the child leaves the permit and flushes."""

import os
import sys

from crm_pipeline.kernel.clock import SystemClock
from crm_pipeline.ratelimit.limiter import RateLimiter
from crm_pipeline.ratelimit.limits import Limit
from crm_pipeline.store.postgres.database import Database

LIMITS = [Limit("burst", 100, 10.0)]

with Database(sys.argv[1]) as database, RateLimiter(database, SystemClock()) as limiter:
    with limiter.permit("acme", LIMITS, cost=7):
        child = os.fork()
        if child:
            _, status = os.waitpid(child, 0)
            (standing,) = limiter.usage("acme")
            sys.stdout.write(f"{status} {standing.under_way} {standing.used}")
    if not child:
        limiter.flush()
        limiter.close()
        os._exit(0)
