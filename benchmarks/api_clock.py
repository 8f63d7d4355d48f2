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
        serial: the route of one cursor.
        best_s: seconds for so many records by the fastest documented mix.
        mix: the same in words.
    """

    obj: str
    auth: str
    environ: dict[str, str]
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
        "list",
        # Searches of 200 under 5/s, and the list's one cursor of 100 beside them.
        lambda n: n / (200 * reached(5, 1.0) + 100 / RTT_S),
        "searches at 5/s and the list at the same time",
    ),
    "pipedrive": Case(
        "persons",
        "{kind: token, token_env: TOKEN}",
        {"TOKEN": "5a4db0c5a4db0c5a4db0c5a4db0c5a4db0c00001"},
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
        "records",
        # COQL pages of 2,000 in as many lanes as calls may be under way.
        lambda n: n / 2000 * RTT_S / max(1, int(SHARE * 10)),
        "COQL by ranges of ids, ten calls at once",
    ),
}


def measure(vendor: str, route: str, url: str, folder: Path, *, only_plan: bool = False) -> Figures:
    """Read everything by a route, or only plan to; gate, manifests, counts and fsync on."""
    from crm_pipeline.settings import load_settings
    from crm_pipeline.stages.raw import extract, opened
    from crm_pipeline.store.database import running_database
    from crm_pipeline.store.landing import Landing

    case = CASES[vendor]
    told = {"vendor": vendor, "url": url, "auth": case.auth, "obj": case.obj, "route": route}
    (folder / "connections.yaml").write_text(CONNECTIONS.format(**told))
    settings = load_settings(folder, case.environ)
    routes: list[str] = []

    def run() -> int:
        with opened(settings, "bench", database) as account:
            [obj] = account.connection.objects
            if only_plan:
                return account.plan(obj, None).vendor_count or 0
            done = extract(account, obj, None, mode="range", landing=Landing(settings.data))
        routes.append(done.route)
        return done.read - done.uncounted

    with running_database(settings) as database:
        figures = measured(run)
    return {**figures, "route": routes[0] if routes else ""}  # type: ignore[dict-item]


def report(contacts: int = 100_000) -> str:
    """Measure every vendor by its serial cursor and by the route that the plan takes."""
    rows = []
    with running_sandbox(contacts) as url:
        for vendor, case in CASES.items():
            # The first question fills an account: that is the sandbox's time, and nobody's.
            with tempfile.TemporaryDirectory(prefix="crm-") as folder:
                alone("benchmarks.api_clock", vendor, case.serial, url, folder, "plan")
        pace = {"latency": [RTT_S, RTT_S]}
        requests.post(f"{url}/_admin/pace", json=pace).raise_for_status()
        for vendor, case in CASES.items():
            for route in ("auto", case.serial):
                with tempfile.TemporaryDirectory(prefix="crm-") as folder:
                    found = alone("benchmarks.api_clock", vendor, route, url, folder)
                print(f"{vendor} {route}: {found}", file=sys.stderr)
                rows.append(_row(vendor, case, route, found))
        refused = requests.get(f"{url}/_admin/journal?status=429").json()["entries"]
    columns = ("vendor", "route", "rows", "seconds", "possible", "times the possible", "mix")
    head = f"{contacts:,} contacts, {RTT_S} s a round trip, real ceilings; {machine()}"
    return f"{head}; {len(refused)} calls refused\n\n{table(columns, rows)}"


def _row(vendor: str, case: Case, route: str, found: Figures) -> tuple[str, ...]:
    best = case.best_s(int(found["rows"]))
    return (
        vendor,
        f"{found['route']}" + " (chosen)" * (route == "auto"),
        f"{found['rows']:,.0f}",
        f"{found['seconds']:.1f}",
        f"{best:.1f}",
        f"{found['seconds'] / best:.2f}",
        case.mix,
    )


if __name__ == "__main__":
    name, by, address, place, *what = sys.argv[1:]
    print(json.dumps(measure(name, by, address, Path(place), only_plan=bool(what))))
