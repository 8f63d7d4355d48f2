"""A hundred publishes under readers that never stop: no error, and nothing torn.

`python -m benchmarks.readers DATA` works on a copy of a filled data folder. Every round marks all rows of
two tables with its number and publishes; three processes open `crm.duckdb` in a loop and compare the
marks of both tables, which differ only if a reader saw half of a publish.
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
    SELECT first_name AS m, 'contacts' AS t FROM crm.contacts
    UNION ALL SELECT name, 'companies' FROM crm.companies)
"""


def main(source: Path, rounds: int = 100, readers: int = 3) -> str:
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
        started_s = time.perf_counter()
        for number in range(1, rounds + 1):
            _publish(tables, landing, data, number)
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
        f"{seen} different states: {len(errors)} errors, {torn} torn reads {errors[:3] or ''}"
    )


def _publish(tables, landing, data: Path, number: int) -> None:
    from crm_pipeline.stages.published import publish
    from crm_pipeline.store.tables.engine import Engine

    for table, column in MARKED.items():
        [name] = [known for known in tables.names("normalized/") if known.endswith(f"/{table}")]
        current = tables.version(name)
        with tables.stage(name, current.key) as staged:
            source = tables.relation(current)
            duckdb.sql(
                f"COPY (SELECT * REPLACE ('round {number:04d}' AS {column}) FROM {source}) "
                f"TO '{staged.path()}' (FORMAT parquet)"
            )
            staged.commit(current, current.rows, current.meta)
    with Engine(data / "tmp") as engine:
        assert publish(landing, tables, engine).changed


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
    print(main(Path(sys.argv[1])))
