"""The code behind an asset: links to it, and the version that Dagster compares.

Code references are beta in Dagster 1.13; their warning is silenced here and nowhere else, see decision 0006.
"""

import inspect
import sys
import warnings
from collections.abc import Callable, Mapping
from functools import cache
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Any

import dagster as dg

import crm_pipeline
from crm_pipeline.connectors.registry import connector
from crm_pipeline.kernel.identity import fingerprint
from crm_pipeline.model.mapping import ObjectMap
from crm_pipeline.model.stages import Stage
from crm_pipeline.model.tables import TABLES
from crm_pipeline.settings import Connection, ObjectSettings
from crm_pipeline.stages.enriched.build import CODE_VERSION as ENRICHED_CODE
from crm_pipeline.stages.normalized.build import CODE_VERSION as NORMALIZED_CODE
from crm_pipeline.stages.published.build import LAYOUT
from crm_pipeline.stages.verified.build import CODE_VERSION as VERIFIED_CODE

DISTRIBUTION = "crm-pipeline"
_PACKAGE = Path(crm_pipeline.__file__).parent
_STAGE_CODE = {"verified": VERIFIED_CODE, "enriched": ENRICHED_CODE}
Code = Callable[..., Any] | ModuleType


def links(*code: Code) -> Mapping[str, Any]:
    """Return metadata with links to functions and modules of this package; empty where none can be made.

    A checkout links to its files, which an editor opens. Installed from a wheel there is nothing to edit, and a
    path of the machine would only leak: links lead to the repository in the package's metadata, if it names one.
    """
    if not (_is_checkout() or _repository()):
        return {}
    with warnings.catch_warnings():
        # Code references are one of the two beta parts of Dagster that this package uses.
        warnings.simplefilter("ignore", dg.BetaWarning)
        references = [made for each in code if (made := _reference(each)) is not None]
        return {
            "dagster/code_references": dg.CodeReferencesMetadataValue(code_references=references)
        }


def documentation(page: str) -> Mapping[str, dg.MetadataValue]:
    """Return metadata with a link to a page of our documentation, such as `contracts`; empty where it is not public."""
    site = _urls().get("documentation", "").rstrip("/")
    if not site:
        return {}
    url = f"{site}/{page}.md" if "//github.com/" in site else f"{site}/{page}/"
    return {"documentation": dg.MetadataValue.url(url)}


def raw_version(connection: Connection, obj: ObjectSettings) -> str:
    """Return the version of the code that lands an object: the rules for its keys, and what is kept out."""
    keys = connector(connection.vendor).keys.version
    return fingerprint([connection.vendor, keys, obj.exclude, obj.hash])


def normalized_version(entries: tuple[ObjectMap, ...], table: str) -> str:
    """Return the version of the code that builds a normalized table: its code, mappings and columns.

    A version of the table is made by the same facts, completed by the fields that records have.
    """
    return fingerprint([NORMALIZED_CODE, [_mapping(each) for each in entries], _columns(table)])


def stage_version(stage: Stage, table: str) -> str:
    """Return the version of the code that builds a table of a stage across connections."""
    columns = next(repr(each.columns) for each in stage.tables if each.name == table)
    return fingerprint([_STAGE_CODE[stage.name], columns])


def published_version() -> str:
    """Return the version of the code that publishes."""
    return str(LAYOUT)


def _mapping(entry: ObjectMap) -> str:
    return repr(entry)


@cache
def _columns(table: str) -> str:
    return repr(TABLES[table]) if table in TABLES else ""


def _reference(code: Code) -> Any:
    """Return the link to some code; None where it is not of this repository, as connectors of others are."""
    path, line = _place(code)
    if not path.is_relative_to(_PACKAGE):
        return None
    relative = path.relative_to(_PACKAGE.parent).as_posix()
    label = relative if isinstance(code, ModuleType) else f"{relative} ({code.__name__})"
    if _is_checkout():
        return dg.LocalFileCodeReference(file_path=str(path), line_number=line, label=label)
    version = metadata.version(DISTRIBUTION)
    url = f"{_repository()}/blob/v{version}/{relative}#L{line}"
    return dg.UrlCodeReference(url=url, label=label)


def _place(code: Code) -> tuple[Path, int]:
    if isinstance(code, ModuleType):
        return Path(code.__file__ or ""), 1
    plain = inspect.unwrap(code)
    return Path(plain.__code__.co_filename), plain.__code__.co_firstlineno


def connector_module(vendor: str, name: str = "") -> list[ModuleType]:
    """Return the module of a vendor's connector, or one beside it; none where there is no such module."""
    package = type(connector(vendor)).__module__
    module = sys.modules.get(f"{package}.{name}" if name else package)
    return [] if module is None else [module]


@cache
def _is_checkout() -> bool:
    return (_PACKAGE.parent / "pyproject.toml").is_file()


@cache
def _repository() -> str:
    urls = _urls()
    return next(
        (urls[name] for name in ("repository", "source", "source code") if name in urls), ""
    ).rstrip("/")


@cache
def _urls() -> Mapping[str, str]:
    """Return the addresses of `[project.urls]`, by their labels in lower case."""
    try:
        lines = metadata.metadata(DISTRIBUTION).get_all("Project-URL") or []
    except metadata.PackageNotFoundError:
        return {}
    split = (line.split(",", 1) for line in lines)
    return {label.strip().lower(): url.strip() for label, url in split}
