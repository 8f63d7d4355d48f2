"""A vendor's emulator and a pipeline that reads it, for the conformance tests, with faults in between."""

from __future__ import annotations

import json
import re
import threading
from base64 import b64encode
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote_plus

import psutil
import pyarrow.parquet as pq
import pytest

from crm_pipeline.configuration import load_settings
from crm_pipeline.connectors.base import Account
from crm_pipeline.connectors.registry import connector
from crm_pipeline.kernel.clock import FrozenClock, parse_instant
from crm_pipeline.ratelimit.limiter import RateLimiter
from crm_pipeline.ratelimit.usage import DayUsage
from crm_pipeline.settings import ObjectSettings, Settings
from crm_pipeline.stages.normalized import normalize
from crm_pipeline.stages.raw import Extraction, extract
from crm_pipeline.store import files
from crm_pipeline.store.landing.window import WindowWriter
from crm_pipeline.store.postgres.database import Database
from crm_pipeline.store.tables import Tables
from crm_pipeline.store.tables.engine import Engine
from crm_pipeline_tests.connectors.conformance import CONTACTS, ONE_STAMP, Case, RouteCase
from crm_pipeline_tests.harness import START, Harness
from crm_sandbox.clock import SandboxClock
from crm_sandbox.http import Request, Response
from crm_sandbox.journal import JournalEntry
from crm_sandbox.server import SandboxServer

_CONNECTION = """
  {name}:
    vendor: {vendor}
    login_url: {url}/{vendor}
    sandbox: true
    start: {start}
    limit_group: {name}
    auth: {{{auth}}}
    ceilings: {{{ceilings}}}
    objects: [{objects}]
"""
# Pipelines that share a database share its tokens.
_STATE_KEY = b64encode(bytes(range(32))).decode()
_NEVER = datetime(1970, 1, 1, tzinfo=UTC)
_KEYS = ("_source_id", "_modified_at", "_deleted", "_extracted_at", "_batch_id", "_record_hash")


@dataclass(frozen=True)
class Landed:
    """One landed version of a record."""

    id: str
    modified_at: datetime | None
    extracted_at: datetime
    is_deleted: bool
    record: Mapping[str, Any]


class Killed(BaseException):
    """The process ends here."""


@dataclass
class ConformanceHarness(Harness):
    """A harness of one vendor."""

    case: Case

    @property
    def emulator(self) -> Any:
        """The emulation, to look and change behind the API."""
        return self.sandbox.emulations[self.case.vendor]

    @property
    def object(self) -> str:
        return self.case.object

    @property
    def reads_snapshots(self) -> bool:
        """Whether deletions are seen by reading everything: the vendor does not tell of them."""
        return "marks" in self.case.lacks

    @property
    def secrets(self) -> list[str]:
        return list(self.case.environ.values())

    def extract(self, obj: str = "", **options: Any) -> Extraction:
        """Extract an object, by default the case's."""
        with self.account() as account:
            wanted = ObjectSettings(
                obj or self.object,
                route=options.pop("route", "auto"),
                snapshot=True if options.pop("whole", False) else None,
            )
            window, mode = options.pop("window", None), options.pop("mode", "range")
            return extract(account, wanted, window, mode=mode, landing=self.landing, **options)

    def read(self, route: RouteCase, **options: Any) -> Extraction:
        """Extract the case's object by a route."""
        return self.extract(self.object, route=route.name, **options)

    def extract_by(self, account: Account, route: RouteCase) -> Extraction:
        """Extract the case's object by a route, through an account that is open."""
        obj = ObjectSettings(self.object, route=route.name)
        return extract(account, obj, None, mode="range", landing=self.landing)

    def engine(self) -> Engine:
        """Open what runs the SQL of the stages."""
        return Engine(self.settings.data / "tmp", memory_limit="512MB", threads=1)

    def normalize(self) -> None:
        """Bring the case's table up to date with what has landed."""
        connection, vendor = self.settings.connection("demo"), connector(self.case.vendor)
        tables = Tables(self.settings.data)
        with self.engine() as engine:
            normalize(
                connection,
                self.case.table,
                self.landing,
                tables,
                vendor.mapping,
                engine,
                vendor.keys,
            )

    def versions(self) -> list[Landed]:
        """Return every version of every record in committed windows."""
        rows = []
        for batch in self.landing.batches("demo", self.object):
            rows += [_landed(row) for row in pq.read_table(batch.path).to_pylist()]
        return rows

    def newest(self) -> dict[str, Landed]:
        """Fold: the newest version of each record."""
        order = sorted(
            self.versions(),
            key=lambda one: (one.modified_at or _NEVER, one.extracted_at, not one.is_deleted),
        )
        return {one.id: one for one in order}

    def live(self) -> dict[str, Landed]:
        return {key: one for key, one in self.newest().items() if not one.is_deleted}

    def emulated(self) -> dict[str, Any]:
        return self.case.live(self.emulator)

    def is_whole(self) -> bool:
        """Say whether the live records have landed, each at its last modification time, and marks of deleted ones."""
        expected = {key: one.modified_at for key, one in self.emulated().items()}
        landed = self.newest()
        marked = {key for key, one in landed.items() if one.is_deleted}
        live = {key: one.modified_at for key, one in landed.items() if key not in marked}
        return live == expected and self.case.deleted_ids(self.emulator) <= marked

    def is_bare(self) -> bool:
        """Say whether nothing of a failed read is left: no window, and no batch outside of one."""
        folder = self.settings.data / "landing" / "demo" / self.object
        return not self.landing.windows("demo", self.object) and not list(folder.glob("2*/*"))

    def leaks(self, tokens: set[str]) -> list[str]:
        """Return the secrets, and the tokens of the day, that stand in a file or a column of one."""
        secrets = {*self.secrets, *tokens}
        paths = [path for path in self.settings.data.rglob("*") if path.is_file()]
        texts = [path.read_bytes().decode("latin-1") for path in paths]
        tables = [path for path in paths if path.suffix == ".parquet"]
        texts += [str(pq.read_table(path).to_pylist()) for path in tables]
        assert tables
        return [secret for secret in secrets for text in texts if secret in text]

    def calls(self) -> list[JournalEntry]:
        """Return the requests of the journal that are not for tokens."""
        entries = self.sandbox.journal.entries(vendor=self.case.vendor)
        return [one for one in entries if not re.search(self.case.token_path, one.path)]

    def logins(self) -> list[JournalEntry]:
        return self.sandbox.journal.entries(path=self.case.token_path)

    def accounts(self) -> list[DayUsage]:
        """Return what the limiter has counted, without requests for tokens."""
        with RateLimiter(self.database, self.clock) as limiter:
            return [one for one in limiter.usage_by_day("demo") if one.operation != "login"]


def _landed(row: Mapping[str, Any]) -> Landed:
    cells = {name: value for name, value in row.items() if name not in _KEYS}
    record = json.loads(cells["record"]) if "record" in cells else cells
    return Landed(
        row["_source_id"], row["_modified_at"], row["_extracted_at"], row["_deleted"], record
    )


def settings_in(
    folder: Path, database_url: str, urls: Mapping[str, str], case: Case, **options: Any
) -> Settings:
    """Write connections.yaml for connections to one vendor, by name, and read it."""
    connections = [
        _CONNECTION.format(
            name=name,
            vendor=case.vendor,
            start=options.get("start", "2026-06"),
            url=url,
            auth=options.get("auth", case.auth),
            ceilings=", ".join(
                filter(None, (case.pages, options.get("ceilings", case.high_limits)))
            ),
            objects=", ".join(options.get("objects", case.objects)),
        )
        for name, url in urls.items()
    ]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "connections.yaml").write_text("connections:" + "".join(connections))
    ours = {"CRM_DATABASE_URL": database_url, "CRM_STATE_KEY": _STATE_KEY}
    return load_settings(folder, {**case.environ, **ours})


@contextmanager
def server_of(case: Case, contacts: int = CONTACTS) -> Iterator[SandboxServer]:
    """Open an emulator whose pages are small, and in which a third of the records share a stamp."""
    now = parse_instant(START)
    with SandboxServer(
        contacts=contacts, now=now, clock=SandboxClock(now), vendors=(case.vendor,)
    ) as server:
        emulator: Any = server.emulations[case.vendor]
        case.widen(emulator)
        for key in sorted(case.live(emulator))[::3]:
            emulator.edit(case.object, key, stamp=ONE_STAMP, **{case.text: f"Alike {key}"})
        yield server


def harness_on(
    server: SandboxServer, folder: Path, database: Database, url: str, case: Case, **options: Any
) -> ConformanceHarness:
    """Make a pipeline on a server."""
    settings = settings_in(folder, url, {"demo": server.url}, case, **options)
    server.journal.clear()
    server.faults.clear()
    return ConformanceHarness(server, settings, database, FrozenClock(START), case)


@dataclass
class FaultProxy:
    """Stands between an emulator and its callers: counts the requests of a route, acts before them, changes answers.

    Attributes:
        pages: of the route, as they were asked for: path, query and body.
        tokens: that requests carried.
    """

    harness: ConformanceHarness
    route: RouteCase
    path: str
    pages: list[str] = field(default_factory=list)
    tokens: set[str] = field(default_factory=set)
    _before: dict[int, list[Callable[[], None]]] = field(default_factory=lambda: defaultdict(list))
    _change: Callable[[int, Response], Response] = lambda _, response: response
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def before(self, nth: int, act: Callable[[], None]) -> None:
        """Let something happen before the n-th page is answered."""
        self._before[nth].append(act)

    def answer(self, change: Callable[[int, Response], Response]) -> None:
        """Let a function make the answers, from their numbers and what they would be."""
        self._change = change

    def change_body(self, nth: int, change: Callable[[bytes], bytes]) -> None:
        """Let the n-th page and those after it have another body."""

        def changed(number: int, response: Response) -> Response:
            if number < nth or response.status >= 300:
                return response
            return replace(response, body=change(response.body))

        self.answer(changed)

    def fault(self, nth: int, kind: str, **details: Any) -> None:
        """Order a fault for the request that comes after the n-th page."""
        faults = self.harness.sandbox.faults
        given = {"method": self.route.method, "path": self.route.path, **details}
        self.before(nth, lambda: faults.order(kind, **given))

    def handled(self, handle: Callable[[Request], Response], request: Request) -> Response:
        self.tokens.add(request.header("authorization").rpartition(" ")[2] or "no token")
        target = f"{request.path}?{unquote_plus(request.query_text)}"
        body = request.body.decode("utf-8", "replace")
        is_page = (
            self.route.method in ("", request.method)
            and re.search(self.path, target)
            and re.search(self.route.body, body)
        )
        if not is_page:
            return handle(request)
        with self._lock:
            self.pages.append(f"{target} {body}")
            number = len(self.pages)
            for act in self._before.pop(number, ()):
                act()
            return self._change(number, handle(request).unpacked())


@contextmanager
def through_proxy(
    harness: ConformanceHarness, route: RouteCase, path: str = ""
) -> Iterator[FaultProxy]:
    """Stand between the emulator and its callers."""
    emulator, handle = harness.emulator, harness.emulator.handle
    proxy = FaultProxy(harness, route, path or route.path)
    emulator.handle = lambda request: proxy.handled(handle, request)
    try:
        yield proxy
    finally:
        del emulator.handle
        harness.sandbox.faults.clear()


def killed(harness: ConformanceHarness, route: RouteCase, after: int) -> None:
    """Run a read whose process ends after some records, without any clean-up."""

    def stop(records: int, _: int | None) -> None:
        if records >= after:
            raise Killed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(WindowWriter, "__exit__", lambda *_: None)
        with pytest.raises(Killed):
            harness.read(route, on_progress=stop)
    [marker] = harness.paths(f"landing/demo/{harness.object}/windows/*.open")
    gone = next(pid for pid in range(4_000_000, 5_000_000) if not psutil.pid_exists(pid))
    files.write_json(marker, {**files.read_json(marker), "pid": gone})
