"""The command line: `crm-sandbox serve` runs the emulated vendors in the foreground."""

import argparse
import errno
import signal
import sys
import threading
from contextlib import nullcontext
from datetime import datetime
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from crm_sandbox.access import describe_access
from crm_sandbox.certificates import Authority
from crm_sandbox.registry import find_vendors
from crm_sandbox.server import SandboxServer

if TYPE_CHECKING:
    from crm_sandbox.dns import DnsServer


def main(arguments: list[str] | None = None) -> int:
    """Run a command and return the exit code."""
    options = _parser().parse_args(arguments)
    try:
        sandbox = SandboxServer(
            host=options.host,
            port=options.port,
            seed=options.seed,
            contacts=options.contacts,
            now=options.now,
            authority=Authority(options.tls) if options.tls else None,
            vendors=options.vendor or (),
        )
        dns = _dns(sandbox, options.dns_port) if options.dns_port is not None else None
    except OSError as problem:
        sys.stderr.write(f"error: {_refused(problem, options.host, options.port)}\n")
        return 1
    except (ValueError, OverflowError) as problem:
        sys.stderr.write(f"error: {problem}\n")
        return 2
    with dns or nullcontext():
        _serve(sandbox, dns.resolver if dns else "")
    return 0


def _dns(sandbox: SandboxServer, port: int) -> "DnsServer":
    from crm_sandbox.dns import DnsServer, zone_of

    try:
        return DnsServer(zone_of(sandbox.world), port=port)
    except OSError as problem:
        raise ValueError(
            f"DNS cannot listen on port {port}: {problem.strerror}. Choose another with --dns-port."
        ) from problem


def _serve(sandbox: SandboxServer, resolver: str) -> None:
    finished = threading.Event()

    def stop(_signal: int, _frame: FrameType | None) -> None:
        finished.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    with sandbox:
        lines = [*describe_access(sandbox), *([("DNS", resolver)] if resolver else [])]
        width = max(len(label) for label, _ in lines)
        text = "\n".join(f"{label:<{width}}  {value}" for label, value in lines)
        sys.stdout.write(f"{text}\nReady. Ctrl-C ends it.\n")
        sys.stdout.flush()
        finished.wait()


def _refused(problem: OSError, host: str, port: int) -> str:
    if problem.errno == errno.EADDRINUSE:
        return f"port {port} of {host} is in use by another program. Choose another with --port; 0 takes a free one."
    return f"cannot listen on {host}:{port}: {problem.strerror}. Choose an address of this machine and a port above 1023."


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="crm-sandbox", description="Emulated CRM accounts.")
    commands = parser.add_subparsers(dest="command", required=True)
    serve = commands.add_parser("serve", help="serve accounts of a made-up world until Ctrl-C")
    serve.add_argument("--host", default="127.0.0.1", help="address to listen on")
    serve.add_argument("--port", type=int, default=8765, help="port, 0 for a free one")
    serve.add_argument("--seed", type=int, default=7, help="the same seed gives the same world")
    serve.add_argument("--contacts", type=int, default=2_000, help="size of the world")
    serve.add_argument(
        "--now", type=datetime.fromisoformat, help="all stamps end here (default: this hour)"
    )
    serve.add_argument(
        "--tls",
        type=Path,
        metavar="FOLDER",
        help="speak TLS too; keep the certificate authority there",
    )
    serve.add_argument(
        "--dns-port",
        type=int,
        help="answer DNS for the world's domains there, too; 0 for a free port",
    )
    serve.add_argument(
        "--vendor",
        action="append",
        choices=sorted(find_vendors()),
        help="open this vendor only; may be given several times (default: all)",
    )
    return parser
