"""The process of Dagster's web interface, behind the check of host names; started by `stack.py`.

`dagster-webserver` itself answers to any name. Its application is the same, and so are its defaults.
"""

import argparse
import os

import dagster as dg
import uvicorn
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import WorkspaceFileTarget
from dagster._utils.interrupts import setup_interrupt_handlers
from dagster._utils.log import configure_loggers
from dagster_webserver.app import create_app_from_workspace_process_context
from dagster_webserver.version import __version__

from crm_pipeline.supervisor.hosts import AllowedHosts, HostCheck

_STATEMENT_TIMEOUT_MS = 15_000
_RECYCLE_S = 3_600
_OVERFLOW = 20
_POLL_MS = 2_000


def serve(host: str, port: int, workspace: str) -> None:
    """Serve the web interface until this process gets a signal to end."""
    allowed = AllowedHosts.configured(host, os.environ)
    configure_loggers()
    setup_interrupt_handlers()
    with dg.DagsterInstance.get() as instance:
        instance.optimize_for_webserver(_STATEMENT_TIMEOUT_MS, _RECYCLE_S, _OVERFLOW)
        with WorkspaceProcessContext(
            instance, WorkspaceFileTarget([workspace]), version=__version__
        ) as context:
            application = create_app_from_workspace_process_context(
                context, live_data_poll_rate=_POLL_MS
            )
            uvicorn.run(
                HostCheck(application, allowed),
                host=host,
                port=port,
                log_level="warning",
            )


def main() -> None:
    """Read the command line of this process."""
    parser = argparse.ArgumentParser(description=serve.__doc__)
    parser.add_argument("--host", required=True)
    parser.add_argument("--port", required=True, type=int)
    parser.add_argument("--workspace", required=True)
    serve(**vars(parser.parse_args()))


if __name__ == "__main__":
    main()
