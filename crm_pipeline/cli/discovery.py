"""The survey of an account, object by object, and its entry in connections.yaml."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crm_pipeline.cli.proposals import Proposal, proposals
from crm_pipeline.configuration import parse_connections
from crm_pipeline.connectors.base import Account, ObjectInfo
from crm_pipeline.connectors.registry import connector
from crm_pipeline.kernel.errors import NotPermitted, Rejected, Skippable
from crm_pipeline.settings import Connection, ObjectSettings, Settings
from crm_pipeline.settings.document import Document
from crm_pipeline.settings.editing import with_objects
from crm_pipeline.store import files

if TYPE_CHECKING:
    from crm_pipeline.model.schema import Schema


@dataclass(frozen=True)
class SurveyedObject:
    """One object of an account; without a schema it cannot be read, and `problem` says why.

    `is_whole_only` says that it has no modification time, so that it needs `snapshot: true`.
    """

    name: str
    label: str
    custom: bool
    configured: bool
    schema: "Schema | None" = None
    count: int | None = None
    problem: str = ""
    is_whole_only: bool = False

    @property
    def is_wanted(self) -> bool:
        """Whether it is to be in connections.yaml: it is readable, and no empty custom object."""
        return self.schema is not None and not (self.custom and self.count == 0)

    def row(self) -> tuple[Any, ...]:
        """Return the cells of the table."""
        if self.schema is None:
            return self.name, self.problem or self.label, None, None, None, self.configured
        custom = sum(field.custom for field in self.schema.fields)
        fields = len(self.schema.fields)
        return self.name, self.label, self.count, fields, custom, self.configured

    def record(self, proposals: Sequence[Proposal] = ()) -> dict[str, Any]:
        """Return the object for JSON, with the proposals for its fields."""
        fields = self.schema.fields if self.schema else ()
        return {
            "object": self.name,
            "label": self.label,
            "custom": self.custom,
            "configured": self.configured,
            "records": self.count,
            "problem": self.problem,
            "fields": [
                {"name": f.name, "label": f.label, "type": f.type, "custom": f.custom}
                for f in fields
            ],
            "proposals": {
                proposal.field: proposal.column
                for proposal in proposals
                if proposal.object == self.name
            },
        }


def survey(account: Account, connection: Connection) -> list[SurveyedObject]:
    """Return the configured objects, the vendor's usual ones and the custom ones, each with its fields and count."""
    listed = {info.name: info for info in account.objects()}
    configured = [obj.name for obj in connection.objects]
    usual = [name for name in connector(connection.vendor).default_objects if name in listed]
    custom = sorted(info.name for info in listed.values() if info.custom and info.queryable)
    names = dict.fromkeys((*configured, *usual, *custom))
    return [_look(account, listed.get(name), name, name in configured) for name in names]


def proposed(surveyed: Sequence[SurveyedObject], connection: Connection) -> tuple[Proposal, ...]:
    """Return proposals of fields for columns of the common model."""
    schemas = [entry.schema for entry in surveyed if entry.schema is not None]
    return proposals(schemas, connector(connection.vendor).mapping, connection.mapping)


def write_objects(
    settings: Settings, connection: Connection, surveyed: list[SurveyedObject]
) -> list[str]:
    """Add the wanted objects that are missing to connections.yaml; return the names added."""
    added = [entry.name for entry in surveyed if entry.is_wanted and not entry.configured]
    if not added:
        return []
    document = Document.read(settings.file)
    whole = [entry.name for entry in surveyed if entry.is_whole_only]
    text = with_objects(document, connection.name, added, whole)
    parse_connections(Document(settings.file, text))
    write_text(settings.file, text)
    return added


def write_text(path: Path, text: str) -> None:
    """Replace a file of the user atomically; its permissions stay, and a link stays a link."""
    target = path.resolve()
    with files.replacing(target, is_the_users=True) as temporary:
        temporary.write_text(text, encoding="utf-8")
        if target.exists():
            temporary.chmod(target.stat().st_mode & 0o777)


def _look(account: Account, info: ObjectInfo | None, name: str, configured: bool) -> SurveyedObject:
    label, custom = (info.label, info.custom) if info else ("", False)
    try:
        plan = account.plan(ObjectSettings(name, snapshot=True), None)
    except (NotPermitted, Rejected, Skippable) as error:
        return SurveyedObject(name, label, custom, configured, problem=error.message)
    is_whole_only = (
        account.cursor_field(plan.schema) is None
        and name not in connector(account.connection.vendor).snapshot_objects
    )
    return SurveyedObject(
        name,
        label,
        custom,
        configured,
        plan.schema,
        plan.vendor_count,
        is_whole_only=is_whole_only,
    )
