"""A small project to be killed: an emulated org, a folder that can be copied, and the worker.

Belongs here: the set-up, the orders to the worker, and the checks after a kill and after the next run. The long
campaign in `benchmarks/crashes.py` uses the same.
"""

import json
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import duckdb
import pyarrow.parquet as pq

from crm_pipeline.kernel.clock import FrozenClock, format_instant
from crm_pipeline.store import files
from crm_pipeline.store.landing import Landing
from crm_pipeline.store.tables import Tables
from crm_pipeline.store.tables.published import Snapshots, open_published
from crm_pipeline_tests.truth import assert_published_equals
from crm_sandbox.clock import SandboxClock
from crm_sandbox.journal import JournalEntry
from crm_sandbox.salesforce import credentials
from crm_sandbox.server import SandboxServer

CONNECTION = "drill"
OBJECTS = ("OpportunityStage", "Contact")
PAGE_RECORDS = 20
_CONNECTIONS = """
connections:
  drill:
    vendor: salesforce
    login_url: {url}/salesforce
    sandbox: true
    auth: {{kind: client_credentials, client_id_env: DRILL_ID, client_secret_env: DRILL_SECRET}}
    objects: {{OpportunityStage: {{}}, Contact: {{route: bulk}}}}
"""
_ENVIRON = {
    "DRILL_ID": credentials.CLIENT_ID,
    "DRILL_SECRET": credentials.CLIENT_SECRET,
    "CRM_STATE_KEY": "5c" * 32,  # all projects share one database, and so its tokens
}


@dataclass
class Drill:
    """See the module.

    Attributes:
        now: the moment at which sandbox and pipeline stand. It lies ahead of the files' own times, so
            that collectors find something to collect.
    """

    sandbox: SandboxServer
    root: Path
    database_url: str
    now: datetime
    page_records: int = PAGE_RECORDS
    program: Sequence[str] = (sys.executable, "-m", "crm_pipeline_tests.drill.worker")
    _process: subprocess.Popen[str] | None = field(default=None, init=False)

    def project(self, name: str, template: Path | None = None) -> Path:
        """Make a project's folder, with the data of another one."""
        root = self.root / name
        if template is not None:
            return Path(shutil.copytree(template, root, symlinks=True))
        root.mkdir()
        (root / "connections.yaml").write_text(_CONNECTIONS.format(url=self.sandbox.url))
        return root

    def order(
        self, root: Path, failpoint: str = "", *, objects: Sequence[str] = OBJECTS, **more: Any
    ) -> dict[str, Any]:
        """Let the worker run the pipeline on a project; return how it ended."""
        order = {
            "root": str(root),
            "environ": {**_ENVIRON, "CRM_DATABASE_URL": self.database_url},
            "now": format_instant(self.now),
            "connection": CONNECTION,
            "objects": list(objects),
            "page_records": self.page_records,
            "failpoint": failpoint,
            **more,
        }
        process = self._worker()
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(order) + "\n")
        process.stdin.flush()
        return dict(json.loads(process.stdout.readline()))

    def _worker(self) -> subprocess.Popen[str]:
        if self._process is None:
            self._process = subprocess.Popen(
                list(self.program), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
        return self._process

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._process is not None:
            with self._process as process:
                assert process.stdin is not None
                process.stdin.close()


@contextmanager
def drill(
    root: Path,
    database_url: str,
    contacts: int = 60,
    ahead: timedelta = timedelta(days=10),
    **more: Any,
) -> Iterator[Drill]:
    """Set a drill up with a world of its own; `more` is for `Drill`."""
    now = datetime.now(UTC).replace(microsecond=0) + ahead
    with (
        SandboxServer(contacts=contacts, now=now, clock=SandboxClock(now)) as sandbox,
        Drill(sandbox, root, database_url, now, **more) as drilled,
    ):
        sandbox.salesforce.bulk.settings.page_rows = PAGE_RECORDS
        yield drilled


def assert_readable(data: Path) -> None:
    """All files that readers may open are whole, whatever a killed process has left beside them."""
    landing, tables = Landing(data), Tables(data)
    for obj in landing.objects(CONNECTION):
        for window in landing.windows(CONNECTION, obj):
            assert landing.schema(CONNECTION, obj, window.schema_fingerprint)
            for batch in window.batches:
                assert files.sha256_of(batch.path) == batch.sha256
    for name in tables.names():
        version = tables.version(name)
        assert version is not None
        counted = duckdb.sql(f"SELECT count(*) FROM {tables.relation(version)}").fetchall()
        assert counted == [(version.rows,)]
    for path in _visible(data, "*.parquet"):
        assert pq.read_table(path) is not None
    for path in _visible(data, "*.json"):
        assert files.read_json(path)
    if (data / "crm.duckdb").is_symlink():
        with closing(open_published(data)) as reader:
            assert reader.execute("SELECT count(*) FROM ops.publication").fetchone() == (1,)


def _visible(data: Path, pattern: str) -> Iterable[Path]:
    outdated = data / "published" / "no_more.parquet"  # of the worker's own making, and empty
    places = ("landing", "quarantine", "tables", "published")
    paths = (path for folder in places for path in (data / folder).rglob(pattern))
    return [
        path
        for path in paths
        if not path.name.startswith(".")
        and "spool" not in path.parts
        and path != outdated
        and not _is_staged(path)
    ]


def _is_staged(path: Path) -> bool:
    """Say whether a file is part of a table's version that no release can name yet."""
    return re.fullmatch(r"(base|delta|tombstones)-\d+\.parquet", path.name) is not None and not (
        path.with_name("version.json").exists()
    )


def assert_whole(
    sandbox: SandboxServer, data: Path, now: datetime, objects: Sequence[str] = OBJECTS
) -> None:
    """Nothing is lost, nothing doubled, nothing left over; analysts see what the org holds.

    Args:
        now: for the collectors, more than a day ahead of the files' own times.
    """
    assert_readable(data)
    landing = Landing(data)
    for obj in objects:
        for window in landing.windows(CONNECTION, obj):
            ids = Counter[
                tuple[str, str]
            ]()  # once for each read, also where small windows were merged
            for batch in window.batches:
                rows = pq.read_table(batch.path, columns=["_source_id", "_batch_id"]).to_pylist()
                ids.update((r["_source_id"], r["_batch_id"].rpartition("-")[0]) for r in rows)
            assert sum(ids.values()) == len(ids) == window.records
    assert_published_equals(sandbox.salesforce, data, objects)
    assert not list(data.rglob("*.open"))
    assert not [path for path in data.glob("landing/*/*/spool/*") if any(path.iterdir())]
    committed = {batch.batch_id for obj in objects for batch in landing.batches(CONNECTION, obj)}
    for path in data.glob("landing/*/*/????-??/*"):
        assert path.name.lstrip(".").partition(".")[0] in committed, path
    # A kill behind the link leaves the former snapshot to the next publish.
    assert len(Snapshots(data).kept()) <= 2
    assert_collected(data, now)


def assert_collected(data: Path, now: datetime) -> None:
    """Collectors remove all temporary files of killed processes."""
    Snapshots(data).collect(now)
    Tables(data).collect(now)
    for obj in OBJECTS:
        Landing(data, FrozenClock(now)).clear_interrupted(CONNECTION, obj)
    places = ("landing", "quarantine", "tables", "published", "snapshots")
    left = [path for folder in places for path in data.glob(f"{folder}/**/.*.tmp*")]
    assert left + list(data.glob(".*.tmp")) == []


def fetched_again(entries: Iterable[JournalEntry]) -> int:
    """Count the result pages of Bulk jobs that were asked for more than once."""
    pages = Counter(
        f"{entry.path}?{entry.query}"
        for entry in entries
        if "/jobs/query/" in entry.path and entry.path.endswith("/results")
    )
    return sum(times - 1 for times in pages.values())
