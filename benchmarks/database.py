"""A PostgreSQL of its own for the length of a benchmark."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from crm_pipeline.store.postgres.database import Database
from crm_pipeline.store.postgres.embedded import EmbeddedServer


@contextmanager
def migrated_server() -> Iterator[tuple[Path, str]]:
    """Yield an empty folder below which it runs, and its address; the tables are made."""
    with tempfile.TemporaryDirectory(prefix="crm-") as folder:
        server = EmbeddedServer(Path(folder) / "data")
        url = server.start()
        try:
            with Database(url) as database:
                database.migrate()
            yield Path(folder), url
        finally:
            server.stop()
