"""What drift notices, and what it does not: `python -m benchmarks.drift`; a part of `make campaign`.

The seeded changes are those of the tests, each by itself; then refreshes in which people edit records as usual, which
must raise no alarm; then what comparing values costs beside a whole build.
"""

import random
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from benchmarks.measuring import machine, table
from crm_pipeline.kernel.errors import ContractError
from crm_pipeline_tests.model.seeded_descriptions import DESCRIPTIONS, facts
from crm_pipeline_tests.stages.conftest import Org
from crm_pipeline_tests.stages.normalized.seeded_values import (
    FIELDS,
    SEEDED,
    deal,
    edited,
    noticed,
    read_again,
)

UNCHANGED = 200


def report(refreshes: int = UNCHANGED) -> str:
    """Return how many seeded changes are caught before publishing, and how many alarms ordinary edits raise."""
    rows = [("of descriptions", *_of_descriptions()), ("of values", *_of_values())]
    alarms = sum(_alarms(seed, 20) for seed in range(refreshes // 20))
    head = f"{refreshes} refreshes with ordinary edits: {alarms} alarms; {machine()}"
    return f"{table(('changes', 'seeded', 'caught', 'missed'), rows)}\n\n{head}"


def _of_descriptions() -> tuple[str, str, str]:
    missed = [
        name
        for name, (before, after, expected) in DESCRIPTIONS.items()
        if facts(before, after) != [expected]
    ]
    return _counted(len(DESCRIPTIONS), missed)


def _of_values() -> tuple[str, str, str]:
    missed = []
    for name, (kind, field, change) in SEEDED.items():
        with _deals() as org:
            read_again(org, change)
            with suppress(ContractError):  # it is held back, which is one way of being caught
                org.normalize("deals")
            if noticed(org) != {(kind, field)}:
                missed.append(name)
    return _counted(len(SEEDED), missed)


def _alarms(seed: int, refreshes: int) -> int:
    chance = random.Random(seed)
    with _deals() as org:
        for _ in range(refreshes):
            numbers = range(chance.randrange(3), 300, chance.randrange(2, 9))
            read_again(org, edited(chance), numbers=numbers)
            org.normalize("deals")
        return len(noticed(org))


def _counted(seeded: int, missed: list[str]) -> tuple[str, str, str]:
    return (str(seeded), str(seeded - len(missed)), ", ".join(missed) or "none")


@contextmanager
def _deals() -> Iterator[Org]:
    """Yield a CRM with 300 deals in its table."""
    with tempfile.TemporaryDirectory(prefix="crm-") as folder:
        org = Org(Path(folder) / "data")
        org.schema = FIELDS
        org.land(FIELDS, [deal(number) for number in range(300)])
        org.normalize("deals")
        yield org


if __name__ == "__main__":
    print(report())
