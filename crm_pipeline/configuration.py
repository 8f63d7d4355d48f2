"""Loads connections.yaml: what `settings` reads, checked against the vendors in `connectors` and `providers`.

Everything above the connectors loads its settings here.
"""

from collections.abc import Mapping
from pathlib import Path

from crm_pipeline.connectors.vendor_facts import vendor_facts
from crm_pipeline.providers.facts import provider_facts
from crm_pipeline.settings import Settings, load
from crm_pipeline.settings.document import Document
from crm_pipeline.settings.schema import ConnectionModel


def load_settings(root: Path | None = None, environ: Mapping[str, str] | None = None) -> Settings:
    """Read connections.yaml and .env.

    Args:
        root: the folder of connections.yaml; by default CRM_HOME, else DAGSTER_HOME if it holds the
            file, else the nearest folder upward from here that does, else the package's checkout.
        environ: stands in for the environment of the process, which wins over .env.

    Raises:
        ConfigError: something in the two files is wrong; the text names file, line, key and cure.
    """
    vendor_facts().use_sources_of(load.project_folder(root, environ))
    return load.read_settings(vendor_facts(), root, environ, providers=provider_facts())


def parse_connections(document: Document) -> Mapping[str, ConnectionModel]:
    """Return the connections of a document.

    Raises:
        ConfigError: something in it is wrong.
    """
    vendor_facts().use_sources_of(document.path.parent)
    return load.parse_connections(document, vendor_facts(), provider_facts())
