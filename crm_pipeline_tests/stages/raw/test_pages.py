"""Effects of landing on its process."""

import subprocess
import sys

_LANDS = "from crm_pipeline.stages.raw.pages import _settle_memory; _settle_memory()"


def test_a_process_that_has_landed_ends_quietly() -> None:
    """DuckDB prints pages about each object that is left when the interpreter ends."""
    done = subprocess.run(
        [sys.executable, "-c", _LANDS], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
