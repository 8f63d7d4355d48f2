"""The objects in the CRMs as external assets: where the graph begins. Dagster does not make them."""

import dagster as dg

from crm_pipeline.connectors.vendor_facts import vendor_facts
from crm_pipeline.orchestration.labels import SOURCE, group_of, tags_of_connection
from crm_pipeline.settings import Connection


def source_key(connection: str, obj: str) -> dg.AssetKey:
    """Return the key of an object in its CRM."""
    return dg.AssetKey([connection, SOURCE, obj])


def source_objects(connection: Connection) -> list[dg.AssetSpec]:
    """Return the objects of a connection."""
    return [_spec(connection, obj.name) for obj in connection.objects]


def _spec(connection: Connection, obj: str) -> dg.AssetSpec:
    key = source_key(connection.name, obj)
    page = vendor_facts()[connection.vendor].document_of(obj)
    return dg.AssetSpec(
        key,
        description=f"`{obj}` in the {connection.vendor} account of {connection.name}: what people and other programs "
        "change there.",
        group_name=group_of(key),
        kinds={connection.vendor},
        owners=connection.owners,
        tags=tags_of_connection(connection, SOURCE),
        metadata={"described_by_the_vendor": dg.MetadataValue.url(page)} if page else {},
    )
