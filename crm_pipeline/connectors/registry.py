"""The connectors by vendor: every folder beside this module with a file limits.yaml exports the name `connector`."""

import importlib
from functools import cache

import crm_pipeline.connectors
from crm_pipeline.connectors.base import Connector
from crm_pipeline.connectors.vendor_facts import vendor_facts
from crm_pipeline.kernel.errors import ConfigError, UnknownName


def vendors() -> tuple[str, ...]:
    """Return the names of all vendors, sorted."""
    return tuple(vendor_facts())


@cache
def connector(vendor: str) -> Connector:
    """Return the connector of a vendor.

    Raises:
        UnknownName: there is no such vendor; the text lists the vendors.
        ConfigError: the folder does not export a connector.
    """
    if vendor not in vendors():
        raise UnknownName("vendor", vendor, vendors())
    module = importlib.import_module(f"{crm_pipeline.connectors.__name__}.{vendor}")
    exported: Connector | None = getattr(module, "connector", None)
    if exported is None or exported.vendor != vendor:
        raise ConfigError(f"{module.__name__} does not export a connector for '{vendor}'.")
    return exported
