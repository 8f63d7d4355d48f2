"""What connections.yaml may say about a vendor.

The facts come from outside (`connectors/vendor_facts.py`): settings do not know which vendors there are.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import yaml


@dataclass(frozen=True)
class VendorFacts:
    """What a connection of a vendor may choose, and where the vendor describes its objects.

    Attributes:
        routes: names for `route:`, besides `auto`.
        version_pattern: what an `api_version` looks like; `version_example` is one.
        ceilings: names for `ceilings:`, with the published figures.
        title: how people write its name; "" where the file does not say it.
        lookback_s: how late the vendor may commit or show a change, in seconds: the default of `lookback_s`.
        documents: addresses of the vendor's pages, each with the objects that it describes.
    """

    routes: tuple[str, ...]
    version_pattern: str
    version_example: str
    ceilings: Mapping[str, int]
    documents: Mapping[str, Sequence[str]] = field(default_factory=dict)
    title: str = ""
    lookback_s: int = 600

    def document_of(self, obj: str) -> str:
        """Return the address at which the vendor describes an object; "" where it is not known."""
        for address, objects in self.documents.items():
            if obj in objects:
                return address.replace("{object}", obj.lower())
        return ""

    @classmethod
    def parse(cls, text: str) -> "VendorFacts":
        """Return the facts that the text of a vendor's `limits.yaml` states."""
        limits = yaml.safe_load(text)
        return cls(
            routes=tuple(limits["routes"]),
            version_pattern=limits["version_pattern"],
            version_example=limits["api_version"],
            ceilings=limits["ceilings"],
            documents=limits.get("documents", {}),
            title=str(limits.get("title", "")),
            lookback_s=limits.get("lookback_s", cls.lookback_s),
        )
