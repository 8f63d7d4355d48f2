"""A deployment on one machine: PostgreSQL, code server, webserver, daemon, and further services.

`crm-pipeline up` starts a `Stack`, waits, and stops it. The start first cleans up after a killed stack:
processes, runs that nothing works on, slots in pools. There is one stack per data folder.
"""

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import FrameType

import yaml

from crm_pipeline.kernel.clock import SystemClock
from crm_pipeline.kernel.errors import StoreError
from crm_pipeline.kernel.identity import fingerprint, sortable_id
from crm_pipeline.orchestration.instance import environment, opened_instance
from crm_pipeline.settings import Settings
from crm_pipeline.store import files
from crm_pipeline.store.files.permissions import exposed, settle
from crm_pipeline.store.postgres.database import URL_VARIABLE, Database, database_url
from crm_pipeline.store.postgres.embedded import EmbeddedServer
from crm_pipeline.supervisor.health import (
    is_listening,
    is_loaded,
    is_unix_socket_answering,
    require_free,
)
from crm_pipeline.supervisor.hosts import AllowedHosts
from crm_pipeline.supervisor.old_runs import remove_old_runs
from crm_pipeline.supervisor.processes import (
    MARK_VARIABLE,
    ManagedProcess,
    Records,
    cut_log,
    end_all,
    write_records,
)
from crm_pipeline.supervisor.reconcile import Here, reconcile
from crm_pipeline.supervisor.stack_lock import lock_stack

LOCATION = "crm_pipeline"
_MODULE = "crm_pipeline.definitions"
_WEBSERVER = "crm_pipeline.supervisor.webserver"
_LONGEST_SOCKET = 100  # the kernel allows 108 bytes
_RESTARTS = 3
_RESTARTS_WITHIN_S = 3600.0
_TIDY_EVERY_S = 3600.0
_LOOK_EVERY_S = 1.0
_SAY_EVERY_S = 10.0
_DATABASE_EVERY_S = 5.0
_DATABASE_AGAIN_S = 30.0

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Service:
    """A further program, started before Dagster unless it listens already, and kept alive.

    Attributes:
        name: for its log and for messages about it.
        label: its name among the stack's addresses.
        url: its address there.
        host: where it listens.
        port: likewise.
        arguments: of the Python interpreter that runs it.
    """

    name: str
    label: str
    url: str
    host: str
    port: int
    arguments: tuple[str, ...]


@dataclass(frozen=True)
class StackOptions:
    """The options of a stack.

    Attributes:
        port: of the web interface.
        services: further programs to run.
        start_timeout_s: how long Dagster may take to come up.
    """

    host: str = "127.0.0.1"
    port: int = 3000
    services: tuple[Service, ...] = ()
    start_timeout_s: float = 120.0


@dataclass
class Stack:
    """See the module. Use `start`, `wait`, `stop`; `stop` may be called at any time.

    Attributes:
        urls: the addresses of what was started, by name.
    """

    settings: Settings
    options: StackOptions = field(default_factory=StackOptions)
    urls: dict[str, str] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self._folder = self.settings.data / "run"
        self._mark = sortable_id()
        self._processes: list[ManagedProcess] = []
        self._restarts: dict[str, list[float]] = {}
        self._borrowed: list[Service] = []
        self._cleanup = contextlib.ExitStack()
        self._stopping = threading.Event()
        self._report: Progress = lambda _: None
        self._url = ""
        self._is_up = False
        self._is_alone = False
        self._owns_database = False
        self._has_database = True
        self._next_database_check = 0.0
        self._next_tidying = 0.0

    def start(self, progress: Progress | None = None) -> None:
        """Start everything and return when it works.

        Raises:
            ConfigError: CRM_ALLOWED_HOSTS is wrong, a port is in use, another stack runs on the data
                folder, or the definitions do not load.
            StoreError: the data folder is not writable, PostgreSQL does not start, or a program ends
                at once; the text holds the end of its log.
        """
        self._report = progress or self._report
        try:
            AllowedHosts.configured(self.options.host, self.settings.environ)
            self._hold_signals()
            self._lock()
            for line in settle(self.settings):
                self._report(line)
            self._end_leftovers()
            require_free(self.options.host, self.options.port, "the web interface", "--port")
            self._start_database()
            self._reconcile()
            self._start_services()
            self._start_dagster()
            self._await_dagster()
            self._is_up = True
        except BaseException:
            self.stop()
            raise

    def wait(self, progress: Progress | None = None) -> None:
        """Watch the programs until a stop is requested (Ctrl-C, SIGTERM, or `ask_to_stop`).

        A program that ends by itself is started again, up to three times in an hour. The embedded PostgreSQL
        is always started again; while it cannot be, as on a full disk, it is tried again, and programs that ended
        for lack of it do not count. Once an hour old runs are removed from Dagster's storage.

        Args:
            progress: gets the lines from now on, instead of the one that `start` was given.

        Raises:
            StoreError: a program ended too often; the text holds the end of its log.
        """
        self._report = progress or self._report
        while not self._stopping.wait(_LOOK_EVERY_S):
            if not self._revive_database():
                continue  # the programs cannot work without it
            self._replace_services()
            for process in self._processes:
                if not process.is_running() and not self._stopping.is_set():
                    self._revive(process)
                with contextlib.suppress(OSError):  # on a full disk it is cut later
                    cut_log(process.log)
            self._tidy()

    def ask_to_stop(self, *_: object) -> None:
        """Make `wait` return; safe in signal handlers."""
        self._stopping.set()

    def stop(self) -> None:
        """Stop everything in order: no run is launched any more, runs end, PostgreSQL stops."""
        self._stopping.set()
        had_children = bool(self._processes)
        for process in reversed(self._processes):
            self._report(f"stopping {process.name}")
            process.stop()
        self._processes.clear()
        if had_children and self._url:
            try:
                self._reconcile()
            except Exception as error:  # noqa: BLE001 - whatever it is, the rest has to be stopped
                self._report(
                    f"runs were not reconciled ({type(error).__name__}); the next start does"
                )
        if self._is_alone:
            if self._owns_database:
                self._report("stopping PostgreSQL")
                EmbeddedServer(self.settings.data).stop()
            self._records.unlink(missing_ok=True)
            self._is_alone = self._owns_database = False
        self._cleanup.close()
        self.urls.clear()

    def __enter__(self) -> "Stack":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def _records(self) -> Path:
        return self._folder / "children.json"

    @property
    def _socket(self) -> Path:
        here = fingerprint([os.uname().nodename, str(self.settings.data)])
        path = self._folder / f"{here[:8]}.sock"
        if len(str(path)) <= _LONGEST_SOCKET:
            return path
        # Only root and this user can use a private folder below /tmp.
        return Path("/tmp") / f"crm-{os.getuid()}-{here}" / "code.sock"  # noqa: S108

    def _hold_signals(self) -> None:
        if threading.current_thread() is not threading.main_thread():
            return
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            before = signal.signal(number, self._on_signal)
            self._cleanup.callback(signal.signal, number, before)

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        is_first = not self._stopping.is_set()
        self._stopping.set()
        if is_first and not self._is_up:
            # `wait`, which would see it, is not running yet.
            raise KeyboardInterrupt

    def _lock(self) -> None:
        self._cleanup.callback(os.close, lock_stack(self.settings.data))
        self._is_alone = True

    def _end_leftovers(self) -> None:
        before = Records.read(self._records)
        self._owns_database = (
            before.owns_database and EmbeddedServer(self.settings.data).is_running()
        )
        left = before.living()
        if left:
            self._report(f"ending {len(left)} processes of a stack that was killed")
            end_all(left)

    def _start_database(self) -> None:
        own_url = self.settings.environ.get(URL_VARIABLE, "").strip()
        if not own_url:
            server = EmbeddedServer(self.settings.data)
            if not server.is_running():
                self._report("starting PostgreSQL")
                self._owns_database = True
            self._write_records()
            server.start()
        url = database_url(self.settings)
        assert url is not None
        with Database(url) as database:
            database.migrate()
        self._url = url
        self.urls["PostgreSQL"] = "given by CRM_DATABASE_URL" if own_url else url

    def _reconcile(self) -> None:
        with opened_instance(self.settings, self._url) as instance:
            done = reconcile(instance, Here.of(self.settings, [self._socket]))
        if done.runs:
            self._report(f"ended {len(done.runs)} runs whose process was gone")
        if done.slots_freed_for:
            self._report(f"freed the pools of {len(done.slots_freed_for)} runs that are over")

    def _start_services(self) -> None:
        for service in self.options.services:
            self.urls[service.label] = service.url
            if is_listening(service.host, service.port):
                self._report(f"using the {service.name} that listens on port {service.port}")
                self._borrowed.append(service)
                continue
            self._start_service(service)

    def _start_service(self, service: Service) -> None:
        self._report(f"starting the {service.name}")
        process = self._process(service.name, list(service.arguments))
        self._await(
            partial(is_listening, service.host, service.port), [process], f"the {service.name}"
        )

    def _replace_services(self) -> None:
        """Start the services that another program served and has stopped serving."""
        for service in tuple(self._borrowed):
            if not is_listening(service.host, service.port) and not self._stopping.is_set():
                self._borrowed.remove(service)
                self._report(f"the {service.name} on port {service.port} ended with its program")
                self._start_service(service)

    def _start_dagster(self) -> None:
        self._make_socket_folder()
        self._socket.unlink(missing_ok=True)
        workspace = self._folder / "workspace.yaml"
        server = {"location_name": LOCATION, "socket": str(self._socket)}
        workspace.touch(mode=0o600)
        workspace.write_text(
            yaml.safe_dump({"load_from": [{"grpc_server": server}]}), encoding="utf-8"
        )
        self._report("starting Dagster")
        options = ["--socket", str(self._socket), "--location-name", LOCATION]
        code = self._process(
            "code server",
            [
                "-m",
                "dagster",
                "code-server",
                "start",
                *options,
                "-m",
                _MODULE,
                "--log-level",
                "info",
            ],
        )
        self._await(lambda: is_unix_socket_answering(str(self._socket)), [code], "the code server")
        web = ["--host", self.options.host, "--port", str(self.options.port)]
        self._process("webserver", ["-m", _WEBSERVER, *web, "--workspace", str(workspace)])
        self._process("daemon", ["-m", "dagster._daemon", "run", "-w", str(workspace)])

    def _make_socket_folder(self) -> None:
        folder = self._socket.parent
        files.make_private(folder)
        # Root may work on another user's data folder, whose owner owns this folder too.
        owner = self.settings.data.stat().st_uid if folder == self._folder else os.geteuid()
        if wrong := exposed(folder, owner):
            raise StoreError(
                f"the code server's socket cannot lie in {folder}: {wrong}.",
                cure=f"Remove that folder or make it private (`chmod 700 {folder}`), or set CRM_DATA to a "
                "shorter path.",
            )

    def _await_dagster(self) -> None:
        host = "127.0.0.1" if self.options.host in {"0.0.0.0", "::"} else self.options.host  # noqa: S104
        url = f"http://{f'[{host}]' if ':' in host else host}:{self.options.port}"
        self._await(lambda: is_loaded(url), self._processes, "Dagster")
        self.urls["Dagster"] = url

    def _await(self, is_ready: Callable[[], bool], needed: list[ManagedProcess], name: str) -> None:
        started = said = time.monotonic()
        until = started + self.options.start_timeout_s
        while not is_ready():
            if (now := time.monotonic()) > said + _SAY_EVERY_S:
                said = now
                self._report(f"waiting for {name}: {now - started:.0f} s")
            for process in needed:
                if not process.is_running():
                    raise _ended(process)
            if time.monotonic() > until:
                raise StoreError(
                    f"{name} did not come up within {self.options.start_timeout_s:.0f} s.",
                    cure=f"The logs in {self._folder} say what it is doing.",
                )
            self._stopping.wait(0.2)

    def _process(self, name: str, arguments: list[str]) -> ManagedProcess:
        process = ManagedProcess(
            name=name,
            command=[sys.executable, *arguments],
            environ=self._environ(),
            cwd=self.settings.root,
            log=self._folder / f"{name.replace(' ', '-')}.log",
        )
        self._processes.append(process)
        process.start()
        self._write_records()
        return process

    def _write_records(self) -> None:
        write_records(self._records, self._mark, self._processes, owns_database=self._owns_database)

    def _environ(self) -> Mapping[str, str]:
        # Programs read secrets of `.env` there when they need them: one that was renewed counts at once.
        read_there = self.settings.secrets_in_file
        return {
            **os.environ,
            **{k: v for k, v in self.settings.environ.items() if k not in read_there},
            **environment(self.settings, self._url),
            MARK_VARIABLE: self._mark,
            "PYTHONUNBUFFERED": "1",
        }

    def _revive_database(self) -> bool:
        """Start the embedded server where it is gone; say whether it is there, as far as is known."""
        own_url = self.settings.environ.get(URL_VARIABLE, "").strip()
        if own_url or time.monotonic() < self._next_database_check:
            return self._has_database
        self._next_database_check = time.monotonic() + _DATABASE_EVERY_S
        server = EmbeddedServer(self.settings.data)
        try:
            if not self._has_database:
                server.start()  # `revive` goes by the log of the server that ended
            elif server.revive():
                self._report("PostgreSQL was killed; it is there again")
            elif not server.is_running() and not self._stopping.is_set():
                server.start()
                # It was stopped on purpose: it is stopped again with this stack.
                self._owns_database = True
                self._write_records()
                self._report("PostgreSQL was stopped; this stack needs it, so it is there again")
        except (StoreError, OSError) as error:
            if self._has_database:
                again = f"It is tried again every {_DATABASE_AGAIN_S:.0f} s, and nothing runs until then"
                self._report(f"PostgreSQL cannot be started: {error} {again}")
            self._has_database = False
            self._next_database_check = time.monotonic() + _DATABASE_AGAIN_S
            return False
        if not self._has_database:
            self._has_database = True
            self._restarts.clear()
            self._report("PostgreSQL works again")
        return True

    def _tidy(self) -> None:
        if self._stopping.is_set() or time.monotonic() < self._next_tidying:
            return
        self._next_tidying = time.monotonic() + _TIDY_EVERY_S
        if not self.settings.retention.run_days:
            return
        try:
            with opened_instance(self.settings, self._url) as instance:
                remove_old_runs(instance, self._url, self.settings, SystemClock().now())
        except Exception as error:  # noqa: BLE001 - whatever it is, the programs have to be watched
            self._report(
                f"old runs were not removed ({type(error).__name__}); tried again in an hour"
            )

    def _revive(self, process: ManagedProcess) -> None:
        now = time.monotonic()
        lately = [
            at for at in self._restarts.get(process.name, []) if now - at < _RESTARTS_WITHIN_S
        ]
        if len(lately) >= _RESTARTS:
            raise _ended(process)
        self._restarts[process.name] = [*lately, now]
        self._report(f"{process.name} ended by itself; starting it again")
        process.stop()
        if process.name == "code server":
            self._socket.unlink(missing_ok=True)
        process.start()
        self._write_records()


def _ended(process: ManagedProcess) -> StoreError:
    return StoreError(
        f"{process.name} ended by itself. Its log ({process.log}) ends:\n{process.log_tail()}",
        cure="Correct what it names and start again.",
    )
