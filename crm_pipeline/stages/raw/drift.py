"""Note in the register of changed fields what the newest description of an object has changed."""

from collections.abc import Sequence
from itertools import pairwise

from crm_pipeline.model.schema import Schema
from crm_pipeline.model.schema_changes import changes
from crm_pipeline.settings.drift import DriftPolicies
from crm_pipeline.store.drift import Change, Register
from crm_pipeline.store.drift.register import Noticed
from crm_pipeline.store.landing import Landing


def note_changes(
    landing: Landing,
    register: Register,
    policies: DriftPolicies,
    connection: str,
    obj: str,
    *,
    before: Schema | None,
) -> list[Change]:
    """Note the changes of an object's fields up to its latest description; return those that are new or seen again.

    Args:
        landing: where the object has landed.
        register: where the changes are noted.
        policies: what each kind of change does.
        connection: the connection of the object.
        obj: the object.
        before: the description before the last read, for an object of which nothing was noted yet; changes that are
            older than the register are not brought up again.
    """
    noted: list[Change] = []
    for old, new in _steps(landing, register, connection, obj, before):
        noticed = [Noticed(fact, {}) for fact in changes(old, new)]
        noted += register.note(
            connection,
            noticed,
            lambda fact: policies.of(fact.kind, is_loss=fact.is_loss),
            origin=f"{old.fingerprint} to {new.fingerprint}",
        )
    latest = landing.latest_schema(connection, obj)
    if latest is not None and register.described(connection, obj) != latest.fingerprint:
        register.note_described(connection, obj, latest.fingerprint)
    return noted


def _steps(
    landing: Landing, register: Register, connection: str, obj: str, before: Schema | None
) -> list[tuple[Schema, Schema]]:
    """Return the pairs of descriptions that followed each other since the last noted one."""
    last = register.described(connection, obj) or (before.fingerprint if before else "")
    names = [read.schema_fingerprint for read in landing.object_reads(connection, obj)]
    if not last or not names or names[-1] == last:
        return []
    since = _after_last(names, last)
    path = [last, *since] if since is not None else [last, names[-1]]
    distinct = [name for n, name in enumerate(path) if n == 0 or path[n - 1] != name]
    schemas = [landing.schema(connection, obj, name) for name in distinct]
    return list(pairwise(schemas))


def _after_last(names: Sequence[str], name: str) -> Sequence[str] | None:
    """Return the names after the last occurrence of one; None where it does not occur."""
    if name not in names:
        return None
    return names[len(names) - list(reversed(names)).index(name) :]
