"""Full reads against the vendors' real ceilings and a round trip of 0.35 s: the API's clock decides.

Against each measured time stands what the fastest documented mix of routes allows: calls / (share x
ceiling x W / (W + RTT)) for what waits at a ceiling, one page a round trip for what is a serial cursor.

`python -m benchmarks.api_clock VENDOR ROUTE SANDBOX_URL FOLDER` measures one case in a process of its own.
"""

import json
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from benchmarks.measuring import Figures, alone, machine, measured, table
from benchmarks.sandbox import running_sandbox

RTT_S = 0.35
SHARE = 0.9
CONNECTIONS = """
connections:
  bench:
    vendor: {vendor}
    login_url: {url}/{vendor}
    sandbox: true
    auth: {auth}
    objects: {{{obj}: {{route: {route}}}}}
"""


@dataclass(frozen=True)
class Case:
    """A vendor's people, and what its ceilings allow.

    Attributes:
        route: the one that is to be quick: what the plan takes, or what is asked for.
        serial: the route of one cursor.
        best_s: seconds for so many records by the fastest documented mix.
        mix: the same in words.
    """

    obj: str
    auth: str
    environ: dict[str, str]
    route: str
    serial: str
    best_s: Callable[[int], float]
    mix: str


def reached(ceiling: float, window_s: float) -> float:
    """Return calls a second that can be made under a rolling ceiling."""
    return SHARE * ceiling / window_s * window_s / (window_s + RTT_S)


CASES = {
    "hubspot": Case(
        "contacts",
        "{kind: token, token_env: TOKEN}",
        {"TOKEN": "pat-na1-00000000-5a9d-4000-8000-000000000001"},
        "auto",
        "list",
        # Searches of 200 under 5/s, and the list's one cursor of 100 beside them.
        lambda n: n / (200 * reached(5, 1.0) + 100 / RTT_S),
        "searches at 5/s and the list at the same time",
    ),
    "pipedrive": Case(
        "persons",
        "{kind: token, token_env: TOKEN}",
        {"TOKEN": "5a4db0c5a4db0c5a4db0c5a4db0c5a4db0c00001"},
        # A first load takes the cursor unless it is told otherwise: docs/connections.md says why.
        "windows",
        "cursor",
        lambda n: n / 500 / reached(100, 2.0),
        "windows of seconds at 100 calls in 2 s",
    ),
    "zoho": Case(
        "Contacts",
        "{kind: self_client, client_id_env: ID, client_secret_env: SECRET, refresh_token_env: REFRESH}",
        {
            "ID": "1000.SANDBOXMAINCLIENTID",
            "SECRET": "sandbox-main-client-secret",
            "REFRESH": "1000.sandbox-main-refresh-token",
        },
        "auto",
        "records",
        # COQL pages of 2,000 in as many lanes as calls may be under way.
        lambda n: n / 2000 * RTT_S / max(1, int(SHARE * 10)),
        "COQL by ranges of ids, ten calls at once",
    ),
}


def measure(vendor: str, route: str, url: str, folder: Path, *, only_plan: bool = False) -> Figures:
    """Read everything by a route, or only plan to; rate limiter, manifests, counts and fsync on."""
    from crm_pipeline.configuration import load_settings
    from crm_pipeline.kernel.clock import Window
    from crm_pipeline.stages.raw import extract, opened
    from crm_pipeline.store.landing import Landing
    from crm_pipeline.store.postgres.database import running_database

    case = CASES[vendor]
    text = CONNECTIONS.format(vendor=vendor, url=url, auth=case.auth, obj=case.obj, route=route)
    (folder / "connections.yaml").write_text(text)
    settings = load_settings(folder, case.environ)
    told: dict[str, Any] = {}

    def run() -> int:
        with opened(settings, "bench", database) as account:
            [obj] = account.connection.objects
            if only_plan:
                return account.plan(obj, Window(None, account.vendor_now())).vendor_count or 0
            done = extract(account, obj, None, mode="range", landing=Landing(settings.data))
        told.update(route=done.route, calls=done.calls)
        return done.read - done.uncounted

    with running_database(settings) as database:
        figures = measured(run)
    return {**figures, **told}


def report(contacts: int = 100_000) -> str:
    """Measure every vendor by its serial cursor and by the route that the plan takes."""
    rows = []
    with running_sandbox(contacts) as url:
        for vendor, case in CASES.items():
            # The first question fills an account: that is the sandbox's time, and nobody's.
            _alone(vendor, case.serial, url, "plan")
        pace = {"latency": [RTT_S, RTT_S]}
        requests.post(f"{url}/_admin/pace", json=pace).raise_for_status()
        for vendor, case in CASES.items():
            # What a read asks before its first page: who it is, what there is, how many.
            fixed_s = _alone(vendor, case.route, url, "plan")["seconds"]
            for route in (case.route, case.serial):
                found = _alone(vendor, route, url)
                print(f"{vendor} {route}: {found}", file=sys.stderr)
                rows.append(_row(vendor, case, found, fixed_s))
        refused = requests.get(f"{url}/_admin/journal?status=429").json()["entries"]
    columns = (
        "vendor",
        "route",
        "rows",
        "calls",
        "seconds",
        "of them before the first page",
        "possible for the pages",
        "times the possible",
        "without what is before",
        "possible by",
    )
    head = f"{contacts:,} contacts, {RTT_S} s a round trip, real ceilings; {machine()}"
    return f"{head}; {len(refused)} calls refused\n\n{table(columns, rows)}"


def _alone(vendor: str, route: str, url: str, *what: str) -> Figures:
    with tempfile.TemporaryDirectory(prefix="crm-") as folder:
        return alone("benchmarks.api_clock", vendor, route, url, folder, *what)


def _row(vendor: str, case: Case, found: Figures, fixed_s: float) -> tuple[str, ...]:
    best_s = case.best_s(int(found["rows"]))
    return (
        vendor,
        f"{found['route']}",
        f"{found['rows']:,.0f}",
        f"{found['calls']:,.0f}",
        f"{found['seconds']:.1f}",
        f"{fixed_s:.1f}",
        f"{best_s:.1f}",
        f"{found['seconds'] / best_s:.2f}",
        f"{(found['seconds'] - fixed_s) / best_s:.2f}",
        case.mix,
    )


if __name__ == "__main__":
    name, by, address, place, *what = sys.argv[1:]
    print(json.dumps(measure(name, by, address, Path(place), only_plan=bool(what))))
