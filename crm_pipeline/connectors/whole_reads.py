"""Which objects are read whole at each refresh, and which by windows of their modification times.

This is the only place that decides it: accounts, costs, partitions and sensors all ask here. It follows from
`connections.yaml` and the connector alone, so that Dagster knows it without a call.
"""

from collections.abc import Collection

from crm_pipeline.kernel.errors import ConfigError
from crm_pipeline.settings import ObjectSettings


def is_read_whole(obj: ObjectSettings, snapshot_objects: Collection[str]) -> bool:
    """Return whether an object is read whole; `snapshot` in connections.yaml overrules the connector.

    Args:
        obj: the object as configured.
        snapshot_objects: the objects that the connector reads whole by default.
    """
    return obj.name in snapshot_objects if obj.snapshot is None else obj.snapshot


def window_field(
    connection: str, obj: ObjectSettings, snapshot_objects: Collection[str], field: str | None
) -> str | None:
    """Return the field that the windows of an object go by; None for an object that is read whole.

    Args:
        connection: its name.
        obj: the object as configured.
        snapshot_objects: the objects that the connector reads whole by default.
        field: the modification time that the vendor filters the object by; None where it has none.

    Raises:
        ConfigError: the object is to be read by windows and has no modification time.
    """
    if is_read_whole(obj, snapshot_objects):
        return None
    if field is None:
        cure = (
            f"Take 'snapshot: false' of {obj.name} out of connections.yaml."
            if obj.name in snapshot_objects
            else f"Write '{obj.name}: {{snapshot: true}}' in connections.yaml: it is then read whole at each refresh."
        )
        raise ConfigError(
            f"{connection}: {obj.name} cannot be read by windows: it has no modification time to filter by.",
            cure=cure,
        )
    return field
