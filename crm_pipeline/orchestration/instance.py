"""The Dagster instance of a data folder: makes its home, and opens it in this process.

The home is `data/dagster`: a copy of dagster.yaml with absolute paths, so that Dagster writes nothing
outside the data folder, whatever the working directory is.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, cast

import dagster as dg
import yaml
from dagster._core.events.log import EventLogEntry
from dagster._core.instance import InstanceRef
from dagster._core.remote_origin import (
    RegisteredCodeLocationOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
)

from crm_pipeline.kernel.errors import ConfigError, StoreError
from crm_pipeline.orchestration import schema
from crm_pipeline.orchestration.event_writer import without_partitions
from crm_pipeline.orchestration.steadfast import remember_schema, repeat, steadfast
from crm_pipeline.project import project_file
from crm_pipeline.settings import Settings
from crm_pipeline.store import files
from crm_pipeline.store.files.disk import disk_full, is_full
from crm_pipeline.store.postgres.database import URL_VARIABLE
from crm_pipeline.store.postgres.embedded import EmbeddedServer

_FILE = "dagster.yaml"
_STATEMENT_TIMEOUT_MS = 300_000
_RECYCLE_S = 3600
LOCATION = "crm_pipeline"
_REPOSITORY = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin(LOCATION), "__repository__")
_WRITERS = ("local_artifact_storage", "compute_logs")

QUICK_EVENTS: Mapping[str, str] = {
    # A backfill of 14 objects over 107 months writes 3,000 events: 42 s one by one, 4 s like this.
    "DAGSTER_EVENT_BATCH_SIZE": "1000",
    "DAGSTER_EMIT_PARTITION_SUBSET_IN_PLANNED_EVENTS": "true",
}
QUIET: Mapping[str, str] = {
    # dagster.yaml turns telemetry off; this also keeps its empty folders from being made.
    "DAGSTER_DISABLE_TELEMETRY": "yes",
}


def make_home(settings: Settings) -> Path:
    """Write the instance's home and return it.

    Raises:
        ConfigError: dagster.yaml cannot be read.
        StoreError: the data folder is not writable.
    """
    config = _configuration(settings.root)
    home = settings.data / "dagster"
    for part in _WRITERS:
        written = config.get(part, {}).get("config", {})
        if base := written.get("base_dir"):
            written["base_dir"] = str(settings.data / Path(base).relative_to("data"))
    try:
        files.make_private(home)
        text = f"# Made from {_FILE} at each start; change that one.\n" + yaml.safe_dump(config)
        temporary = home / f".{_FILE}.{os.getpid()}"
        temporary.touch(mode=0o600)
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(home / _FILE)
    except OSError as error:
        if is_full(error):
            raise disk_full(f"{home} cannot be written", home) from error
        raise StoreError(
            f"{home} is not writable ({error.strerror}).",
            cure="Give this user write permission, or set CRM_DATA to another folder.",
        ) from error
    return home


def environment(settings: Settings, database_url: str) -> dict[str, str]:
    """Return the variables that make any Dagster program work on this project and data folder."""
    return {
        **QUICK_EVENTS,
        **QUIET,
        "CRM_HOME": str(settings.root),
        "CRM_DATA": str(settings.data),
        "DAGSTER_HOME": str(make_home(settings)),
        URL_VARIABLE: database_url,
    }


@contextmanager
def opened_instance(settings: Settings, database_url: str) -> Iterator[dg.DagsterInstance]:
    """Open the instance from this process, on a database that need not stand in the environment."""
    storage = {"storage": {"postgres": {"postgres_url": database_url}}}
    ref = InstanceRef.from_dir(str(make_home(settings)), overrides=storage)
    is_ours = not settings.environ.get(URL_VARIABLE, "").strip()
    server = EmbeddedServer(settings.data) if is_ours else None
    with ExitStack() as stack:
        stack.enter_context(steadfast(server))
        schema.create_tables(database_url)
        instance = stack.enter_context(dg.DagsterInstance.from_ref(ref))
        schema.finish(instance)
        # Otherwise every event opens a connection of its own: a quarter of a small run's time.
        instance.optimize_for_webserver(
            statement_timeout=_STATEMENT_TIMEOUT_MS, pool_recycle=_RECYCLE_S, max_overflow=10
        )
        repeat(instance)
        remember_schema(instance)
        yield instance


@contextmanager
def quick_events() -> Iterator[None]:
    """Let runs of this process write their events in batches."""
    before = {name: os.environ.get(name) for name in QUICK_EVENTS}
    os.environ.update(QUICK_EVENTS)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def as_launched(instance: dg.DagsterInstance) -> Iterator[None]:
    """Let runs of this process look like those that the daemon launches, and plan their checks once, within the block.

    A run without the name of its code location is in the list of runs, and in no timeline.
    """
    # Storages that are no SQL database have no such method.
    create, storage = instance.create_run_for_job, cast("Any", instance.event_log_storage)
    store = getattr(storage, "store_asset_check_event", None)

    def located(job_def: dg.JobDefinition, **options: Any) -> dg.DagsterRun:
        origin = RemoteJobOrigin(_REPOSITORY, job_def.name)
        return create(job_def, remote_job_origin=origin, **options)

    def planned_once(event: EventLogEntry, event_id: int | None) -> None:
        if store is not None:
            store(without_partitions(event), event_id)

    instance.create_run_for_job = located  # type: ignore[assignment, method-assign]
    if store is not None:
        storage.store_asset_check_event = planned_once
    try:
        yield
    finally:
        instance.create_run_for_job = create  # type: ignore[method-assign]
        if store is not None:
            storage.store_asset_check_event = store


def _configuration(root: Path) -> dict[str, dict[str, dict[str, str]]]:
    """Return the project's dagster.yaml, else the one that `crm-pipeline init` writes."""
    path = root / _FILE
    try:
        text = path.read_text(encoding="utf-8") if path.is_file() else project_file(_FILE)
        return dict(yaml.safe_load(text) or {})
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise ConfigError(
            f"{path} cannot be read: {error}.",
            cure="Correct it, or remove it: without it the one of `crm-pipeline init` counts.",
        ) from None
