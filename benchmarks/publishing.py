"""A publish of all contacts against one in which few of them have changed: time, size, and what a copy of the file takes.

`python -m benchmarks.publishing --contacts 800000`. The world is made by SQL, so that it costs little; each publish is
a process of its own, and its imports are not measured.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.measuring import Figures
from crm_pipeline.model.tables import TABLES
from crm_pipeline.store.tables import Tables, TableVersion
from crm_pipeline.store.tables.engine import Engine
from crm_pipeline.store.tables.replacement import write_replaced

_CONNECTION = "bench"
_TEXT = "md5(concat('{0}', n))"
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
        + ", ".join(f"',\"Field{i}__c\":\"', md5('{i}' || n), '\"'" for i in range(12))
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
    from dataclasses import replace

    now = replace(
        parent,
        base=staged.paths("base"),
        delta=staged.paths("delta"),
        tombstones=staged.paths("tombstones"),
    )
    return f"{Tables.relation(now)} WHERE NOT is_deleted"


def _engine(folder: Path) -> Engine:
    return Engine(folder / "tmp")
