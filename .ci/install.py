"""Install the checkout into its virtual environment: with uv where it is on the path, else with pip.

`python .ci/install.py VENV REQUIREMENT...`. Both install the versions of `constraints.txt`. uv gets the index that pip
is configured for, unless it has one of its own; where uv fails pip has its turn. pip's warnings are about its
own configuration and are shown only if it fails; so that nobody waits before a silent screen, packages are counted.
"""

import ast
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

CONSTRAINTS = "constraints.txt"
_SAY_EVERY_S = 10
_INDEXES = {"index-url": "UV_DEFAULT_INDEX", "extra-index-url": "UV_INDEX"}


def main(arguments: Sequence[str]) -> int:
    folder, requirements = Path(arguments[0]), arguments[1:]
    uv = os.environ.get("UV", "uv")
    if shutil.which(uv):
        if _with_uv(uv, folder, requirements):
            return 0
        print("uv could not install it; pip tries", file=sys.stderr)
    return _with_pip(folder, requirements)


def _with_uv(uv: str, folder: Path, requirements: Sequence[str]) -> bool:
    print(f"Setting up {folder} with uv", flush=True)
    quiet = [] if sys.stderr.isatty() else ["--quiet"]
    python = folder / "bin" / "python"
    # With pip in it, as a virtual environment that Python made.
    made = [uv, "venv", *quiet, "--seed", "--python", sys.executable, str(folder)]
    if not python.exists() and subprocess.run(made, check=False).returncode:
        return False
    install = [uv, "pip", "install", *quiet, "--python", str(python), "-c", CONSTRAINTS]
    # pip takes the best version of all indexes; uv does so if it is asked to.
    command = [*install, "--index-strategy", "unsafe-best-match", *requirements]
    environ = {**_indexes_of_pip(), **os.environ}
    return subprocess.run(command, env=environ, check=False).returncode == 0


def _indexes_of_pip() -> dict[str, str]:
    """Return pip's own indexes as uv's variables; addresses may hold passwords, so they are no arguments."""
    command = [sys.executable, "-m", "pip", "config", "list"]
    listed = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    variables = {}
    for line in listed.splitlines():
        name, _, value = line.partition("=")
        urls = [url for url in str(ast.literal_eval(value or "''")).split() if url[:4] == "http"]
        variable = _INDEXES.get(name.rpartition(".")[2])
        if variable and urls:
            variables[variable] = " ".join(urls)
    return variables


def _with_pip(folder: Path, requirements: Sequence[str]) -> int:
    print(
        f"Setting up {folder} with pip: some minutes, once (with uv on the path: seconds)",
        flush=True,
    )
    python = folder / "bin" / "python"
    if not _has_pip(python):
        # uv leaves a folder without pip where it could not fetch it.
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
    command = [str(python), "-m", "pip", "install", "--disable-pip-version-check", "--no-color"]
    command += ["--progress-bar", "off", "-c", CONSTRAINTS, *requirements]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as pip:
        assert pip.stdout is not None
        lines = _counted(pip.stdout)
    if pip.returncode:
        print("\n".join(lines[-40:]), file=sys.stderr)
    return pip.returncode


def _has_pip(python: Path) -> bool:
    if not python.exists():
        return False
    command = [str(python), "-m", "pip", "--version"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def _counted(output: Iterable[str]) -> list[str]:
    """Read pip's output to the end; say every ten seconds how far it is, also while pip writes nothing."""
    lines: list[str] = []
    state = ["0 packages found so far"]
    done, started_s = threading.Event(), time.monotonic()

    def say() -> None:
        print(f"  {time.monotonic() - started_s:.0f} s: {state[0]}", flush=True)

    def repeat() -> None:
        while not done.wait(_SAY_EVERY_S):
            say()

    ticker = threading.Thread(target=repeat, daemon=True)
    ticker.start()
    found, is_installing = 0, False
    for line in output:
        lines.append(line.rstrip())
        found += line.startswith("Collecting ")
        if line.startswith("Installing collected packages"):
            state[0], is_installing = f"installing {found} packages", True
            say()
        elif not is_installing:
            state[0] = f"{found} packages found so far"
    done.set()
    ticker.join()
    return lines


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
