import random
from pathlib import Path

import pytest

from crm_pipeline_tests.drill.rehearsal import Rehearsal
from crm_pipeline_tests.drill.syscalls import EFFECTS, Injection, unusable
from crm_pipeline_tests.drill.worker import STAGES

_UNUSABLE = unusable()

pytestmark = pytest.mark.skipif(bool(_UNUSABLE), reason=_UNUSABLE or "usable")


@pytest.mark.parametrize("stage", STAGES)
def test_a_call_that_fails_or_is_the_last_loses_nothing(
    rehearsal: Rehearsal, tmp_path: Path, stage: str
) -> None:
    """Whichever call on a project's files fails, or is the last: all is readable, the next run ends well."""
    calls = rehearsal.calls(stage, tmp_path)
    assert {"fsync", "rename"} <= set(calls)
    chosen = random.Random(stage)
    met = 0
    for effect in EFFECTS:
        call = chosen.choice(sorted(calls))
        folder = tmp_path / effect
        folder.mkdir()
        met += rehearsal.inject(stage, Injection(call, chosen.choice(calls[call]), effect), folder)
    assert met > 0
