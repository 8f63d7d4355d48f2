"""Open a published file so that SQL can do nothing but read it.

DuckDB reads and writes files, calls hosts and loads extensions from plain SQL. A connection from here can reach
the file itself and nothing else: no other path, no host, no extension, no variable of the caller. Its settings
cannot be changed any more. `statements.py` decides which statements only read.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import duckdb
import structlog

from crm_pipeline.model.names import literal, quoted
from crm_pipeline.store import files
from crm_pipeline.store.tables.engine import private_temp

_log = structlog.get_logger(__name__)
_NOTHING: Mapping[str, Path] = MappingProxyType({})
_Config = dict[str, str | bool | int | float | list[str]]
_CLOSED: _Config = {
    "allow_community_extensions": False,
    "allow_persistent_secrets": False,
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "python_enable_replacements": False,  # `FROM rows` would read the caller's variable of that name
    # DuckDB shows the environment's HTTP_PROXY, which may hold a password, where this is empty.
    "http_proxy": "none",
}


@dataclass(frozen=True)
class ReadLimits:
    """Limits for reading.

    Attributes:
        memory_mb: more is written to a temporary folder in the data folder, or is an error for a user who
            may not write there.
        spill_mb: the most that may be written to that folder.
        threads: for one statement.
    """

    memory_mb: int = 640
    spill_mb: int = 4_096
    threads: int = 2


def open_closed(
    path: Path, data: Path, limits: ReadLimits, beside: Mapping[str, Path] = _NOTHING
) -> duckdb.DuckDBPyConnection:
    """Open a DuckDB file read-only and closed to everything else, in UTC; the caller closes it.

    Args:
        path: the file.
        data: the data folder.
        limits: of memory, disk and threads.
        beside: further files, by the name that they are attached under; one that cannot be opened is left out.

    Raises:
        duckdb.Error: the file does not exist or is not a database.
    """
    config: _Config = {
        **_CLOSED,
        "memory_limit": f"{limits.memory_mb}MB",
        "threads": limits.threads,
        "temp_directory": _spill_folder(data),
        "max_temp_directory_size": f"{limits.spill_mb}MB",
    }
    # In memory with the file attached, because all connections of a process to one file must have one configuration.
    connection = duckdb.connect(":memory:", config=config)
    try:
        name = quoted(path.stem)
        connection.execute(f"ATTACH {literal(str(path))} AS {name} (READ_ONLY)")
        attach_beside(connection, beside)
        for setting in (
            f"USE {name}",
            "SET TimeZone = 'UTC'",
            "SET enable_external_access = false",
            "SET lock_configuration = true",
        ):
            connection.execute(setting)
    except BaseException:
        connection.close()
        raise
    return connection


def attach_beside(connection: duckdb.DuckDBPyConnection, beside: Mapping[str, Path]) -> None:
    """Attach further files read-only; one that is gone or damaged is left out, because it is not what was asked for."""
    for name, path in beside.items():
        try:
            connection.execute(f"ATTACH {literal(str(path))} AS {quoted(name)} (READ_ONLY)")
        except duckdb.Error as error:
            _log.warning("a file is not attached", path=str(path), why=type(error).__name__)


def _spill_folder(data: Path) -> str:
    """Return where DuckDB may make its temporary folder, which it removes at the end; "" for nowhere."""
    if not os.access(data, os.W_OK | os.X_OK):
        return ""
    return str(private_temp(files.make_folder(data / "tmp")))
