from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

import pytest

from crm_pipeline.kernel.errors import ConfigError
from crm_pipeline.model.stages import ENRICHED
from crm_pipeline.orchestration import enriched
from crm_pipeline.orchestration.build import build_defs
from crm_pipeline.orchestration.names import PLAIN
from crm_pipeline.orchestration.resources import Workspace
from crm_pipeline.settings import Settings
from crm_pipeline.settings.enrichment import Enrichment

KEYS = [PLAIN.stage(ENRICHED.name, table.name) for table in ENRICHED.tables]
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


class Wanted:
    """A build that found somebody to buy facts about, and nothing else."""

    wanted, changed = 1, False
    versions: ClassVar[Mapping[str, Any]] = {}

    def rows(self, _: str) -> int:
        return 0


def test_only_the_job_enrich_buys(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its config says so, also for runs that bring config of their own; publish and Materialize buy nothing."""
    asked: list[str] = []

    class Shop(Workspace):
        def buy(self, run: str, wanted: Any) -> Any:
            asked.append(run)
            raise ConfigError("nothing is for sale here.")

    monkeypatch.setattr(enriched, "_build", lambda *_: Wanted())
    chosen = replace(settings, enrichment=Enrichment(provider="prospeo"))
    defs = build_defs(chosen, {"crm": Shop(chosen)})
    for name in ("enrich", "publish", "__ASSET_JOB"):
        job = defs.get_repository_def().get_job(name)
        done = job.execute_in_process(
            asset_selection=KEYS,
            run_config=QUIET,
            raise_on_error=False,
        )
        assert (asked == [done.run_id]) is (name == "enrich"), name
        assert done.success is (name != "enrich")
        asked.clear()
