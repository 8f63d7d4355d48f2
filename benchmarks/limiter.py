"""The rate limiter under four processes: real HTTP calls, counted where they arrive.

`python -m benchmarks.limiter [--seconds 25]`. The sandbox answers after 50 to 350 ms and refuses what
exceeds the very ceiling that the limiter keeps to (where all calls cost one); its journal decides. What can be reached at all
is ceiling x 1 / (W + latency) calls a second, because a permit is held until one window after its
reply.
"""

import argparse
import json
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from urllib.parse import parse_qs, urlencode

import requests

LATENCY_S = (0.05, 0.35)
MEAN_S = sum(LATENCY_S) / 2
PROCESSES = 4


@dataclass(frozen=True)
class Case:
    """Limits of a group, each `(name, calls, seconds, kind)`, and who asks.

    Attributes:
        weights: what the calls of a thread weigh, under all limits or by their names.
        members: each `(name, processes, threads)`; by default one, with all processes.
    """

    name: str
    limits: tuple[tuple[str, int, float, str], ...]
    seconds: float
    threads: int = 12
    weights: tuple[int | Mapping[str, int], ...] = (1,)
    members: tuple[tuple[str, int, int], ...] = ()

    @property
    def possible(self) -> float:
        """Weight a second that the narrowest limit allows."""
        return min(self.allowed(limit) for limit in self.limits)

    def allowed(self, limit: tuple[str, int, float, str]) -> float:
        """Weight a second that one limit allows."""
        _, calls, seconds, kind = limit
        window_s = seconds if kind == "rolling" else 0
        return calls / (window_s + MEAN_S)


def cases(seconds: float) -> list[Case]:
    """Return what is measured; a ten-second window needs some windows more."""
    return [
        Case("190 in 10 s", (("burst", 190, 10.0, "rolling"),), seconds * 2.5),
        Case("80 in 2 s", (("burst", 80, 2.0, "rolling"),), seconds),
        Case("100 in 1 s", (("burst", 100, 1.0, "rolling"),), seconds),
        Case("20 in 1 s", (("burst", 20, 1.0, "rolling"),), seconds),
        Case(
            "60 in 1 s and 100 in 2 s, weights 1 to 3",
            (("short", 60, 1.0, "rolling"), ("long", 100, 2.0, "rolling")),
            seconds,
            weights=(1, 2, 3),
        ),
        Case("8 at once", (("parallel", 8, 1.0, "concurrency"),), seconds / 2),
        Case(
            "8 at once and 60 in 2 s",
            (("burst", 60, 2.0, "rolling"), ("parallel", 8, 1.0, "concurrency")),
            seconds,
        ),
        Case(
            "60 in 2 s, 300 credits in 4 s and 8 at once; calls of 1 to 3 credits, some outside the window",
            (
                ("burst", 60, 2.0, "rolling"),
                ("credits", 300, 4.0, "rolling"),
                ("parallel", 8, 1.0, "concurrency"),
            ),
            seconds,
            weights=({"credits": 3}, {"credits": 2}, {}, {"burst": 0}),
        ),
        Case(
            "80 in 2 s, 3 processes of 20 threads and 1 of 8",
            (("burst", 80, 2.0, "rolling"),),
            seconds,
            members=(("large", 3, 20), ("small", 1, 8)),
        ),
        Case(
            "8 at once, 3 processes of 20 threads and 1 of 4",
            (("parallel", 8, 1.0, "concurrency"),),
            seconds / 2,
            members=(("large", 3, 20), ("small", 1, 4)),
        ),
    ]


@dataclass(frozen=True)
class Result:
    """What the journal says.

    Attributes:
        most: largest weight within any window, by limit.
        pace: weight a second, over all windows.
        shares: part of all weight, by member.
    """

    calls: int
    refused: int
    most: dict[str, int]
    pace: float
    shares: dict[str, float] = field(default_factory=dict)


def run(case: Case, database_url: str, processes: int = PROCESSES) -> Result:
    """Let processes call the sandbox for a while and read its journal."""
    command = [sys.executable, "-m", "crm_sandbox", "serve", "--port", "0", "--contacts", "100"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        url = server.stdout.readline().split()[-1]
        enforced = [c[1:3] for c in case.limits if c[3] == "rolling" and case.weights == (1,)]
        order = {"latency": LATENCY_S, "ceilings": enforced}
        requests.post(f"{url}/_admin/pace", json=order, timeout=10).raise_for_status()
        arguments = [json.dumps(asdict(case)), database_url, url]
        worker = [sys.executable, "-m", "benchmarks.limiter", "--worker", *arguments]
        workers = [
            subprocess.Popen([*worker, member, str(threads)])
            for member, count, threads in case.members or (("", processes, case.threads),)
            for _ in range(count)
        ]
        codes = [worker.wait(timeout=case.seconds + 120) for worker in workers]
        if any(codes):
            raise SystemExit(f"a worker failed: {codes}")
        entries = requests.get(f"{url}/_admin/journal", timeout=60).json()["entries"]
    finally:
        server.terminate()
        server.wait()
        server.stdout.close()
    return judged(case, entries)


def judged(case: Case, entries: Sequence[dict]) -> Result:
    """Count what arrived within any window."""
    arrivals, most = {}, {}
    for name, _, seconds, kind in case.limits:
        calls = sorted(
            (entry["monotonic"] - entry["duration"], entry["monotonic"], weight)
            for entry in entries
            if (weight := weight_of(entry["query"], name))
        )
        arrivals[name] = [(at, weight) for at, _, weight in calls]
        if kind == "concurrency":
            most[name] = max(sum(w for a, b, w in calls if a <= at < b) for at, _, _ in calls)
        else:
            most[name] = busiest(arrivals[name], seconds)
    narrowest = min(case.limits, key=case.allowed)[0]
    refused = sum(entry["status"] == 429 for entry in entries)
    reached = pace(arrivals[narrowest], case)
    return Result(len(entries), refused, most, reached, shares_of(case, entries, narrowest))


def shares_of(case: Case, entries: Sequence[dict], limit: str) -> dict[str, float]:
    """Return the part of each member while all of them call."""
    calls = {
        member: sorted(
            (entry["monotonic"], weight_of(entry["query"], limit))
            for entry in entries
            if f"member={member}" in entry["query"]
        )
        for member, _, _ in case.members
    }
    start = max((found[0][0] for found in calls.values()), default=0.0)
    end = min((found[-1][0] for found in calls.values()), default=0.0)
    weights = {
        member: sum(weight for at, weight in found if start <= at <= end)
        for member, found in calls.items()
    }
    return {member: weight / sum(weights.values()) for member, weight in weights.items()}


def pace(arrivals: Sequence[tuple[float, int]], case: Case) -> float:
    """Return weight a second: how long it takes until a ceiling's worth of calls has come again.

    Calls come in waves; to divide all of them by the time between first and last would depend on
    where in a wave the measurement ended.
    """
    ceiling = min(case.limits, key=case.allowed)[1]
    total, reached, spans = 0, [], []
    for at, weight in arrivals:
        total += weight
        reached.append((total, at))
    start = 0
    for total, at in reached:
        while reached[start][0] + ceiling < total:
            start += 1
        if reached[start][0] + ceiling == total:
            spans.append(at - reached[start][1])
    return ceiling / statistics.mean(spans)


def busiest(arrivals: Sequence[tuple[float, int]], seconds: float) -> int:
    """Return the largest weight that arrived within any half-open span of so many seconds."""
    most = held = start = 0
    for at, weight in arrivals:
        held += weight
        while arrivals[start][0] <= at - seconds:
            held -= arrivals[start][1]
            start += 1
        most = max(most, held)
    return most


def weight_of(query: str, limit: str) -> int:
    told = parse_qs(query)
    return int(told.get(limit, told.get("weight", ["1"]))[0])


def work(case: Case, database_url: str, url: str, member: str, threads: int) -> None:
    """Be one of the processes: threads that call as fast as the limiter lets them."""
    from crm_pipeline.kernel.clock import SystemClock
    from crm_pipeline.ratelimit.limiter import RateLimiter
    from crm_pipeline.ratelimit.limits import Limit
    from crm_pipeline.store.postgres.database import Database
    from crm_pipeline.wire.session import HttpSession

    limits = [Limit(*given) for given in case.limits]
    ends_at = time.monotonic() + case.seconds

    with Database(database_url) as database, RateLimiter(database, SystemClock()) as limiter:

        def call(number: int) -> None:
            weight = case.weights[number % len(case.weights)]
            told = weight if isinstance(weight, dict) else {"weight": weight}
            query = urlencode({**told, "member": member})
            session = HttpSession(
                "bench",
                classify_response=lambda _: None,
                permit=lambda: limiter.permit("bench", limits, weight, member=member),
                allow_http=True,
            )
            while time.monotonic() < ends_at:
                session.request("GET", f"{url}/salesforce/services/data?{query}")
            session.close()

        in_threads(threads, call)


def in_threads(count: int, work: Callable[[int], None]) -> None:
    threads = [threading.Thread(target=work, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def leased(database_url: str, seconds: float = 4.0) -> tuple[int, int]:
    """Return permits a second, ceilings raised: in one process, and in four together."""
    command = [sys.executable, "-m", "benchmarks.limiter", "--leases", database_url, str(seconds)]
    found = []
    for processes in (1, PROCESSES):
        workers = [
            subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(processes)
        ]
        found.append(sum(int(worker.communicate()[0]) for worker in workers))
    return found[0], found[1]


def lease(database_url: str, seconds: float) -> None:
    """Take permits as fast as they come, in four threads; print how many a second."""
    from crm_pipeline.kernel.clock import SystemClock
    from crm_pipeline.ratelimit.limiter import RateLimiter
    from crm_pipeline.ratelimit.limits import Limit
    from crm_pipeline.store.postgres.database import Database

    limits = [Limit("burst", 10_000_000, 10.0), Limit("daily", 10**9, 86_400.0, "daily")]
    taken = []
    with Database(database_url) as database, RateLimiter(database, SystemClock()) as limiter:
        with limiter.permit("leases", limits):
            started_at = time.monotonic()

        def call(_: int) -> None:
            count = 0
            while time.monotonic() < started_at + seconds:
                with limiter.permit("leases", limits):
                    count += 1
            taken.append(count)

        in_threads(4, call)
    print(int(sum(taken) / (time.monotonic() - started_at)))


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.limiter", description=__doc__)
    parser.add_argument("--seconds", type=float, default=25.0)
    parser.add_argument("--only", default="", help="cases whose name holds this")
    parser.add_argument("--worker", nargs=5, help=argparse.SUPPRESS)
    parser.add_argument("--leases", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.worker:
        given, *place, member, threads = options.worker
        work(Case(**json.loads(given)), *place, member, int(threads))
    elif options.leases:
        lease(options.leases[0], float(options.leases[1]))
    else:
        print(report(options.seconds, options.only))


def report(seconds: float = 25.0, only: str = "") -> str:
    """Measure everything and return tables in Markdown."""
    from benchmarks.database import migrated_server
    from crm_pipeline.store.postgres.database import Database

    lines = [
        f"{PROCESSES} processes, answers after {LATENCY_S[0]:g} to {LATENCY_S[1]:g} s",
        "",
        "| limits | calls | most in a window | refused | weight/s | of what is possible |",
        "|---|---|---|---|---|---|",
    ]
    with migrated_server() as (_, url):
        with Database(url) as database:
            for case in cases(seconds):
                if only in case.name:
                    lines.append(row(case, run(case, url)))
                    print(lines[-1], file=sys.stderr)
                    with database.transaction() as cursor:
                        cursor.execute("DELETE FROM crm_state.gate")
        alone, merged = leased(url)
    lines += [
        "",
        f"Leased permits a second, ceilings raised: {alone:,}; {PROCESSES} processes: {merged:,}",
    ]
    return "\n".join(lines)


def row(case: Case, result: Result) -> str:
    most = ", ".join(f"{result.most[name]} of {calls}" for name, calls, _, _ in case.limits)
    part = result.pace / case.possible
    shares = "; ".join(f"{member} {share:.0%}" for member, share in result.shares.items())
    name = f"{case.name} ({shares})" if shares else case.name
    return (
        f"| {name} | {result.calls:,} | {most} | {result.refused} | {result.pace:.1f} | "
        f"{part:.1%} |"
    )


if __name__ == "__main__":
    main()
