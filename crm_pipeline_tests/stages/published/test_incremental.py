"""A file that was brought up to date equals one that is built from nothing, whatever changed in between."""

import random
import shutil
from pathlib import Path
from typing import Any

import duckdb
import pytest

from crm_pipeline_tests.stages.conftest import Org
from crm_pipeline_tests.stages.published.conftest import OPTIONS, WORLD, land
from crm_pipeline_tests.stages.published.judged import judge, point

NUMBERS = {
    table: [line.split()[0] for line in text.strip().splitlines()] for table, text in WORLD.items()
}
CELLS = {
    table: [line.split()[1:] for line in text.strip().splitlines()] for table, text in WORLD.items()
}


def contents(path: Path) -> dict[str, Any]:
    """Return all that a file has: columns, comments and rows of tables and views, whatever their order."""
    with duckdb.connect(str(path), read_only=True) as file:
        file.execute("SET TimeZone = 'UTC'")
        columns = file.execute(
            "SELECT schema_name || '.' || table_name, column_name, data_type, comment FROM duckdb_columns() "
            "WHERE NOT internal ORDER BY schema_name, table_name, column_index"
        ).fetchall()
        about = file.execute(
            "SELECT schema_name || '.' || table_name, comment FROM duckdb_tables() UNION ALL "
            "SELECT schema_name || '.' || view_name, comment FROM duckdb_views() WHERE NOT internal"
        ).fetchall()
        found: dict[str, Any] = {"columns": columns, "comments": sorted(about)}
        for name, _ in about:
            schema, _, table = name.partition(".")
            rows = file.execute(f'SELECT * FROM "{schema}"."{table}"').fetchall()
            found[name] = sorted(map(repr, rows))
    return found


def in_full(org: Org, folder: Path, **options: Any) -> Path:
    """Publish a copy of the world from nothing, and return the file."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(org.data, folder / "data", symlinks=True)
    copy = Org(folder / "data")
    copy.clock.advance((org.clock.now() - copy.clock.now()).total_seconds())
    done = copy.publish(is_forced=True, **options)
    assert done.built == "full"
    return done.path


def check(org: Org, folder: Path, **options: Any) -> None:
    """Publish the world incrementally and from nothing, and compare the files."""
    expected = contents(in_full(org, folder, **options))
    done = org.publish(**options)
    assert done.built == "incremental", done.why
    made = contents(done.path)
    assert made.keys() == expected.keys()
    for name, rows in expected.items():
        assert made[name] == rows, name


def changed(org: Org, rng: random.Random, turn: int) -> None:
    """Change records of a few tables: cells, deletions, restores, new records and merges."""
    for table in rng.sample(sorted(WORLD), rng.choice((1, 1, 2, 3))):
        lines = []
        for number in {
            rng.choice([*NUMBERS[table], f"9{turn}"]) for _ in range(rng.choice((1, 2)))
        }:
            cells = dict(cell.split("=", 1) for cell in rng.choice(CELLS[table]))
            cells["archived"] = str(rng.random() < 0.25).lower()
            if rng.random() < 0.2:
                cells["merged"] = rng.choice(NUMBERS[table])
            cells["updatedAt"] = f"2026-02-{turn + 1:02}T00:00:00Z"
            lines.append(" ".join([number, *(f"{name}={cell}" for name, cell in cells.items())]))
        options = OPTIONS.get(table, ())
        if table == "deals" and rng.random() < 0.3:
            options = (("odd", f"Odd {turn}"),)
        land(org, table, "\n".join(lines), options=options)
        org.normalize(table)


@pytest.fixture
def world(related: Org, tmp_path: Path) -> Org:
    """A copy of the world, published."""
    shutil.copytree(related.data, tmp_path / "data", symlinks=True)
    org = Org(tmp_path / "data")
    org.clock.advance((related.clock.now() - org.clock.now()).total_seconds())
    org.maps, org.objects = (
        related.maps,
        {name: set(objects) for name, objects in related.objects.items()},
    )
    return org


@pytest.mark.parametrize("seed", range(3))
def test_after_any_changes_the_file_is_that_of_a_full_build(
    world: Org, tmp_path: Path, seed: int
) -> None:
    """Records, deletions, merges, stages, rates, pick lists: tables, views and ops are those of a full build."""
    rng = random.Random(seed)
    for turn in range(3):
        changed(world, rng, turn)
        check(world, tmp_path / "full")
