"""HubSpot's list pages into Parquet by dlt: its declarative REST source, and an Arrow resource by hand.

Both read the same pages from the same sandbox as `benchmarks.json_pages` does with our connector, with
the settings that its own guide gives for speed (https://dlthub.com/docs/reference/performance). Left out,
in the peers' favour: a rate limiter, counting against the vendor, archived records, associations.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from benchmarks.hubspot import TOKEN, properties

BUFFER = "20000"
_SETTINGS = {
    "DATA_WRITER__BUFFER_MAX_ITEMS": BUFFER,
    "EXTRACT__DATA_WRITER__FILE_MAX_ITEMS": BUFFER,
    "NORMALIZE__WORKERS": "2",
    "NORMALIZE__START_METHOD": "spawn",
    "LOAD__WORKERS": "2",
    "RUNTIME__DLTHUB_TELEMETRY": "false",
    "RUNTIME__LOG_LEVEL": "ERROR",
}


def peer_dlt_default(url: str, folder: Path) -> Callable[[], int]:
    """dlt's rest_api source as its guide begins: JSON to typed Parquet."""
    return _rest(url, folder, {"RUNTIME__DLTHUB_TELEMETRY": "false"}, nesting=None)


def peer_dlt_best(url: str, folder: Path) -> Callable[[], int]:
    """The same with larger buffers, two processes that normalise, and no child tables."""
    return _rest(url, folder, _SETTINGS, nesting=0)


def peer_dlt_arrow(url: str, folder: Path) -> Callable[[], int]:
    """A resource that yields Arrow tables of 10,000 records, their text untouched but for a parse of the keys."""
    os.environ.update(_SETTINGS)
    import dlt
    import orjson
    import pyarrow as pa
    import requests

    names = properties(url)

    @dlt.resource(name="contacts", write_disposition="append")
    def contacts() -> Iterator[pa.Table]:
        session = requests.Session()
        session.headers["Authorization"] = f"Bearer {TOKEN}"
        params = {"limit": "100", "properties": ",".join(names)}
        rows: list[dict[str, object]] = []
        while True:
            page = orjson.loads(
                session.get(f"{url}/crm/objects/2026-09/contacts", params=params).content
            )
            rows += page["results"]
            is_last = "paging" not in page
            if rows and (is_last or len(rows) >= 10_000):
                yield _table(rows)
                rows = []
            if is_last:
                return
            params["after"] = page["paging"]["next"]["after"]

    def _table(rows: list[dict[str, object]]) -> pa.Table:
        return pa.table(
            {
                "id": [row["id"] for row in rows],
                "updated_at": [row["updatedAt"] for row in rows],
                "archived": [row["archived"] for row in rows],
                "record": [orjson.dumps(row).decode() for row in rows],
            }
        )

    return _piped(folder, contacts)


def _rest(
    url: str, folder: Path, settings: Mapping[str, str], nesting: int | None
) -> Callable[[], int]:
    os.environ.update(settings)
    from dlt.sources.rest_api import rest_api_source

    source = rest_api_source(
        {
            "client": {
                "base_url": f"{url}/crm/objects/2026-09/",
                "auth": {"type": "bearer", "token": TOKEN},
                "paginator": {
                    "type": "cursor",
                    "cursor_path": "paging.next.after",
                    "cursor_param": "after",
                },
            },
            "resources": [
                {
                    "name": "contacts",
                    "endpoint": {
                        "path": "contacts",
                        "params": {"limit": 100, "properties": ",".join(properties(url))},
                        "data_selector": "results",
                    },
                }
            ],
        },
        max_table_nesting=nesting,
    )
    return _piped(folder, source)


def _piped(folder: Path, source: object) -> Callable[[], int]:
    import dlt

    os.environ["DESTINATION__FILESYSTEM__BUCKET_URL"] = (folder / "out").as_uri()
    pipeline = dlt.pipeline(
        "bench", destination="filesystem", dataset_name="hub", pipelines_dir=str(folder / "state")
    )

    def run() -> int:
        pipeline.run(source, loader_file_format="parquet")
        counts = pipeline.last_trace.last_normalize_info.row_counts
        return int(counts["contacts"])

    return run


CASES = {case.__name__: case for case in (peer_dlt_default, peer_dlt_best, peer_dlt_arrow)}
