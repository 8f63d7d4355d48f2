"""The connectors by vendor: folders beside this module with a limits.yaml, and plugins; each exports `connector`."""

import importlib
from functools import cache
from typing import cast

import crm_pipeline.connectors
from crm_pipeline.connectors.base import Connector
from crm_pipeline.connectors.plugins import plugin, refuse_double
from crm_pipeline.connectors.vendor_facts import vendor_facts
from crm_pipeline.kernel.errors import ConfigError, UnknownName

_NAMES = tuple(sorted({*Connector.__annotations__, "open", "vet"}))


def vendors() -> tuple[str, ...]:
    """Return the names of all vendors, sorted."""
    return tuple(vendor_facts())


def connector(vendor: str) -> Connector:
    """Return the connector of a vendor, or of a source of the project.

    Raises:
        UnknownName: there is no such vendor; the text lists the vendors.
        ConfigError: the folder or plugin does not export a connector, or there are several; or a source's file is wrong.
    """
    if (path := vendor_facts().sources.get(vendor)) is not None:
        from crm_pipeline.connectors.rest.connectors import connector_of

        return connector_of(path)
    return coded(vendor)


@cache
def coded(vendor: str) -> Connector:
    """Return the connector of a vendor with code of its own; see `connector`."""
    if vendor not in vendors():
        raise UnknownName("vendor", vendor, vendors())
    if vendor_facts().has_folder(vendor):
        refuse_double(vendor)
        module = importlib.import_module(f"{crm_pipeline.connectors.__name__}.{vendor}")
        return _checked(vendor, getattr(module, "connector", None), module.__name__)
    brought = plugin(vendor)
    assert brought is not None
    return _checked(vendor, brought.load(), brought.origin)


def _checked(vendor: str, exported: object, origin: str) -> Connector:
    lacking = [name for name in _NAMES if not hasattr(exported, name)]
    if exported is None or len(lacking) == len(_NAMES):
        raise ConfigError(f"{origin} does not export a connector for '{vendor}'.")
    if lacking:
        raise ConfigError(
            f"the connector for '{vendor}' of {origin} lacks {', '.join(lacking)}, which this version needs.",
            cure="Install a version of it that is made for this version of crm-pipeline.",
        )
    checked = cast("Connector", exported)
    if checked.vendor != vendor:
        raise ConfigError(
            f"{origin} exports a connector for '{checked.vendor}' under the name '{vendor}'."
        )
    return checked
