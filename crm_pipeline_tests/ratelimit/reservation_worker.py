"""A process of `test_reservations.py`: spends a monthly budget until it is spent, or dies during a call."""

import json
import os
import signal
import sys
import threading

from crm_pipeline.kernel.clock import SystemClock
from crm_pipeline.kernel.errors import BudgetExhausted
from crm_pipeline.ratelimit.limiter import RateLimiter
from crm_pipeline.ratelimit.limits import Limit, monthly
from crm_pipeline.store.postgres.database import Database

MONTH = monthly("month", 200, renews_on=15, unit="credits")
LIMITS = [Limit("calls", 10_000, 10.0), MONTH]
url, seed, dies = sys.argv[1], int(sys.argv[2]), sys.argv[3] == "dies"
spent: list[int] = []


def work(limiter: RateLimiter, number: int) -> None:
    for call in range(200):
        true = (0, 1, 10, 3)[(seed + number + call) % 4]
        try:
            with limiter.reserve("acme", LIMITS, {"month": 10}) as reservation:
                if dies:
                    os.kill(os.getpid(), signal.SIGKILL)
                reservation.settle({"month": true})
                spent.append(true)
        except BudgetExhausted:
            return


with Database(url) as database, RateLimiter(database, SystemClock()) as limiter:
    threads = [threading.Thread(target=work, args=(limiter, number)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
sys.stdout.write(json.dumps(spent))
