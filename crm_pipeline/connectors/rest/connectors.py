"""The connectors of sources, made once for each state of a file."""

from functools import lru_cache
from pathlib import Path

from crm_pipeline.connectors.rest.connector import SourceConnector
from crm_pipeline.connectors.rest.source import Source
from crm_pipeline.connectors.rest.source_file import current


def connector_of(path: Path) -> SourceConnector:
    """Return the connector of a source's file.

    Raises:
        ConfigError: the file is wrong.
    """
    return _made(_Same(current(path)))


class _Same:
    """A source by its identity: `current` returns the same one while the file stays as it is."""

    def __init__(self, source: Source) -> None:
        self.source = source

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self.source is other.source

    def __hash__(self) -> int:
        return id(self.source)


@lru_cache(maxsize=64)
def _made(same: _Same) -> SourceConnector:
    return SourceConnector(same.source)
