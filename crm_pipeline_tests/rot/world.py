"""A small data folder that holds every kind of file, and the pipeline's results on it.

Belongs here: filling the folder, and three uses of it: asking what is published, a refresh that finds
nothing new, and one that goes on with everything. Each returns all that it came to, so that two of them
can be compared. Flipping bits is in `flips.py`.
"""

import json
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from crm_pipeline.connectors.salesforce.mapping import MAPPING
from crm_pipeline.kernel.clock import FrozenClock, Month, Window, parse_instant
from crm_pipeline.kernel.errors import Unavailable
from crm_pipeline.model.account import AccountFacts
from crm_pipeline.model.schema import Field, Schema
from crm_pipeline.settings import AuthSettings, Connection, ObjectSettings
from crm_pipeline.settings.shrinkage import ShrinkBounds
from crm_pipeline.stages.normalized import normalize, tables_for
from crm_pipeline.stages.published import publish
from crm_pipeline.stages.published.past import snapshot_as_of
from crm_pipeline.stages.raw.snapshot import evaluate_snapshot
from crm_pipeline.store.landing import Landing
from crm_pipeline.store.landing.acceptance import Refused, refuse_schema
from crm_pipeline.store.landing.account_facts import note_facts
from crm_pipeline.store.landing.checkpoint import PageDone
from crm_pipeline.store.landing.looks import Looks
from crm_pipeline.store.landing.manifest import Shape
from crm_pipeline.store.landing.rejects import Reject
from crm_pipeline.store.landing.window import Counts, WindowWriter
from crm_pipeline.store.tables import Tables
from crm_pipeline.store.tables.engine import Engine
from crm_pipeline.store.tables.published import open_published, open_snapshot

OBJECTS: Mapping[str, Sequence[str]] = {"acme": ("Contact", "Lead", "User"), "other": ("Contact",)}
START = "2026-11-23T10:00Z"
FIRST_PUBLISH = parse_instant("2026-11-23T10:30Z")
LATER = "2026-11-24T10:00Z"
_STAMP = pa.timestamp("us", "UTC")
_FIELDS = (
    "Id",
    "IsDeleted",
    "SystemModstamp",
    "FirstName",
    "LastName",
    "Email",
    "Phone",
    "Shoe__c",
)
_PAGES = {1: ("Lead", 20, 30), 2: ("Lead", 30, 45)}
_RULES = 1
_BY_CONTENT = (
    "SELECT table_schema, table_name FROM information_schema.tables WHERE table_schema <> 'ops'"
)
_WINDOWS = "SELECT connection, object, kind, records, quarantined FROM ops.windows"


class Rules:
    """A newer reader than the one that has landed the records: numbers are ids, and no person is deleted."""

    version = _RULES

    def of(
        self, obj: str, schema: Schema, raw: pa.RecordBatch, *, shape: str, **_: Any
    ) -> pa.RecordBatch:
        """Return the keys of records."""
        records = raw.to_pylist()
        if shape == "json":
            records = [json.loads(record["record"]) for record in records]
        stamps = [record.get("SystemModstamp") for record in records]
        ids = [
            record.get("Id", f"ROW{record['row']}" if "row" in record else None)
            for record in records
        ]
        gone = [obj != "Contact" and record.get("IsDeleted") == "true" for record in records]
        return pa.RecordBatch.from_pydict(
            {
                "_source_id": pa.array(ids, pa.string()),
                "_modified_at": pa.array(
                    [parse_instant(at) if at else None for at in stamps], _STAMP
                ),
                "_deleted": pa.array(gone, pa.bool_()),
            }
        )


class World:
    """The stages on one data folder, at one moment, in a process that has just started."""

    def __init__(self, data: Path, now: str = LATER) -> None:
        self.data = data
        self.clock = FrozenClock(now)
        self.landing = Landing(data, self.clock)
        self.tables = Tables(data)

    def fill(self) -> None:
        """Read, build and publish twice, and leave an interrupted read."""
        for name in OBJECTS:
            note_facts(self.landing, name, AccountFacts("America/Los_Angeles", "USD"))
        self._land("acme", "Contact", 0, 60, shape="csv", nameless=2)
        self._land("acme", "User", 0, 4, shape="json", complete=True)
        self._land("other", "Contact", 0, 25, shape="json")
        self._build()
        assert self.clock.now() < FIRST_PUBLISH
        for name, objects in OBJECTS.items():
            Looks(self.data, self.clock).was_read(name, objects[0], self.clock.now())
        self.clock.advance(3600)
        self._land("acme", "Lead", 0, 20, shape="csv", refused=3)
        self._land("acme", "Contact", 10, 15, shape="json", edition=1)
        self._build()
        self.landing.accept("acme", "User", self.landing.windows("acme", "User")[0].window_id)
        self.landing.note_sight(self.landing.windows("acme", "User")[0], "0123456789abcdef")
        lost = Refused("0123456789abcdef", 3, len(_FIELDS), self.clock.now())
        refuse_schema(self.landing.folder("acme", "User"), lost)
        with suppress(Unavailable), self._begin("acme", "Lead") as writer:
            writer.checkpoint.begin({"job": "750A", "query": "of leads"})
            self._first_page(writer)
            file = writer.checkpoint.path(2, ".csv")
            file.write_bytes(_text(2))
            writer.checkpoint.keep(2, file, {"address": "/2"})
            raise Unavailable("the vendor is down.")

    def asked(self) -> dict[str, Any]:
        """Return the results of queries on the current and the former snapshot."""
        with closing(open_published(self.data)) as file:
            now = _content(file)
        earlier = snapshot_as_of(self.data, FIRST_PUBLISH)
        with closing(open_snapshot(earlier.path)) as file:
            return {"now": now, "before": [earlier.release, _content(file)]}

    def refreshed(self) -> dict[str, Any]:
        """Build and publish where the CRMs have nothing new; return the results of queries."""
        self._build()
        return self._shown()

    def gone_on(self) -> dict[str, Any]:
        """Read what is new, resume the interrupted read, build and publish; return the results of queries."""
        facts: dict[str, Any] = {}
        for left in self.landing.interrupted("acme", "Lead"):
            writer = self.landing.resume("acme", "Lead", left, schema("Lead"))
            if writer is not None:
                self._finish(writer)
        if len(self.landing.windows("acme", "Lead")) < 2:
            self._finish(self._begin("acme", "Lead"))
        else:
            self.clock.advance(60)  # so that all that follows is at the same time
        since = self.clock.now() - timedelta(days=2)
        facts["newest"] = self.landing.landed_since("acme", "Contact", since)
        self._land("acme", "Contact", 0, 61, shape="csv", since=True, edition=2)
        facts["unchanged"] = self._read_users()
        for connection, objects in OBJECTS.items():
            for obj in objects:
                facts[f"{connection}.{obj} notes"] = self.landing.notes(connection, obj)
                if obj != "Lead":  # whose window ends elsewhere where it is read anew
                    facts[f"{connection}.{obj}"] = self.landing.watermark(connection, obj)
        self._build()
        return {**self._shown(), "facts": facts}

    def _shown(self) -> dict[str, Any]:
        with closing(open_published(self.data)) as file:
            return {
                "now": _content(file),
                "windows": sorted(file.execute(_WINDOWS).fetchall(), key=str),
                "files": self._files(),
            }

    def _files(self) -> dict[str, list[Any]]:
        """Return the content of `published/` as other programs read it; ids of batches may differ."""
        found = {}
        for path in sorted((self.data / "published").glob("*.parquet")):
            listed = pq.read_table(path).to_pylist()
            told = [{name: row[name] for name in row if name != "batch_id"} for row in listed]
            found[path.name] = sorted(told, key=str)
        return found

    def _read_users(self) -> bool:
        with self._begin("acme", "User", complete=True) as writer:
            self._write(writer, rows("User", 0, 4), "json")
            # What is the same is judged by landing alone.
            task: Any = SimpleNamespace(landing=self.landing, bounds=ShrinkBounds())
            plan: Any = None
            same_as = evaluate_snapshot(task, plan, writer).same_as
            if same_as is None:
                writer.commit(Counts(complete=True))
        return same_as is not None

    def _begin(self, connection: str, obj: str, *, complete: bool = False) -> WindowWriter:
        start = None if complete else self.landing.watermark(connection, obj)
        self.clock.advance(60)
        window = Window(start, self.clock.now())
        return self.landing.begin(connection, obj, window, schema(obj), purpose={"mode": "refresh"})

    def _land(
        self,
        connection: str,
        obj: str,
        first: int,
        end: int,
        *,
        shape: Shape,
        edition: int = 0,
        complete: bool = False,
        nameless: int = 0,
        refused: int = 0,
        since: bool = False,
    ) -> None:
        with self._begin(connection, obj, complete=complete) as writer:
            found = rows(obj, first, end, edition, nameless)
            known = None
            if since:
                start = self.clock.now() - timedelta(days=2)
                known = self.landing.seen_versions(connection, obj, start, shape)
            self._write(writer, found, shape, known)
            writer.quarantine(
                [Reject("no id", json.dumps({"row": n}).encode()) for n in range(refused)]
            )
            writer.commit(Counts(complete=complete, notes={"cursor": f"{obj}-{end}"}))

    def _first_page(self, writer: WindowWriter) -> None:
        written = self._write(writer, rows(*_PAGES[1]), "csv")
        refused = writer.quarantine([Reject("no id", b"{}")])
        assert written
        assert refused
        writer.checkpoint.done(1, PageDone((written, refused), {}, 11, 10, 0, "bulk"))

    def _finish(self, writer: WindowWriter) -> None:
        """Resume the pages of leads: those in the checkpoint are used, the others are fetched again."""
        with writer:
            if not writer.checkpoint.is_done(1):
                self._first_page(writer)
            kept = writer.checkpoint.kept(2)
            text = kept.file.read_bytes() if kept else _text(2)
            self._write(writer, json.loads(text), "csv")
            writer.commit(Counts())

    def _write(
        self,
        writer: WindowWriter,
        found: Sequence[Mapping[str, str]],
        shape: Shape,
        known: Any = None,
    ) -> str | None:
        batch = _batch(found, shape)
        rest = known.rest_of(batch, writer.hasher) if known else batch
        written = writer.write(
            [rest], shape=shape, route="bulk", extracted_at=self.clock.now(), calls=1
        )
        return written.manifest.batch_id if written else None

    def _build(self) -> None:
        with Engine(self.data / "tmp", memory_limit="256MB", threads=1) as engine:
            for name in OBJECTS:
                chosen = connection(name)
                for table in tables_for(chosen, MAPPING):
                    keys = Rules() if name == "acme" else None
                    normalize(chosen, table, self.landing, self.tables, MAPPING, engine, keys)
            publish(self.landing, self.tables, engine)


def connection(name: str) -> Connection:
    return Connection(
        name=name,
        vendor="salesforce",
        login_url="https://acme.my.salesforce.com",
        auth=AuthSettings("client_credentials", {}),
        objects=tuple(ObjectSettings(obj) for obj in OBJECTS[name]),
        start=Month(2018, 1),
        cadence="*/15 * * * *",
        probe_every_s=60,
        lookback_s=600,
        share=0.9,
        limit_group=name,
        api_version=None,
        sandbox=False,
        mapping={},
    )


def schema(obj: str) -> Schema:
    kinds = {"IsDeleted": "boolean", "SystemModstamp": "timestamp"}
    described = [Field(name, name, "text", kinds.get(name, "string")) for name in _FIELDS]  # type: ignore[arg-type]
    return Schema(obj, obj, tuple(described))


def rows(
    obj: str, first: int, end: int, edition: int = 0, nameless: int = 0
) -> list[dict[str, str]]:
    """Return records; each seventh is deleted, and `nameless` of them lack an id."""
    return [
        {
            "Id": f"{obj[:3].upper()}{number:015d}" if number - first >= nameless else "",
            "IsDeleted": "true" if number % 7 == 6 else "false",
            "SystemModstamp": f"2026-11-23T08:{edition:02d}:{number % 60:02d}.000Z",
            "FirstName": f"Given {number * 7919 % 1000}",
            "LastName": f"Name {number} {edition}",
            "Email": f"person{number}@example.com",
            "Phone": f"+43 1 {number * 104729 % 9000000:07d}",
            "Shoe__c": str(30 + number % 20),
        }
        for number in range(first, end)
    ]


def _batch(found: Sequence[Mapping[str, str]], shape: Shape) -> pa.RecordBatch:
    keys = {
        "_source_id": pa.array([row["Id"] for row in found], pa.string()),
        "_modified_at": pa.array([parse_instant(row["SystemModstamp"]) for row in found], _STAMP),
        "_deleted": pa.array([row["IsDeleted"] == "true" for row in found], pa.bool_()),
    }
    if shape == "csv":
        raw = {name: pa.array([row[name] for row in found], pa.string()) for name in _FIELDS}
    else:
        raw = {"record": pa.array([json.dumps(row) for row in found], pa.string())}
    return pa.RecordBatch.from_pydict({**keys, **raw})


def _text(page: int) -> bytes:
    return json.dumps(rows(*_PAGES[page])).encode()


def _content(file: Any) -> dict[str, list[tuple[Any, ...]]]:
    """Return all rows of all tables and views, and the comments; ids of batches may differ."""
    content = {}
    for namespace, name in sorted(file.execute(_BY_CONTENT).fetchall()):
        columns = [
            column
            for (column, *_) in file.execute(f'DESCRIBE "{namespace}"."{name}"').fetchall()
            if column != "batch_id"
        ]
        listed = ", ".join(f'"{column}"' for column in columns)
        found = file.execute(f'SELECT {listed} FROM "{namespace}"."{name}"').fetchall()
        content[f"{namespace}.{name}"] = [tuple(columns), *sorted(found, key=str)]
    comments = file.execute("SELECT table_name, comment FROM duckdb_tables()").fetchall()
    return {**content, "comments": sorted(comments, key=str)}
