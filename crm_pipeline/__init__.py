"""CRM data pipeline on Dagster: extract losslessly, prove completeness, publish one DuckDB file."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from crm_pipeline.client import Client, connect

__version__ = "0.2.0"
__all__ = ["Client", "__version__", "connect"]


def __getattr__(name: str) -> Any:
    # On demand: the command line and Dagster import this package without needing any of it.
    if name in {"Client", "connect"}:
        from crm_pipeline import client

        return getattr(client, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
