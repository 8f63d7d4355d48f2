"""A thousand token expiries, each met by eight processes at once; and processes killed on the way.

`python -m benchmarks.tokens [--expiries 1000] [--kills 100]`. The sandbox rotates refresh tokens: each
works once, and a refresh ends every older session. Its journal counts the refreshes; at the first use
of a token it is looked up whether that token is stored.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from crm_sandbox.salesforce import credentials
from crm_sandbox.server import SandboxServer

NAME = "bench"
CONNECTIONS = f"""
connections:
  {NAME}:
    vendor: salesforce
    login_url: {{url}}/salesforce
    sandbox: true
    auth: {{{{kind: refresh_token, client_id_env: BENCH_ID, refresh_token_env: BENCH_REFRESH_TOKEN}}}}
    objects: [User]
"""
ENVIRON = {"BENCH_ID": credentials.CLIENT_ID, "BENCH_REFRESH_TOKEN": credentials.REFRESH_TOKEN}


@dataclass
class Outcome:
    """What was seen.

    Attributes:
        refreshes: refreshes that the vendor granted; `refused` those that it did not.
        unstored: tokens that were used before they were stored.
        failures: what callers were told, as error and cure.
        lost: refresh tokens that the vendor had given out and no process had stored.
        seconds: for all expiries.
    """

    expiries: int = 0
    refreshes: int = 0
    refused: int = 0
    unstored: int = 0
    kills: int = 0
    lost: int = 0
    failures: list[str] = field(default_factory=list)
    seconds: float = 0.0


class Worker:
    """A process that makes one call at each word and says how it went."""

    def __init__(self, home: Path, database_url: str) -> None:
        command = [sys.executable, "-m", "benchmarks.tokens", "--worker", str(home), database_url]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def go(self) -> None:
        self._process.stdin.write("go\n")
        self._process.stdin.flush()

    def answer(self) -> str | None:
        """Return "" for a call that went well, an error's words, or None from a dead process."""
        line = self._process.stdout.readline()
        return json.loads(line) if line.endswith("\n") else None

    def kill(self) -> None:
        self._process.kill()
        self.end()

    def end(self) -> None:
        self._process.stdin.close()
        self._process.wait(timeout=60)
        self._process.stdout.close()


def run(
    database_url: str, expiries: int, processes: int, *, kills: int = 0, seed: int = 7
) -> Outcome:
    """End every session again and again, and let all processes find that out together."""
    from crm_pipeline.configuration import load_settings
    from crm_pipeline.store.postgres.database import Database
    from crm_pipeline.store.tokens import TokenStore
    from crm_pipeline.store.tokens.state_key import StateKey

    outcome = Outcome(expiries)
    with (
        tempfile.TemporaryDirectory(prefix="crm-") as folder,
        SandboxServer(contacts=100) as sandbox,
        Database(database_url) as database,
    ):
        home = Path(folder)
        (home / "connections.yaml").write_text(CONNECTIONS.format(url=sandbox.url))
        environ = {**ENVIRON, "CRM_DATABASE_URL": database_url}
        store = TokenStore(database, StateKey.of(load_settings(home, environ)))
        sandbox.salesforce.rotate()
        _watch_first_uses(sandbox, store, outcome)
        workers = [Worker(home, database_url) for _ in range(processes)]
        try:
            _met(workers, None, 0)  # the first login is no expiry
            sandbox.journal.clear()
            started_s = time.perf_counter()
            chosen = random.Random(seed)
            victims = set(chosen.sample(range(expiries), kills))
            for number in range(expiries):
                sandbox.salesforce.expire_sessions()
                victim = chosen.randrange(processes) if number in victims else None
                words = _met(workers, victim, chosen.uniform(0, 0.03))
                if victim is not None:
                    workers[victim] = Worker(home, database_url)
                    outcome.kills += 1
                if words:
                    outcome.failures += words
                    _authorize_again(sandbox, store)
                    outcome.lost += 1
            outcome.seconds = time.perf_counter() - started_s
        finally:
            for worker in workers:
                worker.end()
        path = "/services/oauth2/token"
        asked = sandbox.journal.entries(path=path)
        outcome.refreshes = sum(entry.status == 200 for entry in asked)
        outcome.refused = sum(entry.status != 200 for entry in asked)
    return outcome


def _met(workers: Sequence[Worker], victim: int | None, kill_after_s: float) -> list[str]:
    """Let all call at once, one be killed meanwhile, and return what those that live complain of."""
    for worker in workers:
        worker.go()
    if victim is not None:
        time.sleep(kill_after_s)
        workers[victim].kill()
    living = [worker for number, worker in enumerate(workers) if number != victim]
    answers = [worker.answer() for worker in living]
    if None in answers:
        raise SystemExit("a worker ended by itself")
    return sorted({answer for answer in answers if answer})


def _watch_first_uses(sandbox: SandboxServer, store, outcome: Outcome) -> None:
    sessions, seen = sandbox.salesforce.sessions, set()
    use = sessions.use

    def watched(token: str):
        if token not in seen and sessions.find(token):
            seen.add(token)
            stored = store.load(NAME)
            outcome.unstored += stored is None or stored.access_token.reveal() != token
        return use(token)

    sessions.use = watched


def _authorize_again(sandbox: SandboxServer, store) -> None:
    """Do what the error asks for: the app is authorized anew, and the new token takes over."""
    sandbox.salesforce.sessions.restore_refresh_token()
    store.forget(NAME)


def work(home: Path, database_url: str) -> None:
    """Be one of the processes: an account of the pipeline that makes one call for each line."""
    from crm_pipeline.configuration import load_settings
    from crm_pipeline.kernel.errors import CrmError
    from crm_pipeline.stages.raw import opened
    from crm_pipeline.store.postgres.database import Database

    settings = load_settings(home, {**ENVIRON, "CRM_DATABASE_URL": database_url})
    with Database(database_url) as database, opened(settings, NAME, database) as account:
        for _ in sys.stdin:
            words = ""
            try:
                list(account.query("SELECT Id FROM User LIMIT 1", include_deleted=False))
            except CrmError as error:
                words = f"{type(error).__name__}: {error}"
            print(json.dumps(words), flush=True)


def report(expiries: int = 1000, kills: int = 100) -> str:
    """Measure and return a table in Markdown."""
    from benchmarks.database import migrated_server
    from crm_pipeline.store.postgres.database import Database

    lines = [
        "| case | expiries | granted refreshes | refused | used before stored | killed | lost | s |",
        "|---|---|---|---|---|---|---|---|",
    ]
    told: set[str] = set()
    with migrated_server() as (_, url):
        cases = {"8 processes": (expiries, 0), "and one of them killed": (3 * kills, kills)}
        for name, (count, killed) in cases.items():
            with Database(url) as database, database.transaction() as cursor:
                cursor.execute("DELETE FROM crm_state.tokens")
            found = run(url, count, 8, kills=killed)
            told |= set(found.failures)
            lines.append(
                f"| {name} | {found.expiries:,} | {found.refreshes:,} | {found.refused} | "
                f"{found.unstored} | {found.kills} | {found.lost} | {found.seconds:.0f} |"
            )
    lines += [f"\nWhat a caller was told: {words}" for words in sorted(told)]
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tokens", description=__doc__)
    parser.add_argument("--expiries", type=int, default=1000)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--worker", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.worker:
        work(Path(options.worker[0]), options.worker[1])
    else:
        print(report(options.expiries, options.kills))


if __name__ == "__main__":
    main()
