"""A process of `test_token_processes.py`: killed when the vendor has answered a refresh, before it is stored."""

import os
import signal
import sys
from pathlib import Path

from benchmarks.tokens import NAME
from crm_pipeline.configuration import load_settings
from crm_pipeline.stages.raw import opened
from crm_pipeline.store.postgres.database import Database
from crm_pipeline.store.tokens import TokenStore

home, database_url, refresh_token = sys.argv[1:]
environ = {
    "BENCH_ID": "sandbox-client-id",
    "BENCH_REFRESH_TOKEN": refresh_token,
    "CRM_DATABASE_URL": database_url,
}
TokenStore._write = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
with (
    Database(database_url) as database,
    opened(load_settings(Path(home), environ), NAME, database) as account,
):
    account.objects()
