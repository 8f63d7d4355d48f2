"""What the vendors' `limits.yaml` files allow in connections.yaml, read without importing a connector.

Settings are loaded by every command, also by those that talk to no vendor: so this module imports nothing
that takes long, and reads a vendor's file when a connection names the vendor.
"""

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import crm_pipeline.connectors
from crm_pipeline.settings.vendors import VendorFacts

_FILE = "limits.yaml"


class VendorFolders(Mapping[str, VendorFacts]):
    """The facts of each vendor by its name: every folder with a `limits.yaml` is a vendor.

    Args:
        roots: the folders that hold the vendors' folders.
    """

    def __init__(self, roots: list[Path]) -> None:
        paths = (path for root in roots for path in root.glob(f"*/{_FILE}"))
        self._paths = {path.parent.name: path for path in sorted(paths)}
        self._facts: dict[str, VendorFacts] = {}

    def __getitem__(self, vendor: str) -> VendorFacts:
        if vendor not in self._facts:
            text = self._paths[vendor].read_text(encoding="utf-8")
            self._facts[vendor] = VendorFacts.parse(text)
        return self._facts[vendor]

    def __contains__(self, vendor: object) -> bool:
        return vendor in self._paths

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._paths))

    def __len__(self) -> int:
        return len(self._paths)


@cache
def vendor_facts() -> Mapping[str, VendorFacts]:
    """Return the facts of the vendors that have a folder beside this module."""
    return VendorFolders([Path(folder) for folder in crm_pipeline.connectors.__path__])
