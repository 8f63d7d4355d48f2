"""Run the sandbox: `python -m crm_pipeline.sandbox --port 8765 --contacts 10000`."""

import argparse
import signal
import sys
import threading
from datetime import datetime
from pathlib import Path
from types import FrameType

from crm_pipeline.sandbox.certificates import Authority
from crm_pipeline.sandbox.server import SandboxServer


def main(arguments: list[str] | None = None) -> int:
    """Serve until a signal arrives; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m crm_pipeline.sandbox", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=8765, help="port, 0 for a free one")
    parser.add_argument("--seed", type=int, default=7, help="the same seed gives the same world")
    parser.add_argument("--contacts", type=int, default=10_000, help="size of the world")
    parser.add_argument(
        "--now", type=datetime.fromisoformat, help="all stamps end here (default: this hour)"
    )
    parser.add_argument(
        "--tls", type=Path, metavar="FOLDER", help="speak TLS too; keep the authority there"
    )
    options = parser.parse_args(arguments)
    try:
        sandbox = SandboxServer(
            host=options.host,
            port=options.port,
            seed=options.seed,
            contacts=options.contacts,
            now=options.now,
            authority=Authority(options.tls) if options.tls else None,
        )
    except (OSError, ValueError, OverflowError) as problem:
        sys.stderr.write(f"The sandbox cannot listen on {options.host}:{options.port}: {problem}\n")
        return 1
    finished = threading.Event()

    def stop(_signal: int, _frame: FrameType | None) -> None:
        finished.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    with sandbox:
        sys.stdout.write(f"sandbox ready {sandbox.url}\n")
        sys.stdout.flush()
        finished.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
