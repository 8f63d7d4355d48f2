"""A process of `test_limiter.py`: six threads that make calls and write when they held permits."""

import json
import sys
import threading
import time

from crm_pipeline.kernel.clock import SystemClock
from crm_pipeline.ratelimit.limiter import RateLimiter
from crm_pipeline.ratelimit.limits import Limit
from crm_pipeline.store.postgres.database import Database

LIMITS = [Limit("burst", 40, 0.4), Limit("credits", 100, 1.0)]
calls: list[tuple[float, float, int, int]] = []


def work(limiter: RateLimiter, number: int) -> None:
    for call in range(12):
        cost = 1 + (number + call) % 2
        with limiter.permit("acme", LIMITS, cost=cost):
            taken = time.monotonic()
            threading.Event().wait(0.005 * number)
            replied = time.monotonic()
        calls.append((taken, replied, cost, cost))


with Database(sys.argv[1]) as database, RateLimiter(database, SystemClock()) as limiter:
    threads = [threading.Thread(target=work, args=(limiter, number)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
sys.stdout.write(json.dumps(calls))
