"""How long it takes until something is there: imports, commands, PostgreSQL, the code location.

`python -m benchmarks.startup [--rounds 5]`: medians; processor seconds beside, because they drift less.
"""

import argparse
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import psycopg2

from crm_pipeline.store.postgres.embedded import EmbeddedServer

CONNECTIONS = """
connections:
  bench:
    vendor: salesforce
    login_url: http://127.0.0.1:9/salesforce
    sandbox: true
    auth: {kind: client_credentials, client_id_env: BENCH_ID, client_secret_env: BENCH_SECRET}
    objects: [Contact, Account]
"""


def command(*words: str, home: Path) -> Callable[[], None]:
    """Return what runs a program of this environment to its end."""

    def run() -> None:
        done = subprocess.run(words, cwd=home, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"{words} failed: {done.stderr[-500:]}")

    return run


def cases(home: Path) -> dict[str, Callable[[], None]]:
    """Return what is measured, each to be run several times."""
    programs = Path(sys.executable).parent
    ours = str(programs / "crm-pipeline")
    fresh = home / "fresh"
    server = EmbeddedServer(home / "data")

    def first_start() -> None:
        shutil.rmtree(fresh, ignore_errors=True)
        EmbeddedServer(fresh).start()

    def again() -> None:
        EmbeddedServer(fresh).start()

    def connect() -> None:
        psycopg2.connect(server.url().replace("+psycopg2", "")).close()

    python = (sys.executable, "-c")
    return {
        "python, nothing imported": command(*python, "pass", home=home),
        "import dagster": command(*python, "import dagster", home=home),
        "import crm_pipeline.definitions": command(
            *python, "import crm_pipeline.definitions", home=home
        ),
        "crm-pipeline --help": command(ours, "--help", home=home),
        "crm-pipeline status": command(ours, "status", home=home),
        "dagster definitions validate": command(
            *(
                str(programs / "dagster"),
                "definitions",
                "validate",
                "-m",
                "crm_pipeline.definitions",
            ),
            home=home,
        ),
        "embedded PostgreSQL, new folder": first_start,
        "embedded PostgreSQL, known folder": again,
        "one connection to it": connect,
    }


def measured(run: Callable[[], None]) -> tuple[float, float]:
    """Return wall and processor seconds of one run, children included."""
    before = _cpu_s()
    started_s = time.perf_counter()
    run()
    return time.perf_counter() - started_s, _cpu_s() - before


def _cpu_s() -> float:
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def report(rounds: int = 5) -> str:
    """Measure and return a table in Markdown."""
    lines = ["| what | seconds | CPU s |", "|---|---|---|"]
    with tempfile.TemporaryDirectory(prefix="crm-") as folder:
        home = Path(folder)
        (home / "connections.yaml").write_text(CONNECTIONS)
        server = EmbeddedServer(home / "data")
        server.start()
        fresh = EmbeddedServer(home / "fresh")
        try:
            for name, run in cases(home).items():
                runs = []
                for _ in range(rounds):
                    if name.startswith("embedded"):
                        fresh.stop()
                    runs.append(measured(run))
                wall_s, cpu_s = (statistics.median(values) for values in zip(*runs, strict=True))
                lines.append(f"| {name} | {wall_s:.3f} | {cpu_s:.2f} |")
        finally:
            fresh.stop()
            server.stop()
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.startup", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    print(report(parser.parse_args(arguments).rounds))


if __name__ == "__main__":
    main()
