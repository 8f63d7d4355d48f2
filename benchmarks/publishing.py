"""A publish of all contacts against one in which few of them have changed: time, size, and what a copy of the file takes.

`python -m benchmarks.publishing --contacts 800000`. The world is made by SQL, so that it costs little; each publish is
a process of its own, and its imports are not measured.
"""

import argparse
import json
import os
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.measuring import Figures, alone, machine, measured, table
from crm_pipeline.model.tables import TABLES
from crm_pipeline.store.tables import Tables, TableVersion
from crm_pipeline.store.tables.engine import Engine
from crm_pipeline.store.tables.replacement import write_replaced

_CONNECTION = "bench"
_WORLD: Mapping[str, Mapping[str, str]] = {
    "users": {"full_name": "'User ' || n", "email": "'u' || n || '@example.com'"},
    "companies": {"name": "'Company ' || n", "owner_key": "'bench:users:' || n % 50"},
    "contacts": {
        "first_name": "['Ada', 'Grace', 'Alan', 'Edsger', 'Barbara'][1 + n % 5]",
        "last_name": "substr(md5('l' || n), 1, 8)",
        "full_name": "'A ' || substr(md5('l' || n), 1, 8)",
        "title": "['CEO', 'CTO', 'Buyer', 'Clerk'][1 + n % 4]",
        "email": "substr(md5('e' || n), 1, 12) || '@example' || n % 1000 || '.com'",
        "phone": "'+1 555 ' || n",
        "mobile_phone": "'+1 556 ' || n",
        "company_source_id": "(n // 8)::VARCHAR",
        "company_key": "'bench:companies:' || n // 8",
        "owner_source_id": "(n % 50)::VARCHAR",
        "owner_key": "'bench:users:' || n % 50",
        "street": "n % 900 || ' Main Street'",
        "city": "['Paris', 'Rome', 'Oslo', 'Bonn', 'Lima'][1 + n % 5]",
        "country": "['France', 'Italy', 'Norway', 'Germany', 'Peru'][1 + n % 5]",
        "url": "'https://bench.example.com/' || n",
        "custom": "concat('{\"Level__c\":\"', n % 3, '\"', "
        + ", ".join(f"',\"Field{i}__c\":\"', md5('{i}' || n), '\"'" for i in range(4))
        + ", '}')",
    },
}
_COMMON = {
    "connection": "'bench'",
    "source_id": "n::VARCHAR",
    "created_at": "TIMESTAMPTZ '2020-01-01 00:00:00+00' + n * INTERVAL 1 MINUTE",
    "modified_at": "TIMESTAMPTZ '2024-01-01 00:00:00+00' + n * INTERVAL 1 SECOND",
    "is_deleted": "n % 50 = 49",
    "batch_id": "'batch ' || n // 10000",
}


def _columns(name: str) -> list[tuple[str, str]]:
    return [(column.name, column.type) for column in TABLES[name].columns]


def _rows(name: str, numbers: str) -> str:
    made = {
        **_COMMON,
        "object": f"'{name}'",
        TABLES[name].key: f"'bench:{name}:' || n",
        **_WORLD[name],
    }
    listed = ", ".join(
        f'CAST({made.get(column, "NULL")} AS {kind}) AS "{column}"'
        for column, kind in _columns(name)
    )
    return f"(SELECT {listed} FROM {numbers} numbers(n))"


def _meta(name: str, live: int) -> dict[str, Any]:
    known = TABLES[name]
    fields = [[column, column, "string", "string", column, None] for column in _WORLD[name]]
    return {
        "inputs": {},
        "live": live,
        "batches": 1,
        "quarantined": 0,
        "results": [],
        "fed": sorted(_WORLD[name]),
        "table": {"name": name, "singular": known.singular, "description": known.description},
        "columns": [{"name": c, "type": kind, "description": ""} for c, kind in _columns(name)],
        "objects": [{"object": name, "label": name, "view": name, "fields": fields}],
    }


def _world(folder: Path, contacts: int) -> Figures:
    tables = Tables(folder)
    sizes = {"users": 50, "companies": contacts // 8 + 1, "contacts": contacts}
    with _engine(folder) as engine:
        for name, size in sizes.items():
            rows = _rows(name, f"range({size})")
            with tables.stage(f"normalized/{_CONNECTION}/{name}", (TABLES[name].key,)) as staged:
                live = engine.copy_to(f"SELECT * FROM {rows} WHERE NOT is_deleted", staged.path())
                engine.copy_to(f"SELECT * FROM {rows} WHERE is_deleted", staged.path())
                staged.commit(None, size, _meta(name, live))
    return {"rows": contacts}


def _change(folder: Path, keys: int, turn: int) -> Figures:
    """Give some contacts other values, spread over the whole table; every fiftieth is or was deleted."""
    tables = Tables(folder)
    parent = tables.version(f"normalized/{_CONNECTION}/contacts")
    assert parent is not None
    with _engine(folder) as engine, tables.stage(parent.name, parent.key) as staged:
        step = parent.rows // keys
        numbers = f"(SELECT unnest(range({turn * 7 % step}, {parent.rows}, {step})) LIMIT {keys})"
        rows = engine.table(
            "changed",
            f"SELECT * REPLACE ('Turn {turn}' AS last_name, now() AS modified_at, 'turn {turn}' AS batch_id, "
            f"false AS is_deleted) FROM {_rows('contacts', numbers)}",
        )
        count = write_replaced(engine, staged, parent, f"(SELECT contact_key FROM {rows})", rows)
        [live] = engine.row(f"SELECT count(*) FROM {_staged_live(staged, parent)}")
        staged.commit(parent, count, {**parent.meta, "live": int(live)})
    return {"rows": count}


def _staged_live(staged: Any, parent: TableVersion) -> str:
    now = replace(
        parent,
        base=staged.paths("base"),
        delta=staged.paths("delta"),
        tombstones=staged.paths("tombstones"),
    )
    return f"{Tables.relation(now)} WHERE NOT is_deleted"


def _engine(folder: Path) -> Engine:
    return Engine(folder / "tmp")


def _publish(folder: Path, *, is_full: bool) -> Figures:
    import pandas as pd  # noqa: F401 - its import, by pyarrow, is not measured

    from crm_pipeline.settings import Retention
    from crm_pipeline.stages.published import publish
    from crm_pipeline.store.landing import Landing

    more: Figures = {}

    def run() -> int:
        with _engine(folder) as engine:
            done = publish(
                Landing(folder),
                Tables(folder),
                engine,
                is_forced=is_full,
                retention=Retention(snapshots=1),
            )
        assert done.built == ("full" if is_full else "incremental"), done.why
        more["copied_s"], more["file_mb"] = done.copied_s, done.bytes / 1e6
        return done.rows["contacts"]

    return {**measured(run), **more}


def _copy(folder: Path) -> Figures:
    """Copy the published file and flush it: what no publish of a copy can do without."""
    from crm_pipeline.store.files.copying import copy_file

    source, target = (folder / "crm.duckdb").resolve(), folder / "copy.duckdb"
    started = time.perf_counter()
    copy_file(source, target)
    with target.open("rb+") as file:
        os.fsync(file.fileno())
    seconds = time.perf_counter() - started
    target.unlink()
    return {"seconds": seconds}


def report(sizes: Sequence[int], publishes: int) -> str:
    """Measure, and return a table in Markdown."""
    rows = []
    for contacts in sizes:
        with tempfile.TemporaryDirectory() as name:
            folder = ("--folder", name)
            alone("benchmarks.publishing", "--case", "world", "--contacts", str(contacts), *folder)
            full = alone("benchmarks.publishing", "--case", "full", *folder)
            rows.append(_row(contacts, "full", full, full, 0.0))
            done = full
            for turn in range(1, publishes + 1):
                change = ("--case", "change", "--turn", str(turn))
                alone("benchmarks.publishing", *change, *folder)
                done = alone("benchmarks.publishing", "--case", "incremental", *folder)
                if turn in {1, 2, 3, publishes}:
                    copy = alone("benchmarks.publishing", "--case", "copy", *folder)
                    title = f"800 changed, publish {turn}"
                    rows.append(_row(contacts, title, done, full, copy["seconds"]))
    columns = (
        "contacts",
        "publish",
        "seconds",
        "of it a copy",
        "CPU s",
        "of full",
        "peak MB",
        "file MB",
    )
    return f"{machine()}\n\n{table(columns, rows)}"


def _row(contacts: int, title: str, done: Figures, full: Figures, copy_s: float) -> tuple[str, ...]:
    return (
        f"{contacts:,}",
        title,
        f"{done['seconds']:.2f}",
        f"{copy_s:.2f}",
        f"{done['cpu_s']:.2f}",
        f"{done['cpu_s'] / full['cpu_s']:.1%}",
        f"{done['peak_mb']:,.0f}",
        f"{done['file_mb']:,.0f}",
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.publishing", description=__doc__)
    parser.add_argument("--contacts", type=int, nargs="+", default=[800_000])
    parser.add_argument("--publishes", type=int, default=3)
    parser.add_argument("--case", choices=("world", "change", "full", "incremental", "copy"))
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--turn", type=int, default=1)
    options = parser.parse_args()
    if options.case is None:
        print(report(options.contacts, options.publishes))
        return
    cases = {
        "world": lambda: _world(options.folder, options.contacts[0]),
        "change": lambda: _change(options.folder, 800, options.turn),
        "full": lambda: _publish(options.folder, is_full=True),
        "incremental": lambda: _publish(options.folder, is_full=False),
        "copy": lambda: _copy(options.folder),
    }
    print(json.dumps(cases[options.case]()))


if __name__ == "__main__":
    main()
