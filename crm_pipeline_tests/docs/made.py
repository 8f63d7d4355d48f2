"""What `.ci/reference` knows about the code: verbs, keys, errors, pages."""

import importlib.util
import sys
from functools import cache
from types import ModuleType

from crm_pipeline_tests.docs.blocks import ROOT


@cache
def reference() -> ModuleType:
    """Return the package that makes the reference pages."""
    folder = ROOT / ".ci" / "reference"
    spec = importlib.util.spec_from_file_location(
        "reference", folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["reference"] = module
    spec.loader.exec_module(module)
    return module
