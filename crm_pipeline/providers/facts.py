"""What the providers' `plans.yaml` files allow in connections.yaml, read without importing a provider's code.

Settings are loaded by every command, so this module imports nothing that takes long.
"""

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import crm_pipeline.providers
from crm_pipeline.settings.providers import ProviderFacts

_FILE = "plans.yaml"


class ProviderFolders(Mapping[str, ProviderFacts]):
    """The facts of each type of provider: every folder with a `plans.yaml` is one.

    Args:
        roots: the folders that hold the providers' folders.
    """

    def __init__(self, roots: list[Path]) -> None:
        paths = (path for root in roots for path in root.glob(f"*/{_FILE}"))
        self._paths = {path.parent.name: path for path in sorted(paths)}
        self._facts: dict[str, ProviderFacts] = {}

    def __getitem__(self, kind: str) -> ProviderFacts:
        if kind not in self._facts:
            self._facts[kind] = ProviderFacts.parse(self._paths[kind].read_text(encoding="utf-8"))
        return self._facts[kind]

    def __contains__(self, kind: object) -> bool:
        return kind in self._paths

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._paths))

    def __len__(self) -> int:
        return len(self._paths)


@cache
def provider_facts() -> Mapping[str, ProviderFacts]:
    """Return the facts of the types that have a folder beside this module."""
    return ProviderFolders([Path(folder) for folder in crm_pipeline.providers.__path__])
