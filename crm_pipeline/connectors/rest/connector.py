"""A source's file as a connector."""

from crm_pipeline.connectors.base import (
    Abilities,
    ApiVersion,
    ConnectorContext,
    LoginKind,
    RecordKeys,
    VendorLimits,
)
from crm_pipeline.connectors.rest.account import SourceAccount, snapshots
from crm_pipeline.connectors.rest.auth import has_session
from crm_pipeline.connectors.rest.responses import SourceKeys
from crm_pipeline.connectors.rest.source import FieldDef, Resource, Source
from crm_pipeline.kernel.errors import ConfigError
from crm_pipeline.model.mapping import FieldMap, ObjectMap
from crm_pipeline.model.tables import custom_table_name
from crm_pipeline.settings import Connection
from crm_pipeline.settings.connection import SOURCE

VERSION = "1"


class SourceConnector:
    """Implements `connectors.base.Connector` for one source."""

    callback_url = "http://localhost:8401/"
    has_one_address = True
    logins: tuple[LoginKind, ...] = (
        LoginKind(SOURCE, "as the source's file says, with the secrets that you name"),
    )

    def __init__(self, source: Source) -> None:
        self.source = source
        self.secrets = source.secrets
        self.vendor = source.name
        self.address_example = source.base_url
        self.keys: RecordKeys = SourceKeys(source.resources)
        self.snapshot_objects = snapshots(source)
        self.default_objects = tuple(source.resources)
        self.mapping = tuple(
            _object_map(name, one, one.table or custom_table_name(name, source.resources))
            for name, one in source.resources.items()
        )
        ceilings = {one.name: one.calls for one in source.limits}
        self.limits = VendorLimits(VERSION, (ApiVersion(VERSION, ""),), ceilings)
        says = any(one.deleted or one.deleted_list for one in source.resources.values())
        self.abilities = Abilities(
            bulk_read=False,
            counts=False,
            deleted_flag=says,
            keeps_locator_over_login=has_session(source.auth) is None,
            unseen_deletions=_unseen(source),
        )

    def vet(self, connection: Connection) -> None:
        """Refuse a connection that does not name a variable for each secret.

        Raises:
            ConfigError: one is missing, or too many.
        """
        where = f"connection '{connection.name}'"
        if connection.auth.kind != SOURCE:
            raise ConfigError(
                f"{where} is of kind {connection.auth.kind}, and {self.vendor} is a source.",
                cure=f"Write 'auth: {{kind: {SOURCE}, secrets: {{...}}}}'.",
            )
        wanted, named = set(self.source.secrets), set(connection.auth.variables)
        if missing := sorted(wanted - named):
            raise ConfigError(
                f"{where} names no environment variable for {', '.join(missing)}, which sources/{self.vendor}.yaml uses.",
                cure=f"Add '{missing[0]}: NAME_OF_THE_VARIABLE' under auth: secrets.",
            )
        if extra := sorted(named - wanted):
            raise ConfigError(
                f"{where} names {', '.join(extra)}, which sources/{self.vendor}.yaml does not use.",
                cure=f"Remove it; the file uses {', '.join(sorted(wanted)) or 'no secret'}.",
            )

    def open(self, connection: Connection, context: ConnectorContext) -> SourceAccount:
        """Open an account without touching the network."""
        self.vet(connection)
        return SourceAccount(connection, context, self.source, self.limits)


def _object_map(name: str, resource: Resource, table: str) -> ObjectMap:
    given = dict(resource.fields)
    given.setdefault("source_id", FieldDef.model_validate({"from": resource.primary_key}))
    if resource.incremental is not None:
        given.setdefault(
            "modified_at", FieldDef.model_validate({"from": resource.incremental.field})
        )
    return ObjectMap(
        name, table, tuple(_field_map(column, entry) for column, entry in given.items())
    )


def _field_map(column: str, entry: FieldDef) -> FieldMap:
    references = (("", entry.refers_to),) if entry.refers_to else ()
    return FieldMap(entry.source, column, references, values=tuple(entry.values.items()))


def _unseen(source: Source) -> str:
    silent = [
        one.label or name
        for name, one in source.resources.items()
        if one.incremental is not None and one.deleted is None and one.deleted_list is None
    ]
    if not silent:
        return ""
    return f"Deleted records of {', '.join(silent)}, until an audit compares the ids."
