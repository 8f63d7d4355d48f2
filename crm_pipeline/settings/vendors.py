"""Which vendors there are: the folders of crm_pipeline/connectors, listed but not imported."""

from pathlib import Path

_CONNECTORS = Path(__file__).resolve().parent.parent / "connectors"


def known_vendors() -> tuple[str, ...]:
    """Return the names that `vendor:` may have."""
    return tuple(sorted(entry.parent.name for entry in _CONNECTORS.glob("*/__init__.py")))
