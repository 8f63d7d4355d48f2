"""Check whether the description of an object is believed: lost fields or choices may be lost permissions.

Records that are read without a field lack it until it is visible again and they are read by their ids, which costs calls
for each (`new_fields`). Without the field that marks deleted records, deleted records would come back.
So the object is not read until the fields are back, or until a person accepts that they are gone. Lost
choices are taken from the earlier description, see `stages/normalized/sources.py`.
"""

from crm_pipeline.kernel.errors import ContractError
from crm_pipeline.model.schema import Field, Schema
from crm_pipeline.stages.raw.task import Task
from crm_pipeline.store.landing import acceptance
from crm_pipeline.store.landing.acceptance import Refused

_NAMED = 5


def check_description(task: Task, schema: Schema) -> Task:
    """Return the task, with a warning where fields have lost their choices.

    Raises:
        ContractError: the description lost too many fields; nothing was read.
    """
    commits = task.landing.object_reads(task.connection, task.obj.name)
    if not commits or commits[-1].schema_fingerprint == schema.fingerprint:
        return task
    last = commits[-1]
    before = task.landing.schema(task.connection, task.obj.name, last.schema_fingerprint)
    lost = lost_fields(before, schema)
    folder = task.landing.folder(task.connection, task.obj.name)
    is_doubtful = task.bounds.exceeded(len(lost), len(before.fields)) or task.essential & set(lost)
    if is_doubtful and not acceptance.is_schema_accepted(
        folder, schema.fingerprint, last.committed_at
    ):
        now = task.landing.clock.now()
        acceptance.refuse_schema(
            folder, Refused(schema.fingerprint, len(lost), len(before.fields), now)
        )
        raise _refused(task, before, lost)
    bare = without_choices(before, schema)
    if bare:
        names = _listed([field.name for field in bare])
        task = task.with_warning(
            f"{len(bare)} fields list no choices any more ({names}): the labels of before stay."
        )
    return task


def lost_fields(before: Schema, now: Schema) -> list[str]:
    """Return the names of the fields that a description does not have any more."""
    return [name for name in before.names if name not in now.by_name and name not in now.excluded]


def without_choices(before: Schema, now: Schema) -> list[Field]:
    """Return the fields that have the type of before, had choices, and list none now."""
    return [
        field
        for field in now.fields
        if (old := before.by_name.get(field.name)) is not None
        and old.type == field.type
        and not field.kept_out
        and (old.options or old.values)
        and not (field.options or field.values)
    ]


def fields_text(refused: Refused) -> str:
    """Return a sentence that says how many fields a description lacks."""
    return (
        f"its description lacks {refused.lost} of {refused.fields} fields: that is not believed, and nothing is "
        "read"
    )


def fields_cure(connection: str, obj: str) -> str:
    """Return what to do about a description that is not believed."""
    return (
        f"Give the login its permissions back (`crm-pipeline check {connection}`). If the fields really are gone: "
        f"`crm-pipeline accept-shrink {connection} {obj}`."
    )


def _refused(task: Task, before: Schema, lost: list[str]) -> ContractError:
    return ContractError(
        f"{task.connection}.{task.obj.name}: {len(lost)} of {len(before.fields)} fields are not described any "
        f"more ({_listed(lost)}). Records read without them would lack them until each is read again, so nothing was read.",
        cure=fields_cure(task.connection, task.obj.name),
    )


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
