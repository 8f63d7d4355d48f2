"""A process that sweeps the ids of an object, or its computed fields, and dies where `CRM_FAILPOINT` says.

`python -m crm_pipeline_tests.connectors.dying_sweep ORDER`, in JSON: root, environ, now, object, kind, span_records.
"""

import json
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from crm_pipeline.configuration import load_settings
from crm_pipeline.connectors import unstamped as values
from crm_pipeline.kernel.clock import FrozenClock
from crm_pipeline.settings import ObjectSettings
from crm_pipeline.stages.raw import opened, unstamped
from crm_pipeline.stages.raw.audit import audit_connection
from crm_pipeline.store.audits import Audits
from crm_pipeline.store.landing import Landing
from crm_pipeline.store.postgres.database import Database
from crm_pipeline.store.sweeps import Sweeps
from crm_pipeline.store.tables.engine import Engine


def carry_out(order: dict[str, Any]) -> None:
    """Carry out an order."""
    os.fsync = lambda _: None  # type: ignore[assignment]  # a killed process loses nothing that it wrote
    settings, clock = (
        load_settings(Path(order["root"]), order["environ"]),
        FrozenClock(order["now"]),
    )
    landing, obj = Landing(settings.data, clock), ObjectSettings(order["object"])
    values.SPAN_RECORDS = order["span_records"]

    def engine() -> Engine:
        return Engine(settings.data / "tmp", memory_limit="256MB", threads=1)

    with (
        Database(settings.environ["CRM_DATABASE_URL"]) as database,
        opened(settings, "demo", database, clock=clock) as account,
    ):
        if order["kind"] == "ids":
            audits = Audits(settings.data, clock)
            options: dict[str, Any] = {"objects": [obj], "is_deep": True}
            audit_connection(account, landing=landing, audits=audits, engine=engine, **options)
            return
        account.connection = replace(account.connection, objects=(obj,))
        unstamped.sweep(
            account,
            landing,
            Sweeps(settings.data),
            open_engine=engine,
            allowed=None,
            key_of=lambda _: None,
        )


if __name__ == "__main__":
    carry_out(json.loads(sys.argv[1]))
