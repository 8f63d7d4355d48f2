"""A sandbox in a process of its own, whose clock stands still, for the length of a benchmark."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import requests


@contextmanager
def running_sandbox(contacts: int) -> Iterator[str]:
    """Yield the address; the same question then has the same answer throughout."""
    command = [sys.executable, "-m", "crm_sandbox", "serve", "--port", "0"]
    server = subprocess.Popen(
        [*command, "--contacts", str(contacts)], stdout=subprocess.PIPE, text=True
    )
    try:
        url = server.stdout.readline().split()[-1]
        now = datetime.now(UTC).isoformat()
        requests.post(f"{url}/_admin/clock", json={"fixed": now}).raise_for_status()
        yield url
    finally:
        server.terminate()
        server.wait()
