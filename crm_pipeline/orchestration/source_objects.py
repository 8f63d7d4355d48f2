"""The objects in the CRMs as external assets: where the graph begins. Dagster does not make them."""

import dagster as dg

from crm_pipeline.connectors.vendor_facts import vendor_facts
from crm_pipeline.orchestration.labels import SOURCE, group_of, tags_of_connection
from crm_pipeline.orchestration.names import Names
from crm_pipeline.settings import Connection


def source_objects(connection: Connection, names: Names) -> list[dg.AssetSpec]:
    """Return the objects of a connection."""
    return [_spec(connection, obj.name, names) for obj in connection.objects]


def _spec(connection: Connection, obj: str, names: Names) -> dg.AssetSpec:
    key = names.source(connection.name, obj)
    vendor = vendor_facts()[connection.vendor]
    page = vendor.document_of(obj)
    return dg.AssetSpec(
        key,
        description=f"`{obj}` in the {vendor.title or connection.vendor} account of {connection.name}: what people and other programs "
        "change there.",
        group_name=group_of(key),
        kinds={connection.vendor},
        owners=connection.owners,
        tags=tags_of_connection(connection, SOURCE),
        metadata={"described_by_the_vendor": dg.MetadataValue.url(page)} if page else {},
    )
