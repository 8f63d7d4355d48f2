"""The stage `verified`: all contacts of a world at first, then refreshes in which few of them have changed.

`python -m benchmarks.verified --contacts 800000`. Each build is a process of its own; its imports are not measured.
"""

import argparse
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.measuring import Figures, alone, measured, table
from crm_pipeline.store.tables import Tables
from crm_pipeline.store.tables.engine import Engine
from crm_pipeline.store.tables.replacement import write_replaced, write_whole

_NAME = "normalized/bench/contacts"
_NOW = datetime(2026, 11, 1)  # noqa: DTZ001 - the world's times are naive UTC
_ROWS = """
SELECT 'bench:Contact:' || row_number() OVER () AS contact_key,
    CASE WHEN email IS NULL THEN [] ELSE [{'value': email, 'label': 'main', 'is_primary': true}] END AS emails,
    list_filter([{'value': phone, 'label': 'main', 'is_primary': phone IS NOT NULL},
        {'value': mobile, 'label': 'mobile', 'is_primary': phone IS NULL}], lambda p: p.value IS NOT NULL) AS phones,
    NULL::VARCHAR AS fax, country, false AS is_deleted
FROM cards
"""
_STEPS: Mapping[str, float] = {
    "all contacts": 1.0,
    "nothing changed": 0.0,
    "0.1 % changed": 0.001,
    "1 % changed": 0.01,
}


def report(contacts: int = 800_000) -> str:
    """Measure, and return a table in Markdown."""
    with tempfile.TemporaryDirectory() as folder:
        arguments = ("--folder", folder, "--contacts", str(contacts))
        alone("benchmarks.verified", "--case", "world", *arguments)
        rows = []
        whole: Figures = {}
        for name, share in _STEPS.items():
            if 0 < share < 1:
                alone("benchmarks.verified", "--case", "change", "--share", str(share), *arguments)
            done = alone("benchmarks.verified", "--case", "build", *arguments)
            whole = whole or done
            rows.append(
                (
                    name,
                    f"{done['rows']:,.0f}",
                    f"{done['judged']:,.0f}",
                    f"{done['seconds']:.2f}",
                    f"{done['cpu_s']:.2f}",
                    f"{done['cpu_s'] / whole['cpu_s']:.1%}",
                    f"{done['peak_mb']:,.0f}",
                )
            )
    columns = ("refresh", "points", "values judged", "seconds", "CPU s", "of all", "peak MB")
    return table(columns, rows)


def _world(folder: Path, contacts: int) -> Figures:
    from crm_sandbox.world import World

    world = World(7, contacts, _NOW)
    cards = world.contact_cards("salesforce", world.companies())
    tables = Tables(folder)
    with _engine(folder) as engine, tables.stage(_NAME, ("contact_key",)) as staged:
        engine.load("cards", cards.select(["email", "phone", "mobile", "country"]))
        rows = write_whole(engine, staged, f"({_ROWS})")
        names = [{"name": name} for name in engine.columns(f"({_ROWS})")]
        staged.commit(None, rows, {"columns": names, "live": rows})
    return {"rows": rows}


def _change(folder: Path, share: float) -> Figures:
    """Give some contacts other addresses and numbers."""
    tables = Tables(folder)
    parent = tables.version(_NAME)
    assert parent is not None
    with _engine(folder) as engine, tables.stage(_NAME, ("contact_key",)) as staged:
        chosen = engine.table(
            "chosen",
            f"FROM {Tables.relation(parent)} WHERE hash(contact_key) % 1000000 < {share * 1e6:.0f}",
        )
        keys = f"(SELECT contact_key FROM {chosen})"
        rows = (
            f"(SELECT * REPLACE (list_transform(emails, lambda p: {{'value': 'new.' || p.value, 'label': p.label, "
            f"'is_primary': p.is_primary}}) AS emails) FROM {chosen})"
        )
        count = write_replaced(engine, staged, parent, keys, rows)
        staged.commit(parent, count, parent.meta)
    return {"rows": count}


def _build(folder: Path) -> Figures:
    from crm_pipeline.kernel.clock import SystemClock
    from crm_pipeline.settings.verification import Verification
    from crm_pipeline.stages.verified import Choices, verify
    from crm_pipeline.stages.verified.library import library_verifiers

    figures: Figures = {}

    def run() -> int:
        verifiers = library_verifiers(Verification(), SystemClock())
        choices, now = Choices({"bench": "US"}), datetime.now(UTC)
        with _engine(folder) as engine:
            done = verify(Tables(folder), engine, verifiers, choices, wanted=[_NAME], now=now)
        figures["judged"] = sum(done.judged.values())
        return done.rows("contact_points")

    return {**measured(run), **figures}


def _engine(folder: Path) -> Engine:
    return Engine(folder / "tmp")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.verified", description=__doc__)
    parser.add_argument("--contacts", type=int, default=800_000)
    parser.add_argument("--case", choices=("world", "change", "build"))
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--share", type=float, default=0.001)
    options = parser.parse_args()
    if options.case is None:
        print(report(options.contacts))
        return
    import json

    cases = {
        "world": lambda: _world(options.folder, options.contacts),
        "change": lambda: _change(options.folder, options.share),
        "build": lambda: _build(options.folder),
    }
    print(json.dumps(cases[options.case]()))


if __name__ == "__main__":
    main()
