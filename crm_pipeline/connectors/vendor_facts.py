"""What the vendors' `limits.yaml` files allow in connections.yaml, read without importing a connector.

Settings are loaded by every command, also by those that talk to no vendor: so this module imports nothing
that takes long, and reads a vendor's file when a connection names the vendor. Other distributions are looked at
only for a vendor without a folder here, and where all vendors are listed.
"""

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import yaml

import crm_pipeline.connectors
from crm_pipeline.settings.vendors import VendorFacts

_FILE = "limits.yaml"
SOURCES = "sources"
"""The folder of a project with the files of its sources."""


class VendorFolders(Mapping[str, VendorFacts]):
    """The facts of each vendor by its name: every folder with a `limits.yaml` is a vendor, and every plugin.

    Args:
        roots: the folders that hold the vendors' folders.
    """

    def __init__(self, roots: list[Path]) -> None:
        paths = (path for root in roots for path in root.glob(f"*/{_FILE}"))
        self._paths = {path.parent.name: path for path in sorted(paths)}
        self._facts: dict[str, VendorFacts] = {}
        self._project: Path | None = None

    def use_sources_of(self, project: Path) -> None:
        """Take the sources of a project for vendors too: files `sources/<name>.yaml`."""
        self._project = project

    @property
    def sources(self) -> Mapping[str, Path]:
        """The files of the project's sources, by name; without those that have a vendor's name."""
        if self._project is None:
            return {}
        found = sorted((self._project / SOURCES).glob("*.yaml"))
        return {path.stem: path for path in found if path.stem not in self._paths}

    def __getitem__(self, vendor: str) -> VendorFacts:
        if (source := self.sources.get(vendor)) is not None:
            return _facts_of_source(source)
        if vendor not in self._facts:
            path = self._paths.get(vendor)
            text = path.read_text(encoding="utf-8") if path else None
            self._facts[vendor] = VendorFacts.parse(text) if text else _facts_of_plugin(vendor)
        return self._facts[vendor]

    def __contains__(self, vendor: object) -> bool:
        return vendor in self._paths or vendor in self.sources or vendor in self._names()

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._names()))

    def __len__(self) -> int:
        return len(self._names())

    def has_folder(self, vendor: str) -> bool:
        """Say whether a vendor has a folder, and is no plugin."""
        return vendor in self._paths

    def _names(self) -> set[str]:
        from crm_pipeline.connectors.plugins import plugins

        return {*self._paths, *self.sources, *plugins()}


def _facts_of_source(path: Path) -> VendorFacts:
    from crm_pipeline.connectors.rest.source_file import facts_of

    return facts_of(path)


def _facts_of_plugin(vendor: str) -> VendorFacts:
    from crm_pipeline.connectors.plugins import plugin

    if (other := plugin(vendor)) is None:
        raise KeyError(vendor)
    text = other.limits()
    try:
        return VendorFacts.parse(text)
    except (KeyError, TypeError, ValueError, yaml.YAMLError) as error:
        raise other.broken(error) from error


@cache
def vendor_facts() -> VendorFolders:
    """Return the facts of the vendors that have a folder beside this module, and of plugins."""
    return VendorFolders([Path(folder) for folder in crm_pipeline.connectors.__path__])
