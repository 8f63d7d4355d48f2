import random
from pathlib import Path

import pytest

from crm_pipeline_tests.drill.rehearsal import Rehearsal
from crm_pipeline_tests.drill.syscalls import Injection, unusable
from crm_pipeline_tests.drill.worker import STAGES

_UNUSABLE = unusable()

pytestmark = pytest.mark.skipif(bool(_UNUSABLE), reason=_UNUSABLE or "usable")


@pytest.mark.parametrize(
    ("stage", "effect"), list(zip(STAGES, ("kill", "full", "broken"), strict=True))
)
def test_a_call_that_fails_or_is_the_last_loses_nothing(
    rehearsal: Rehearsal, tmp_path: Path, stage: str, effect: str
) -> None:
    """Whichever call on a project's files it is: all is readable, and the next run ends well."""
    calls = rehearsal.calls(stage, tmp_path)
    assert {"fsync", "rename", "write"} <= set(calls)
    chosen = random.Random(stage)
    call = chosen.choice(sorted(calls))
    # Threads share the work anew each time: of the last uses some may not be.
    use = chosen.choice(calls[call][: len(calls[call]) // 2 + 1])
    assert rehearsal.inject(stage, Injection(call, use, effect), tmp_path)
