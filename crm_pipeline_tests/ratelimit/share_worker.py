"""A process of `test_limiter.py`: threads of one member that make calls for some seconds, and when they did."""

import json
import sys
import threading
import time

from crm_pipeline.kernel.clock import SystemClock
from crm_pipeline.ratelimit.limiter import RateLimiter
from crm_pipeline.ratelimit.limits import Limit
from crm_pipeline.store.postgres.database import Database

LIMIT = Limit("burst", 30, 0.5)
url, member, threads = sys.argv[1:]
calls: list[tuple[float, float]] = []

with Database(url) as database, RateLimiter(database, SystemClock()) as limiter:
    with database.transaction() as cursor:
        cursor.execute("SELECT 1")
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    ends_at = time.monotonic() + 3.5

    def work() -> None:
        while time.monotonic() < ends_at:
            with limiter.permit("acme", [LIMIT], member=member):
                taken = time.monotonic()
                threading.Event().wait(0.005)
                replied = time.monotonic()
            calls.append((taken, replied))

    workers = [threading.Thread(target=work) for _ in range(int(threads))]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
sys.stdout.write(json.dumps(sorted(calls)))
