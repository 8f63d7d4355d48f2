"""Two hundred publishes under readers that never stop: no error, and nothing torn.

`python -m benchmarks.readers DATA` works on a copy of a filled data folder. Every round marks some rows of
two tables of the first connection with its number and publishes, by bringing a copy of the last file up to date; three
processes open `crm.duckdb` in a loop and compare the marks of both tables, which differ only if a reader saw half of a
publish.
"""

import multiprocessing
import shutil
import sys
import tempfile
import time
from multiprocessing.synchronize import Event
from pathlib import Path

import duckdb

MARKED = {"contacts": "first_name", "companies": "name"}
LOOK = """
SELECT min(m), max(m), count(DISTINCT t) FROM (
    SELECT first_name AS m, 'contacts' AS t FROM crm.contacts WHERE m LIKE 'round %'
    UNION ALL SELECT name AS m, 'companies' FROM crm.companies WHERE m LIKE 'round %')
"""
SHARE = 50


def main(source: Path, rounds: int = 200, readers: int = 3) -> str:
    from crm_pipeline.store.landing import Landing
    from crm_pipeline.store.tables import Tables

    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        shutil.copytree(source, data, symlinks=True, ignore=shutil.ignore_patterns("postgres"))
        tables, landing = Tables(data), Landing(data)
        _publish(tables, landing, data, 0)
        finished, answers = multiprocessing.Event(), multiprocessing.Queue()
        arguments = (data / "crm.duckdb", finished, answers)
        processes = [multiprocessing.Process(target=_read, args=arguments) for _ in range(readers)]
        for process in processes:
            process.start()
        started_s, sizes = time.perf_counter(), [_megabytes(data)]
        for number in range(1, rounds + 1):
            _publish(tables, landing, data, number)
            sizes.append(_megabytes(data))
        seconds = time.perf_counter() - started_s
        finished.set()
        results = [answers.get(timeout=30) for _ in processes]
        for process in processes:
            process.join()
    reads, torn, seen = (
        sum(result[key] for result in results) for key in ("reads", "torn", "seen")
    )
    errors = [error for result in results for error in result["errors"]]
    return (
        f"{rounds} publishes in {seconds:.0f} s, {reads} reads by {readers} processes that saw "
        f"{seen} different states: {len(errors)} errors, {torn} torn reads {errors[:3] or ''}; "
        f"the file: {sizes[0]:.1f} MB at first, {max(sizes):.1f} at most, {sizes[-1]:.1f} at last"
    )


def _megabytes(data: Path) -> float:
    return (data / "crm.duckdb").stat().st_size / 2**20


def _publish(tables, landing, data: Path, number: int) -> None:
    from crm_pipeline.stages.published import publish
    from crm_pipeline.store.tables.engine import Engine
    from crm_pipeline.store.tables.replacement import write_replaced

    for table, column in MARKED.items():
        name = min(known for known in tables.names("normalized/") if known.endswith(f"/{table}"))
        current = tables.version(name)
        [key] = current.key
        with Engine(data / "tmp") as engine, tables.stage(name, current.key) as staged:
            marked = engine.table(
                "marked",
                f"SELECT * REPLACE ('round {number:04d}' AS {column}) FROM {tables.relation(current)} "
                f"WHERE NOT is_deleted ORDER BY {key} LIMIT {max(1, current.rows // SHARE)}",
            )
            write_replaced(engine, staged, current, f"(SELECT {key} FROM {marked})", marked)
            staged.commit(current, current.rows, current.meta)
    with Engine(data / "tmp") as engine:
        done = publish(landing, tables, engine, is_forced=not number)
    assert done.built == ("incremental" if number else "full"), done.why


def _read(path: Path, finished: Event, answers) -> None:
    reads = torn = 0
    seen, errors = set(), []
    while not finished.is_set():
        try:
            with duckdb.connect(str(path), read_only=True) as connection:
                [(low, high, count)] = connection.execute(LOOK).fetchall()
            reads += 1
            torn += low != high or count != 2
            seen.add(low)
        except Exception as error:  # noqa: BLE001 - whatever a reader meets is the result
            errors.append(repr(error)[:200])
    answers.put({"reads": reads, "torn": torn, "seen": len(seen), "errors": errors})


if __name__ == "__main__":
    multiprocessing.set_start_method("spawn")
    print(main(Path(sys.argv[1]), *map(int, sys.argv[2:3])))
