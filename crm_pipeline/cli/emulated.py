"""The sandbox as a child process, and the world that it serves.

The world is generated from a seed, a size and a moment. `data/run/sandbox.json` holds all three, so that a
sandbox started tomorrow serves the world that was landed today.
"""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from crm_pipeline.cli.sandboxes import require_sandbox
from crm_pipeline.kernel.clock import SystemClock, format_instant, parse_instant
from crm_pipeline.kernel.errors import ConfigError, CrmError
from crm_pipeline.kernel.identity import path_name
from crm_pipeline.settings import Settings
from crm_pipeline.store import files

DEFAULT_SEED = 7
DEFAULT_CONTACTS = 2_000
DEFAULT_ADDRESS = ("127.0.0.1", 8765)


@dataclass(frozen=True)
class WorldChoice:
    """The parameters of the sandbox's world; `now` is its latest modification time."""

    seed: int
    contacts: int
    now: datetime

    def __str__(self) -> str:
        return f"{self.contacts:,} contacts, seed {self.seed}"


class SandboxFailed(CrmError):
    """The sandbox did not start."""


def address(settings: Settings) -> tuple[str, int]:
    """Return host and port of the sandbox that the connections point at.

    Raises:
        ConfigError: they point at several.
    """
    addresses = {
        (url.hostname or DEFAULT_ADDRESS[0], url.port or 80)
        for url in (urlsplit(c.login_url) for c in settings.connections.values() if c.is_emulated)
    }
    if len(addresses) > 1:
        listed = ", ".join(f"{host}:{port}" for host, port in sorted(addresses))
        raise ConfigError(
            f"the sandbox connections of {settings.file} point at several addresses: {listed}.",
            cure="Give all of them the same host and port; one sandbox serves every vendor.",
        )
    return addresses.pop() if addresses else DEFAULT_ADDRESS


def new_world(*, contacts: int | None, seed: int | None) -> WorldChoice:
    """Return a world that ends with the beginning of this hour."""
    return WorldChoice(
        seed=DEFAULT_SEED if seed is None else seed,
        contacts=DEFAULT_CONTACTS if contacts is None else contacts,
        now=SystemClock().now().replace(minute=0, second=0, microsecond=0),
    )


def choose_world(settings: Settings, *, contacts: int | None, seed: int | None) -> WorldChoice:
    """Return the remembered world, or a new one.

    Raises:
        ConfigError: the options name another world than the one whose records are in `data/`.
    """
    record = _recall(settings)
    if record is None:
        return new_world(contacts=contacts, seed=seed)
    remembered = _world(record)
    wanted = WorldChoice(
        remembered.seed if seed is None else seed,
        remembered.contacts if contacts is None else contacts,
        remembered.now,
    )
    if wanted != remembered and _has_landed(settings):
        raise ConfigError(
            f"{settings.data} holds records of a sandbox with {remembered}, and one with {wanted} is asked"
            " for: the two would mix.",
            cure="Leave the options out to go on with the old one, remove the data folder, or set "
            "CRM_DATA to another.",
        )
    return wanted


def remember(settings: Settings, world: WorldChoice, url: str) -> None:
    """Record which world is served, where, and that this process does it."""
    import psutil

    process = psutil.Process()
    files.write_json(
        _file(settings),
        {
            "seed": world.seed,
            "contacts": world.contacts,
            "now": format_instant(world.now),
            "url": url,
            "pid": process.pid,
            "process_started": process.create_time(),
        },
    )


def running(settings: Settings) -> tuple[str, WorldChoice] | None:
    """Return address and world of the sandbox of this data folder if one is running."""
    import psutil

    record = _recall(settings)
    if record is None:
        return None
    try:
        started = psutil.Process(record["pid"]).create_time()
    except psutil.Error:
        return None
    is_same = abs(started - record["process_started"]) < 1
    return (str(record["url"]), _world(record)) if is_same else None


@contextmanager
def served(settings: Settings, world: WorldChoice) -> Iterator[str]:
    """Serve the world in a child process unless a sandbox serves it already; yield the address.

    The child ends with this block, and also when this process is killed.

    Raises:
        ConfigError: a sandbox with another world is running, or none is installed.
        SandboxFailed: it did not start; the text is the child's own.
    """
    if current := running(settings):
        url, shown = current
        if shown != world:
            raise ConfigError(
                f"a sandbox with {shown} is already running at {url}, and one with {world} is asked"
                " for.",
                cure="Stop it, or leave the options out to use it.",
            )
        yield url
        return
    require_sandbox()
    host, port = address(settings)
    command = [
        *(sys.executable, "-m", "crm_pipeline", "sandbox", "--ends-with-stdin"),
        *("--host", host, "--port", str(port)),
        *("--seed", str(world.seed), "--contacts", str(world.contacts)),
    ]
    child = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=_environment(settings),
        start_new_session=True,  # Ctrl-C reaches this process first, the child ends after the runs
    )
    try:
        yield _address_of(child)
    finally:
        _end(child)


def _address_of(child: "subprocess.Popen[str]") -> str:
    assert child.stdout is not None
    line = child.stdout.readline()
    if line:
        return str(json.loads(line)["url"])
    _, words = child.communicate()
    text = words.strip().removeprefix("error: ") or "it said nothing"
    raise SandboxFailed(f"the sandbox did not start: {text}")


def _end(child: "subprocess.Popen[str]") -> None:
    with suppress(OSError):
        assert child.stdin is not None
        child.stdin.close()
    try:
        child.wait(timeout=10)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
    for stream in (child.stdout, child.stderr):
        if stream is not None:
            stream.close()


def _environment(settings: Settings) -> Mapping[str, str]:
    import os

    return {**os.environ, "CRM_HOME": str(settings.root), "CRM_DATA": str(settings.data)}


def _world(record: Mapping[str, Any]) -> WorldChoice:
    return WorldChoice(record["seed"], record["contacts"], parse_instant(record["now"]))


def _has_landed(settings: Settings) -> bool:
    landing = settings.data / "landing"
    names = [name for name, c in settings.connections.items() if c.is_emulated]
    return any((landing / path_name(name)).is_dir() for name in names)


def _recall(settings: Settings) -> Mapping[str, Any] | None:
    path = _file(settings)
    if not path.exists():
        return None
    record: Mapping[str, Any] = files.read_json(path)
    return record


def _file(settings: Settings) -> Path:
    return settings.data / "run" / "sandbox.json"
