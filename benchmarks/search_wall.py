"""Bulk edits behind HubSpot's wall of 10,000 results: does everything arrive by searches, each record once?

A figure of correctness. The truth is read beside it page by page by the list, and compared record by record.

`python -m benchmarks.search_wall SANDBOX_URL FOLDER` reads one window in a process of its own.
"""

import hashlib
import json
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from benchmarks.hubspot import TOKEN, administer, properties, raise_ceilings
from benchmarks.json_cases import CONNECTIONS, RAISED
from benchmarks.measuring import alone, machine, measured, table
from benchmarks.sandbox import running_sandbox

DAY = ("2026-11-20T00:00:00Z", "2026-11-21T00:00:00Z")
FIRST, SECOND = "2026-11-20T08:00:00.123Z", "2026-11-20T09:00:00.456Z"
PAGE = 100


@dataclass(frozen=True)
class Case:
    """A window: how many records changed in it, and how many of them at one millisecond."""

    changed: int
    shared: int


CASES = (Case(25_000, 25_000), Case(120_000, 25_000))


def main() -> None:
    url, folder = sys.argv[1], Path(sys.argv[2])
    from crm_pipeline.configuration import load_settings
    from crm_pipeline.kernel.clock import Window, parse_instant
    from crm_pipeline.stages.raw import extract, opened
    from crm_pipeline.store.landing import Landing
    from crm_pipeline.store.postgres.database import running_database

    ceilings = ", ".join(f"{name}: {number}" for name, number in RAISED.items())
    text = CONNECTIONS.format(url=url, route="search", ceilings=ceilings)
    (folder / "connections.yaml").write_text(text)
    settings = load_settings(folder, {"BENCH_TOKEN": TOKEN})
    window = Window(*map(parse_instant, DAY))
    landing, calls = Landing(settings.data), []

    def run() -> int:
        with opened(settings, "bench", database) as account:
            [contacts] = account.connection.objects
            done = extract(account, contacts, window, mode="range", landing=landing)
            calls.append(done.calls)
            return done.read

    with running_database(settings) as database:
        figures = measured(run)
    paths = [str(batch.path) for batch in landing.batches("bench", "contacts")]
    print(json.dumps({**figures, "calls": calls[0], "digest": _digest(_landed(paths))}))


def report() -> str:
    """Read both windows and return a table in Markdown."""
    rows = []
    for case in CASES:
        with running_sandbox(1_000) as url, tempfile.TemporaryDirectory(prefix="crm-") as folder:
            raise_ceilings(url)
            for count, stamp in ((case.changed, FIRST), (case.shared, SECOND)):
                administer(url, "burst", {"name": "contacts", "rows": count, "stamp": stamp})
            requests.delete(f"{url}/_admin/journal").raise_for_status()
            found = alone("benchmarks.search_wall", url, folder)
            entries = requests.get(f"{url}/_admin/journal").json()["entries"]
            statuses = Counter(entry["status"] for entry in entries)
            truth = list(_truth(f"{url}/hubspot"))
        told = (found["rows"], len(truth), found["digest"] == _digest(truth))
        print(f"{case}: {found} {statuses} {told}", file=sys.stderr)
        refused = sum(number for status, number in statuses.items() if status >= 400)
        rows.append(
            (
                f"{case.changed:,}",
                f"{case.shared:,}",
                f"{found['rows']:,.0f}",
                f"{found['seconds']:.1f}",
                f"{found['calls']:,.0f}",
                f"{refused:,}",
                "yes" if told == (case.changed, case.changed, True) else "NO",
            )
        )
    columns = ("changed", "of one stamp", "rows", "seconds", "calls", "refused", "equal to truth")
    return f"Contacts, by searches, ceilings raised; {machine()}\n\n{table(columns, rows)}"


def _landed(paths: list[str]) -> list[dict[str, Any]]:
    """Return every row that landed, doubled ones twice."""
    import duckdb

    with duckdb.connect() as database:
        rows = database.execute("SELECT record FROM read_parquet(?)", [paths]).fetchall()
    return [json.loads(row[0]) for row in rows]


def _truth(portal: str) -> Iterator[dict[str, Any]]:
    """Yield the records of the window as the list shows them."""
    asked = {"limit": str(PAGE), "properties": ",".join(properties(portal))}
    with requests.Session() as session:
        session.headers["Authorization"] = f"Bearer {TOKEN}"
        while True:
            page = session.get(f"{portal}/crm/v3/objects/contacts", params=asked).json()
            yield from (one for one in page["results"] if DAY[0] <= one["updatedAt"] < DAY[1])
            if "paging" not in page:
                return
            asked["after"] = page["paging"]["next"]["after"]


def _digest(records: list[dict[str, Any]]) -> str:
    """Return one fingerprint of all records with all their properties, whatever their order."""
    made = hashlib.sha256()
    for record in sorted(records, key=lambda one: int(one["id"])):
        made.update(json.dumps(record, sort_keys=True).encode())
    return made.hexdigest()


if __name__ == "__main__":
    main()
