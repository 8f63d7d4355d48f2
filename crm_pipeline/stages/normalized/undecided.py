"""Which of the rows that a build left out still wait for a decision: rows that a person has dropped hold nothing back."""

from collections import Counter
from collections.abc import Iterable, Mapping

from crm_pipeline.stages.normalized.inputs import ObjectInput
from crm_pipeline.store.landing import Landing
from crm_pipeline.store.landing.dropped import dropped_rows
from crm_pipeline.store.quarantine.builds import build_files, sets_of_build


def undecided(
    connection: str, inputs: Iterable[ObjectInput], landing: Landing, reasons: Mapping[str, int]
) -> Counter[str]:
    """Return the numbers of rows that a build left out by reason, without dropped ones; their files are written."""
    left = Counter(reasons)
    for obj, table in {(landed.object, landed.entry.table) for landed in inputs}:
        folder = landing.quarantine(connection, obj)
        for build in build_files(folder) if left else ():
            dropped = dropped_rows(folder, build.stage, table)
            if build.table != table or not dropped:
                continue
            for each in sets_of_build(connection, obj, build, dropped):
                left[each.reason] -= each.records if each.is_dropped else 0
    return +left
