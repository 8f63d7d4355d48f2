"""CRM data pipeline on Dagster: extract losslessly, prove completeness, publish one DuckDB file."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from crm_pipeline.client import Client, connect
    from crm_pipeline.orchestration.build import build_defs
    from crm_pipeline.orchestration.configured import CrmResource
    from crm_pipeline.orchestration.names import Names
    from crm_pipeline.orchestration.resources import Workspace

__version__ = "0.2.0"
__all__ = ["Client", "CrmResource", "Names", "Workspace", "__version__", "build_defs", "connect"]
_PLACES = {
    "Client": "crm_pipeline.client",
    "connect": "crm_pipeline.client",
    "build_defs": "crm_pipeline.orchestration.build",
    "CrmResource": "crm_pipeline.orchestration.configured",
    "Names": "crm_pipeline.orchestration.names",
    "Workspace": "crm_pipeline.orchestration.resources",
}


def __getattr__(name: str) -> Any:
    # On demand: the command line imports this package without needing any of it, and Dagster takes seconds to load.
    if name in _PLACES:
        return getattr(import_module(_PLACES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
