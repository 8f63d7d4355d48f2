"""What the process of a run loads where there are many connections: processor time and memory.

`python -m benchmarks.many_connections [--connections 20] [--rounds 3]`: medians of fresh processes that load the
definitions as a run of one connection does, once with everything and once with what the run needs.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

SHIPPED = Path(__file__).resolve().parent.parent / "connections.yaml"
LOAD = """
import json, resource, sys, time
from crm_pipeline.orchestration.build import build_defs
imported = time.process_time()
job, narrow = sys.argv[1:]
defs = build_defs(job=job if narrow == "needed" else None)
made = defs.get_repository_def().get_job(job)
memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps([imported, time.process_time() - imported, memory]))
"""


def project(folder: Path, connections: int) -> str:
    """Write a project with the shipped connections, repeated; return the name of the first one."""
    config = yaml.safe_load(SHIPPED.read_text(encoding="utf-8"))
    shipped = list(config["connections"].items())
    copies = {
        f"{shipped[place % len(shipped)][0]}_{place}": shipped[place % len(shipped)][1]
        for place in range(connections)
    }
    config["connections"] = copies
    (folder / "connections.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    return next(iter(copies))


def measured(folder: Path, job: str, what: str) -> list[float]:
    """Return seconds of imports, seconds of definitions, and megabytes of one fresh process."""
    done = subprocess.run(
        [sys.executable, "-c", LOAD, job, what],
        env={**os.environ, "CRM_HOME": str(folder), "CRM_DATA": str(folder / "data")},
        capture_output=True,
        text=True,
        check=True,
    )
    numbers: list[float] = json.loads(done.stdout)
    return numbers


def main() -> None:
    """Print a row for each way of loading."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--connections", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        first = project(Path(folder), options.connections)
        for job in (f"{first}_refresh", "publish"):
            for what in ("everything", "needed"):
                rounds = [measured(Path(folder), job, what) for _ in range(options.rounds)]
                imports, defs, memory = map(statistics.median, zip(*rounds, strict=True))
                sys.stdout.write(
                    f"{job}, {what}: imports {imports:.2f}, definitions {defs:.2f} CPU s, {memory:.0f} MB\n"
                )


if __name__ == "__main__":
    main()
