"""Data files keep to the floors as imports do: a path or a resource is no way around `test_floors.py`."""

import ast
from collections.abc import Iterable
from pathlib import PurePosixPath

import pytest

from crm_pipeline_tests.data_files import data_files, references
from crm_pipeline_tests.test_floors import PACKAGE, ROOT, Import, broken_rules, modules


def broken_by_data(name: str, tree: ast.Module, files: Iterable[str]) -> list[str]:
    """Return the lines that name a data file whose folder the module could not import from."""
    path = PurePosixPath(*name.split("."))
    path = path / "__init__.py" if getattr(tree, "is_package", False) else path.with_suffix(".py")
    broken = {}
    for reference in references(PACKAGE, path, tree, files):
        parts = [PurePosixPath(file).with_suffix("").parts for file in reference.paths]
        targets = [
            Import(name, ".".join([PACKAGE, *steps]), reference.line, is_in_function=False)
            for steps in parts
        ]
        rules = [list(broken_rules(target)) for target in targets]
        if all(rules):
            text = f"{name}:{reference.line} opens {reference.paths[0]}"
            broken[reference.line] = f"{text}: {rules[0][0]}"
    return list(broken.values())


def test_data_files_keep_to_the_floors() -> None:
    """No module names or opens a data file of a higher floor or of a sibling: imports are not the only way up."""
    files = data_files(ROOT)
    assert "connectors/zoho/limits.yaml" in files
    for name, tree in modules().items():
        assert broken_by_data(name, tree, files) == []


FILES = ("connectors/hubspot/limits.yaml", "connectors/zoho/limits.yaml", "store/postgres/0001.sql")
_HERE = "from pathlib import Path\nhere = Path(__file__).resolve().parent\n"
OPENED = {
    "upward by path": ("settings.bad", _HERE + "p = here.parent / 'connectors'"),
    "upward by parents": ("wire.bad", _HERE + "p = Path(__file__).parents[1] / 'connectors' / v"),
    "upward by os.path": (
        "kernel.bad",
        "from os.path import dirname, join\nf = join(dirname(dirname(__file__)), 'model', 'x.csv')",
    ),
    "upward from the checkout": ("model.bad", _HERE + "p = here.parents[1] / 'crm_pipeline/wire'"),
    "upward from the package": (
        "store.bad",
        "import crm_pipeline, pathlib\np = pathlib.Path(crm_pipeline.__file__).with_name('stages')",
    ),
    "upward by name": ("wire.bad", "def f(folder):\n    return folder.glob('*/limits.yaml')"),
    "upward by a name with a gap": ("model.bad", "def f(v, n):\n    open(f'{v}/postgres/{n}.sql')"),
    "upward as a resource": (
        "settings.bad",
        "from importlib import resources\nt = resources.files('crm_pipeline.connectors')",
    ),
    "a vendor's resource": (
        "connectors.hubspot.api",
        "from importlib.resources import files\nt = files('crm_pipeline.connectors.zoho') / 'x.sql'",
    ),
    "a vendor's data": (
        "connectors.hubspot.api",
        "import pkgutil\nt = pkgutil.get_data('crm_pipeline.connectors.zoho', 'limits.yaml')",
    ),
    "a vendor's path": ("connectors.hubspot.api", _HERE + "p = here.parent.joinpath('zoho')"),
    "a vendor's name": ("connectors.hubspot.api", "p = base / 'zoho/limits.yaml'"),
}
MAY_BE_OPENED = {
    "own": ("connectors.hubspot.api", _HERE + "p = here / 'limits.yaml'"),
    "own as a resource": (
        "connectors.hubspot.api",
        "from importlib.resources import files\nt = files(__package__).joinpath('limits.yaml')",
    ),
    "shared code reads each vendor's": ("connectors.base", "t = files(p).joinpath('limits.yaml')"),
    "lower floor": ("cli.good", _HERE + "p = here.parent / 'connectors' / 'zoho' / 'limits.yaml'"),
    "a file of the user's": (
        "settings.good",
        _HERE + "p = here.parent.parent / 'connections.yaml'",
    ),
    "a docstring": ("settings.good", "'limits.yaml'\ndef f():\n    'limits.yaml'"),
}


@pytest.mark.parametrize("case", OPENED)
def test_a_planted_data_file_is_found(case: str) -> None:
    """The checker sees data by path, by name and as a resource, on exactly one line."""
    name, code = OPENED[case]
    assert len(broken_by_data(name, ast.parse(code), FILES)) == 1


@pytest.mark.parametrize("case", MAY_BE_OPENED)
def test_data_in_reach_is_not_reported(case: str) -> None:
    """A module's own data, that of lower floors and the user's files may be opened."""
    name, code = MAY_BE_OPENED[case]
    assert broken_by_data(name, ast.parse(code), FILES) == []
