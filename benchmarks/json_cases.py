"""HubSpot's pages into landing, by our connector and by dlt; each case alone in a child process.

`python -m benchmarks.json_cases CASE SANDBOX_URL FOLDER`
"""

import importlib
import json
import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks import json_peers
from benchmarks.hubspot import HIGH, TOKEN
from benchmarks.measuring import measured

CONNECTIONS = """
connections:
  bench:
    vendor: hubspot
    login_url: {url}/hubspot
    sandbox: true
    auth: {{kind: token, token_env: BENCH_TOKEN}}
    ceilings: {{{ceilings}}}
    objects: {{contacts: {{route: {route}}}}}
"""
RAISED = {
    "private_calls": HIGH,
    "search_calls": HIGH,
    "association_calls": HIGH,
    "daily_calls": HIGH,
}


def landing(url: str, folder: Path, route: str, ceilings: dict[str, int]) -> Callable[[], int]:
    """Rate limiter, manifests, counts and fsync on; archived records are read as well, and not counted here."""
    from crm_pipeline.configuration import load_settings
    from crm_pipeline.stages.raw import extract, opened
    from crm_pipeline.store.landing import Landing
    from crm_pipeline.store.postgres.database import running_database

    told = ", ".join(f"{name}: {number}" for name, number in ceilings.items())
    text = CONNECTIONS.format(url=url, route=route, ceilings=told)
    (folder / "connections.yaml").write_text(text)
    settings = load_settings(folder, {"BENCH_TOKEN": TOKEN})
    holder = running_database(settings)
    database = holder.__enter__()

    def run() -> int:
        with opened(settings, "bench", database) as account:
            [contacts] = account.connection.objects
            done = extract(account, contacts, None, mode="range", landing=Landing(settings.data))
            return done.read - done.uncounted

    run.end = lambda: holder.__exit__(None, None, None)  # type: ignore[attr-defined]
    return run


def land_list(url: str, folder: Path) -> Callable[[], int]:
    """The list from end to end by one cursor, as the peers read it."""
    return landing(url, folder, "list", RAISED)


def land_lists(url: str, folder: Path) -> Callable[[], int]:
    """The list by four cursors."""
    return landing(url, folder, "list", {**RAISED, "list_cursors": 4})


def land_search(url: str, folder: Path) -> Callable[[], int]:
    """Searches in lanes of ids."""
    return landing(url, folder, "search", RAISED)


OURS = {case.__name__: case for case in (land_list, land_lists, land_search)}


def main() -> None:
    name, url, folder = sys.argv[1:]
    # Arrow loads it when it first sees a list, half a second in all cases; in a Dagster run it is there.
    importlib.import_module("pandas")
    case = OURS.get(name) or (lambda url, folder: json_peers.CASES[name](f"{url}/hubspot", folder))
    run = case(url, Path(folder))
    figures = measured(run)
    end = getattr(run, "end", None)
    if end is not None:
        end()
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
