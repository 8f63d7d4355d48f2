"""A published file of all accounts of a world, made once, and what the vendors answer beside it."""

import os
import shutil
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml

from crm_pipeline.configuration import load_settings
from crm_pipeline.connectors.base import RecordKeys
from crm_pipeline.connectors.registry import connector
from crm_pipeline.kernel.clock import FrozenClock
from crm_pipeline.model.mapping import ObjectMap
from crm_pipeline.orchestration.resources import Workspace
from crm_pipeline.stages.normalized import normalize, tables_for
from crm_pipeline.stages.published import publish
from crm_pipeline.stages.raw import extract, note_account
from crm_pipeline.stages.verified import Choices, Verified, Verifiers, verify
from crm_pipeline.store.tables.engine import Engine
from crm_pipeline_tests.meaning.answers import DEMO, Answers, Login
from crm_pipeline_tests.meaning.odd_values import plant
from crm_pipeline_tests.meaning.plain_accounts import rows_of
from crm_pipeline_tests.meaning.rows import Rows
from crm_sandbox.clock import SandboxClock
from crm_sandbox.server import SandboxServer

NOW = "2026-11-23T10:00:00Z"
CHECKOUT = Path(__file__).resolve().parents[2]
_CEILINGS = ("private", "marketplace", "search", "associations")
_ANSWERS = "answers.json"
_COUNTRIES = {"pipedrive": "US"}
"""Of accounts whose records have none."""
_VERIFICATION = {"shared_from": 4}
"""So few people share a number in a small world."""
_SHIPPED = {"salesforce": "salesforce_demo", "hubspot": "hubspot_demo"} | {
    "pipedrive": "pipedrive_demo",
    "zoho": "zoho_demo",
}


@dataclass
class Prepared:
    """A world that was read, built and published once.

    Attributes:
        answers: what the vendors say.
        workspace: the pipeline that has read them.
    """

    answers: Answers
    workspace: Workspace
    _sessions: dict[str, duckdb.DuckDBPyConnection] = field(default_factory=dict)

    @property
    def data(self) -> Path:
        return self.workspace.settings.data

    @property
    def connections(self) -> tuple[str, ...]:
        return self.answers.connections

    def query(self, sql: str, *, zone: str = "UTC") -> list[dict[str, Any]]:
        """Return rows of the published file, as an analyst's session in a time zone reads them."""
        cursor = self.session(zone).execute(sql)
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def session(self, zone: str) -> duckdb.DuckDBPyConnection:
        """Return a session in a time zone; it stays open until `close`."""
        if zone not in self._sessions:
            path = str((self.data / "crm.duckdb").resolve())
            found = self._sessions[zone] = duckdb.connect()
            found.execute(f"SET TimeZone = '{zone}'")
            found.execute(f"ATTACH '{path}' AS published (READ_ONLY)")
            found.execute("USE published")
        return self._sessions[zone]

    def plain_rows(self) -> Rows:
        """Return what the vendors answer as plain rows, as of the publish."""
        settings, now = self.workspace.settings, self.workspace.clock.now()
        shared_from = settings.verification.shared_from
        return rows_of(self.answers, settings.connections, now, shared_from)

    def close(self) -> None:
        """Close all sessions."""
        for session in self._sessions.values():
            session.close()
        self._sessions.clear()

    def read(self) -> None:
        """Land every object of every connection, and keep the vendors' responses."""
        with ThreadPoolExecutor() as threads:
            jobs = [threads.submit(self._land, name) for name in self.connections]
            self.answers.read_all()
            for job in jobs:
                job.result()

    def _land(self, name: str) -> None:
        # A frozen clock is one thread's own.
        workspace = Workspace(self.workspace.settings, clock=FrozenClock(NOW))
        with workspace.account(name) as account:
            note_account(account, workspace.landing)
            for obj in account.connection.objects:
                extract(account, obj, None, mode="range", landing=workspace.landing)

    def build(
        self,
        maps: Mapping[str, Sequence[ObjectMap]] | None = None,
        only: Collection[str] = (),
        tables: Collection[str] = (),
        keys: RecordKeys | None = None,
    ) -> None:
        """Make tables from what has landed.

        Args:
            maps: by vendor, instead of the connector's own.
            only: connections; by default all.
            tables: by default all.
            keys: tell ids, stamps and deletions, instead of the connector's own.
        """
        workspace = self.workspace
        for connection in workspace.settings.connections.values():
            if only and connection.name not in only:
                continue
            vendor = connector(connection.vendor)
            chosen = (maps or {}).get(connection.vendor, vendor.mapping)
            for table in tables_for(connection, chosen):
                if tables and table not in tables:
                    continue
                with workspace.engine() as engine:
                    normalize(
                        connection,
                        table,
                        workspace.landing,
                        workspace.tables,
                        chosen,
                        engine,
                        keys or vendor.keys,
                        limit=workspace.settings.quarantine,
                    )

    def verify(self, verifiers: Verifiers | None = None, engine: Engine | None = None) -> Verified:
        """Judge all addresses and numbers, as the asset does, or by other verifiers and another engine."""
        workspace = self.workspace
        chosen, connections = workspace.settings.verification, workspace.settings.connections
        regions = {name: connection.country for name, connection in connections.items()}
        with workspace.verifiers() as usual, engine or workspace.engine() as running:
            return verify(
                workspace.tables,
                running,
                verifiers or usual,
                Choices(regions, chosen.expires, chosen.shared_from),
                wanted=_wanted(workspace),
                now=workspace.clock.now(),
            )

    def publish(self) -> None:
        """Put all tables into the file."""
        workspace = self.workspace
        fresh = workspace.freshness()
        with workspace.engine() as engine:
            publish(workspace.landing, workspace.tables, engine, freshness=fresh, is_forced=True)


def _wanted(workspace: Workspace) -> set[str]:
    """Return the normalized tables that the stage reads, by the names under which the store keeps them."""
    return {name for name in workspace.tables.current().tables if name.startswith("normalized/")}


def connections_text(
    logins: Mapping[str, Login], without: Collection[str] = ()
) -> tuple[str, dict[str, str]]:
    """Return connections.yaml for accounts, with the objects that the demo reads, and their secrets."""
    shipped = yaml.safe_load((CHECKOUT / "connections.yaml").read_text())["connections"]
    entries, environ = {}, {}
    for name, login in logins.items():
        # Fields of an account's own are mapped by the entry that logs in to it.
        of_account = (one for one, known in DEMO.items() if known == login)
        entry = dict(shipped[next(of_account, _SHIPPED[login.vendor])])
        entry["objects"] = [name for name in entry["objects"] if name not in without]
        entry["auth"] = {"kind": _kind(login)}
        for secret, value in login.secrets.items():
            variable = f"{name}_{secret}".upper()
            entry["auth"][f"{secret}_env"] = variable
            environ[variable] = value
        if login.vendor in _COUNTRIES:
            entry["country"] = _COUNTRIES[login.vendor]
        entries[name] = entry
    return yaml.safe_dump({"connections": entries, "verification": _VERIFICATION}), environ


def _lift_ceilings(sandbox: SandboxServer) -> None:
    """Let clients send requests as fast as they can: rate limits are tested elsewhere."""
    emulators: Any = sandbox.emulations
    if "hubspot" not in emulators:
        return
    for account in ("main", "second"):
        emulators["hubspot"].set_limits(account=account, **dict.fromkeys(_CEILINGS, 100_000))


def _kind(login: Login) -> str:
    if "token" in login.secrets:
        return "token"
    return {"salesforce": "client_credentials", "zoho": "self_client"}.get(
        login.vendor, "refresh_token"
    )


def make(
    root: Path,
    database_url: str,
    *,
    seed: int,
    contacts: int,
    logins: Mapping[str, Login] = DEMO,
    without: Collection[str] = (),
) -> None:
    """Read a world with a seed of its own and publish it, so that `kept` finds it without its sandbox.

    Args:
        root: a folder for it.
        database_url: of a migrated database.
        seed: of the world.
        contacts: its size.
        logins: of its accounts.
        without: objects of the demo that are not read.
    """
    clock = FrozenClock(NOW)
    with SandboxServer(
        seed=seed,
        contacts=contacts,
        now=clock.now(),
        clock=SandboxClock(clock.now()),
        vendors={login.vendor for login in logins.values()},
    ) as sandbox:
        _lift_ceilings(sandbox)
        for login in logins.values():
            plant(sandbox, login.vendor, login.account)
        text, environ = connections_text(logins, without)
        root.mkdir(exist_ok=True)
        (root / "connections.yaml").write_text(text)
        environ |= {"CRM_SANDBOX_PORT": str(sandbox.port), "CRM_DATABASE_URL": database_url}
        workspace = Workspace(load_settings(root, environ), clock=clock)
        made = Prepared(Answers(sandbox.url, logins), workspace)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(os, "fsync", lambda _: None)  # no power cut is part of this
            made.read()
            made.build()
            made.verify()
            made.publish()
        made.answers.save(root / _ANSWERS)
        made.answers.close()


def kept(root: Path, logins: Mapping[str, Login] = DEMO, database_url: str = "") -> Prepared:
    """Return a world that was made: it can be queried, and built again in a copy."""
    _, environ = connections_text(logins)
    if database_url:
        environ["CRM_DATABASE_URL"] = database_url
    workspace = Workspace(load_settings(root, environ), clock=FrozenClock(NOW))
    return Prepared(Answers.saved(root / _ANSWERS, logins), workspace)


def landed_again(made: Prepared, root: Path) -> Prepared:
    """Return a copy of a world's landing, without built tables."""
    (root / "data").mkdir(parents=True)
    shutil.copy(made.data.parent / "connections.yaml", root)
    shutil.copy(made.data.parent / _ANSWERS, root)
    shutil.copytree(made.data / "landing", root / "data" / "landing")
    return kept(root, made.answers.logins)
