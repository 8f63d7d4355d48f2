"""What is measured. Each case runs alone in a child process and prints one JSON line.

`python -m benchmarks.cases CASE SANDBOX_URL FOLDER`
"""

import json
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path

import requests
from requests.adapters import HTTPAdapter

from benchmarks.measuring import measured

LOGIN = {"client_id": "sandbox-client-id", "client_secret": "sandbox-client-secret"}
CONNECTIONS = """
connections:
  bench:
    vendor: salesforce
    login_url: {url}/salesforce
    sandbox: true
    auth: {{kind: client_credentials, client_id_env: BENCH_ID, client_secret_env: BENCH_SECRET}}
    objects: {{Contact: {{route: bulk}}}}
"""
ENVIRON = {"BENCH_ID": LOGIN["client_id"], "BENCH_SECRET": LOGIN["client_secret"]}


def settings_of(url: str, folder: Path):
    from crm_pipeline.configuration import load_settings

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "connections.yaml").write_text(CONNECTIONS.format(url=url))
    return load_settings(folder, ENVIRON)


def land(url: str, folder: Path) -> Callable[[], int]:
    """Bulk 2.0 to landed Parquet: rate limiter, manifests, counts and fsync on."""
    from crm_pipeline.stages.raw import extract, opened
    from crm_pipeline.store.landing import Landing
    from crm_pipeline.store.postgres.database import running_database

    settings = settings_of(url, folder)

    def run() -> int:
        with opened(settings, "bench", database) as account:
            [contact] = account.connection.objects
            landing = Landing(settings.data)
            return extract(account, contact, None, mode="range", landing=landing).records

    holder = running_database(settings)
    database = holder.__enter__()
    run.end = lambda: holder.__exit__(None, None, None)  # type: ignore[attr-defined]
    return run


def peer_pandas(url: str, folder: Path) -> Callable[[], int]:
    """simple-salesforce `bulk2.download`, then pandas.read_csv per page, concat, Parquet."""

    def run() -> int:
        import pandas as pd

        pages = _download(url, folder)
        frame = pd.concat([pd.read_csv(page) for page in pages])
        frame.to_parquet(folder / "contacts.parquet")
        return len(frame)

    return run


def peer_duckdb(url: str, folder: Path) -> Callable[[], int]:
    """simple-salesforce `bulk2.download`, then one DuckDB COPY to Parquet."""

    def run() -> int:
        import duckdb

        _download(url, folder)
        source = f"read_csv('{folder}/pages/*.csv', all_varchar = true, header = true)"
        target = folder / "contacts.parquet"
        duckdb.sql(f"COPY (FROM {source}) TO '{target}' (FORMAT parquet, COMPRESSION zstd)")
        return duckdb.sql(f"SELECT count(*) FROM read_parquet('{target}')").fetchall()[0][0]

    return run


def normalise(url: str, folder: Path) -> Callable[[], int]:
    """Landed contacts to the common model, contracts included."""
    from crm_pipeline.connectors.registry import connector
    from crm_pipeline.stages.normalized import normalize
    from crm_pipeline.store.landing import Landing
    from crm_pipeline.store.tables import Tables
    from crm_pipeline.store.tables.engine import Engine

    settings = settings_of(url, folder)

    def run() -> int:
        connection = settings.connection("bench")
        maps = connector(connection.vendor).mapping
        with Engine(temp=settings.data / "tmp") as engine:
            done = normalize(
                connection, "contacts", Landing(settings.data), Tables(settings.data), maps, engine
            )
        return done.rows

    return run


def publish(url: str, folder: Path) -> Callable[[], int]:
    """The current release to crm.duckdb, in full."""
    from crm_pipeline.stages.published import publish as publish_release
    from crm_pipeline.store.landing import Landing
    from crm_pipeline.store.tables import Tables
    from crm_pipeline.store.tables.engine import Engine

    settings = settings_of(url, folder)

    def run() -> int:
        with Engine(temp=settings.data / "tmp") as engine:
            done = publish_release(Landing(settings.data), Tables(settings.data), engine)
        return done.rows["contacts"]

    return run


CASES = {case.__name__: case for case in (land, peer_pandas, peer_duckdb, normalise, publish)}


class _ToSandbox(HTTPAdapter):
    """Lets the official client, which insists on https, talk to the sandbox."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self._url = url

    def send(self, request, **options):
        host, _, path = request.url.removeprefix("https://").partition("/")
        request.url, request.headers["Host"] = f"{self._url}/{path}", host
        return super().send(request, **options)


def _download(url: str, folder: Path) -> list[Path]:
    from simple_salesforce import Salesforce, bulk2

    # The client looks at a job every five seconds or more; without this the peer mostly sleeps.
    bulk2.sleep = lambda seconds: time.sleep(min(seconds, 0.5))
    shutil.rmtree(folder / "pages", ignore_errors=True)
    session = requests.Session()
    session.mount("https://", _ToSandbox(url))
    host = "bench.my.salesforce.com"
    token = session.post(
        f"https://{host}/services/oauth2/token", data={"grant_type": "client_credentials", **LOGIN}
    ).json()["access_token"]
    client = Salesforce(instance=host, session_id=token, session=session, version="66.0")
    simple = [f["name"] for f in client.Contact.describe()["fields"] if f["type"] != "address"]
    (folder / "pages").mkdir(parents=True, exist_ok=True)
    client.bulk2.Contact.download(
        f"SELECT {', '.join(simple)} FROM Contact", str(folder / "pages"), max_records=50_000
    )
    return sorted((folder / "pages").iterdir())


if __name__ == "__main__":
    import pandas as pd  # noqa: F401 - all cases pay for their libraries before the clock runs
    import pyarrow.parquet  # noqa: F401

    name, address, place = sys.argv[1:]
    prepared = CASES[name](address, Path(place))
    print(json.dumps(measured(prepared)))
    getattr(prepared, "end", lambda: None)()
