"""Vendors that other distributions bring: entry points of the group `crm_pipeline.connectors`.

An entry point's name is the vendor's, its value a package that exports `connector` and holds `limits.yaml`, as a
folder beside this module does. What is wrong with one concerns the connections of that vendor only.
"""

import importlib
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

from crm_pipeline.kernel.errors import ConfigError

GROUP = "crm_pipeline.connectors"
_FILE = "limits.yaml"


@dataclass(frozen=True)
class Plugin:
    """One vendor of one distribution."""

    entry: EntryPoint

    @property
    def origin(self) -> str:
        """The distribution, for texts."""
        found = self.entry.dist
        return f"{found.name} {found.version}" if found else f"the entry point {self.entry.value}"

    def limits(self) -> str:
        """Return the text of its limits.yaml; the package itself is not imported, packages around it are.

        Raises:
            ConfigError: there is no such file.
        """
        if not self.entry.pattern.match(self.entry.value):
            raise self._unusable(f"its entry point names no package: '{self.entry.value}'")
        try:
            spec = importlib.util.find_spec(self.entry.module)
        except (Exception, SystemExit) as error:
            raise self.broken(error) from error
        if spec is None:
            raise self._unusable(f"its package {self.entry.module} is not there")
        folders = spec.submodule_search_locations or ()
        for path in (Path(folder) / _FILE for folder in folders):
            if path.is_file():
                return path.read_text(encoding="utf-8")
        raise self._unusable(f"its package {self.entry.module} has no {_FILE}")

    def load(self) -> object:
        """Import the package and return the object that its entry point names, by default `connector`.

        Raises:
            ConfigError: that fails.
        """
        try:
            module = importlib.import_module(self.entry.module)
        except (Exception, SystemExit) as error:
            raise self.broken(error) from error
        name = self.entry.attr or "connector"
        if not hasattr(module, name):
            raise self._unusable(f"its package {self.entry.module} exports no '{name}'")
        return getattr(module, name)

    def broken(self, error: BaseException) -> ConfigError:
        """Return the error for one that cannot be loaded."""
        return self._unusable(f"it fails with {type(error).__name__}: {error}")

    def _unusable(self, reason: str) -> ConfigError:
        return ConfigError(
            f"the connector for '{self.entry.name}' of {self.origin} cannot be used: {reason}.",
            cure="Install another version of that distribution, or remove it and its connections.",
        )


def plugin(vendor: str) -> Plugin | None:
    """Return the plugin for a vendor; None if there is none.

    Raises:
        ConfigError: several distributions bring one.
    """
    candidates = plugins().get(vendor, ())
    if len(candidates) > 1:
        raise ConfigError(
            f"several distributions bring a connector for '{vendor}': "
            f"{', '.join(sorted(each.origin for each in candidates))}.",
            cure="Uninstall all but one.",
        )
    return candidates[0] if candidates else None


def refuse_double(vendor: str) -> None:
    """Make sure that no distribution brings a connector for a vendor of this package.

    Raises:
        ConfigError: one does.
    """
    for other in plugins().get(vendor, ()):
        raise ConfigError(
            f"crm-pipeline has a connector for '{vendor}', and {other.origin} brings one of that name.",
            cure=f"Uninstall that distribution, or give its entry point in {GROUP} another name.",
        )


@cache
def plugins() -> Mapping[str, tuple[Plugin, ...]]:
    """Return all plugins by their vendors' names."""
    found: dict[str, tuple[Plugin, ...]] = {}
    for entry in entry_points(group=GROUP):
        found[entry.name] = (*found.get(entry.name, ()), Plugin(entry))
    return found
