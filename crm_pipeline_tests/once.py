"""Fixtures that make what is the same for all tests once per session; nobody asks for them by name.

Publishing writes a comment on each of some 1,200 columns, which is four tenths of its time in a world of a
few records. The statements are gathered as always; where a database was made of the very same ones, it is
copied instead. Every landed window opens a DuckDB to hash its records, which takes longer than hashing a few.
"""

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pytest

from crm_pipeline.stages.published.empty import EmptyTables
from crm_pipeline.store.landing.records import RecordHasher
from crm_pipeline.store.tables.engine import Engine

Statements = list[str]


class _Listener:
    """An engine that gathers statements and carries out everything else."""

    def __init__(self, engine: Engine) -> None:
        self.statements: Statements = []
        self._engine = engine

    def run(self, sql: str) -> None:
        self.statements.append(sql)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)


def _remembering(folder: Path, make: Callable[..., None]) -> Callable[..., None]:
    def create(build: Any, *arguments: Any) -> None:
        listener = _Listener(build.engine)
        make(replace(build, engine=listener), *arguments)
        statements, run = listener.statements, build.engine.run
        is_end = [sql.startswith(("CREATE VIEW", "COPY FROM", "DETACH")) for sql in statements]
        attach, tables, rest = statements[0], *_parted(statements[1:], is_end[1:].index(True))
        memory = attach.removeprefix("ATTACH ':memory:' AS ")
        kept = folder / f"{hashlib.sha256('; '.join(tables).encode()).hexdigest()}.duckdb"
        new = Path(f"{kept}.{os.getpid()}")  # whoever is killed here leaves it behind
        run(attach)
        try:
            if kept.exists():
                run(f"ATTACH '{kept}' AS kept (READ_ONLY)")
                run(f"COPY FROM DATABASE kept TO {memory} (SCHEMA)")
            else:
                for sql in tables:
                    run(sql)
                run(f"ATTACH '{new}' AS kept")
                run(f"COPY FROM DATABASE {memory} TO kept (SCHEMA)")
            run("DETACH kept")
            if not kept.exists():
                new.rename(kept)
            for sql in rest[:-1]:
                run(sql)
        finally:
            run(rest[-1])

    return create


def _parted(statements: Statements, at: int) -> tuple[Statements, Statements]:
    return statements[:at], statements[at:]


@contextmanager
def schemas_kept_in(folder: Path) -> Iterator[None]:
    """Keep empty databases in a folder and copy them; for programs that publish again and again, too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(EmptyTables, "create", _remembering(folder, EmptyTables.create))
        yield


@pytest.fixture(scope="session", autouse=True)
def remembered_schema(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with schemas_kept_in(tmp_path_factory.mktemp("schemas")):
        yield


@pytest.fixture(scope="session", autouse=True)
def one_database_for_hashes() -> Iterator[None]:
    """All hashers use cursors of one database, as the threads of one hasher do."""
    with duckdb.connect(config={"threads": 1}) as database, pytest.MonkeyPatch.context() as patch:
        opened = RecordHasher.__init__

        def shared(hasher: RecordHasher) -> None:
            opened(hasher)
            hasher._database = database.cursor()

        patch.setattr(RecordHasher, "__init__", shared)
        yield
