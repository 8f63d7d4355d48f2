"""What may be imported is listed, and is there."""

import importlib
import pkgutil

import pytest

import crm_pipeline
import crm_sandbox
from crm_pipeline_tests.docs.made import reference

PUBLIC = {
    "crm_pipeline": {
        "Client",
        "CrmResource",
        "Names",
        "Workspace",
        "__version__",
        "build_defs",
        "connect",
    },
    "crm_pipeline.client": {"Client", "connect"},
    "crm_pipeline.connectors.base": {"ObjectInfo", "Usage"},
    "crm_pipeline.model.schema": {"Schema", "Field"},
    "crm_pipeline.contracts": {"implies", "not_before"},
    "crm_pipeline.configuration": {"load_settings"},
    "crm_pipeline.store.tables.published": {"open_published"},
    "crm_sandbox": {"SandboxServer", "VendorSandbox", "describe_access"},
}
"""Who adds a name here documents it; who takes one away follows *Versions and deprecations* of CONTRIBUTING.md."""


def test_public_names_are_those_of_the_reference() -> None:
    """The page of the Python API lists exactly these names, and each can be imported."""
    listed = {module: set(reference().api_public(module)) for module in reference().FACES}
    assert listed == PUBLIC
    for module, names in PUBLIC.items():
        assert [name for name in names if not hasattr(importlib.import_module(module), name)] == []


def test_every_exported_name_exists() -> None:
    """No `__all__` of either package names something that is not there."""
    wrong = []
    for package in (crm_pipeline, crm_sandbox):
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if found.ispkg:
                module = importlib.import_module(found.name)
                wrong += [
                    f"{found.name}.{name}"
                    for name in getattr(module, "__all__", ())
                    if not hasattr(module, name)
                ]
    assert wrong == []


def test_a_name_that_is_not_exported() -> None:
    """The package names what it does not have."""
    with pytest.raises(AttributeError, match="conect"):
        _ = crm_pipeline.conect  # type: ignore[attr-defined]
