"""Memory of landing by number of rows: `python -m benchmarks.landing_memory`.

The pages of one Bulk result are downloaded once and then landed one time and ten times over, each in a
process of its own: what grows with the number of records would show. Downloading is left out here; it
goes through files and holds no page in memory.
"""

import json
import os
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import requests

from benchmarks.cases import LOGIN
from benchmarks.measuring import alone, measured, table
from benchmarks.sandbox import running_sandbox

CONTACTS = 800_000


def report() -> str:
    """Return one row for each number of rows."""
    rows = []
    with running_sandbox(CONTACTS) as url, tempfile.TemporaryDirectory() as folder:
        fields = _download(url, Path(folder))
        for times in (1, 10):
            run = alone("benchmarks.landing_memory", folder, str(times), fields)
            shown = (f"{run['rows']:,.0f}", f"{run['seconds']:.1f}", f"{run['cpu_s']:.1f}")
            rows.append((*shown, f"{run['peak_mb']:.0f}"))
    return table(("rows landed", "seconds", "CPU s", "peak MB above idle"), rows)


def _download(url: str, folder: Path) -> str:
    http = requests.Session()
    token = http.post(
        f"{url}/salesforce/services/oauth2/token",
        data={"grant_type": "client_credentials", **LOGIN},
    ).json()["access_token"]
    http.headers["Authorization"] = f"Bearer {token}"
    base = f"{url}/salesforce/services/data/v66.0"
    described = http.get(f"{base}/sobjects/Contact/describe").json()["fields"]
    names = [field["name"] for field in described if field["type"] != "address"]
    body = {"operation": "queryAll", "query": f"SELECT {', '.join(names)} FROM Contact"}
    job = f"{base}/jobs/query/{http.post(f'{base}/jobs/query', json=body).json()['id']}"
    while http.get(job).json()["state"] != "JobComplete":
        pass
    locator, number = "", 0
    while locator != "null":
        given = {"locator": locator} if locator else {}
        answer = http.get(f"{job}/results", params=given, stream=True)
        number += 1
        (folder / f"{number:05d}.csv.gz").write_bytes(answer.raw.read(decode_content=False))
        locator = answer.headers["Sforce-Locator"]
    return ",".join(names)


def land_pages(folder: Path, times: int, names: list[str]) -> int:
    """Land every page of a folder so many times, and return the number of rows."""
    from crm_pipeline.connectors.base import Page, Plan
    from crm_pipeline.connectors.salesforce.csv_page import CsvPage
    from crm_pipeline.kernel.clock import Window
    from crm_pipeline.model.schema import Field, Schema
    from crm_pipeline.stages.raw.pages import land
    from crm_pipeline.store.landing import Landing
    from crm_pipeline.store.landing.window import Counts

    schema = Schema("Contact", "Contact", tuple(Field(name, name, "string") for name in names))
    plan = Plan(
        object="Contact",
        window=None,
        route="bulk",
        reason="",
        schema=schema,
        cursor_field="SystemModstamp",
        complete=False,
        vendor_count=None,
        calls=0,
    )

    def pages(checkpoint: Path) -> Iterator[Page]:
        originals = sorted(folder.glob("*.csv.gz"))
        for number in range(1, times * len(originals) + 1):
            file = checkpoint / f"{number:05d}.csv.gz"
            os.link(originals[number % len(originals)], file)
            batches = CsvPage("bench.Contact", plan, file, None, []).batches
            yield Page("csv", "bulk", batches, datetime.now(UTC), number=number)

    with tempfile.TemporaryDirectory(dir=folder) as data:
        window = Window(None, datetime.now(UTC))
        with Landing(Path(data)).begin("bench", "Contact", window, schema) as writer:
            checkpoint = writer.checkpoint.path(1, "").parent
            tally = land(pages(checkpoint), writer, lambda _: None, lambda _: None)
            writer.commit(Counts())
    return tally.landed


if __name__ == "__main__":
    if len(sys.argv) == 1:
        print(report())
    else:
        import pandas as pd  # noqa: F401 - what is loaded by now counts as idle
        import pyarrow.parquet  # noqa: F401

        place, count, fields = sys.argv[1:]
        print(json.dumps(measured(lambda: land_pages(Path(place), int(count), fields.split(",")))))
