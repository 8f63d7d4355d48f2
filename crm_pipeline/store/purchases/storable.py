"""What PostgreSQL can hold of names and of answers of providers."""

from collections.abc import Mapping
from typing import Any


def storable(value: Any) -> Any:
    """Return a value without what PostgreSQL holds in no text: NUL, and halves of surrogate pairs."""
    if isinstance(value, str):
        return value.replace("\0", "").encode(errors="ignore").decode()
    if isinstance(value, Mapping):
        return {storable(name): storable(each) for name, each in value.items()}
    return [storable(each) for each in value] if isinstance(value, list | tuple) else value
