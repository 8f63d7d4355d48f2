"""What the process of a run has to load: the assets of its own connection, and what comes after them.

Dagster's code server starts a process for each run, which loads the definitions again. With twenty connections it
would make 600 assets, of which a run of one connection uses 60.
"""

import multiprocessing
from collections.abc import Collection, Iterable

from crm_pipeline.orchestration.names import PLAIN, Names


def job_of_this_process() -> str | None:
    """Return the job whose run this process was started for; None elsewhere, such as in the code server.

    The code server of Dagster 1.13 hands the job over as an argument of the process; a later version that does it
    otherwise makes this None, and then everything is loaded.
    """
    arguments: Iterable[object] = getattr(multiprocessing.current_process(), "_args", ())
    names = [name for each in arguments if (name := getattr(each, "job_name", None))]
    return str(names[0]) if len(names) == 1 else None


def needed(connections: Collection[str], job: str | None, names: Names = PLAIN) -> frozenset[str]:
    """Return the names of the connections whose own assets a run of a job needs; all where that is not known."""
    if job in {names.publish, names.enrich}:
        return frozenset()
    own = [
        name
        for name in connections
        if job
        in {
            names.backfill(name),
            names.refresh(name),
            names.nightly(name),
            names.audit(name),
            names.sweep(name),
        }
    ]
    return frozenset(own or connections)
