"""Read a few records again to see which new field holds the values of a removed one, and note it in the register."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec
import pyarrow.parquet as pq
import structlog

from crm_pipeline.connectors.base import Account
from crm_pipeline.kernel.errors import CrmError
from crm_pipeline.model.schema import Field
from crm_pipeline.settings import ObjectSettings
from crm_pipeline.stages.raw.point import read_points
from crm_pipeline.stages.raw.renames import MOST_READS, Likeness, Values, likenesses, renames
from crm_pipeline.store.drift import Change, Register
from crm_pipeline.store.landing import Landing
from crm_pipeline.store.landing.manifest import Manifest
from crm_pipeline.store.landing.records import landed_name
from crm_pipeline.store.tokens.hash_key import HashKey
from crm_pipeline.wire.decoding import UNREADABLE

_log = structlog.get_logger("crm_pipeline.raw")
_LONGEST_LOOK = 20_000
"""So many landed records are looked through for values of a removed field."""


def prove_renames(  # noqa: PLR0917 - each argument is plain at the call
    account: Account,
    obj: ObjectSettings,
    landing: Landing,
    register: Register,
    connection: str,
    key: HashKey | None = None,
) -> list[Likeness]:
    """Note for each removed field of an object which new field has taken its place; return what was compared.

    At most `MOST_READS` records are read again, and land like all others. Nothing is read where no field came as one
    went, or no landed record had a value. A vendor that cannot be asked proves nothing: the field stays removed.

    Args:
        account: the opened account.
        obj: the object, which has just been read.
        landing: where it has landed.
        register: with its changed fields.
        connection: the connection of the object.
        key: of hashes, needed where the object keeps fields out.
    """
    changes = register.of(connection, obj.name)
    removed = [c for c in changes if c.is_open and c.kind == "removed" and not c.evidence]
    found: list[Likeness] = []
    for origin in dict.fromkeys(change.origin for change in removed):
        gone = [change for change in removed if change.origin == origin]
        added = [
            change.field for change in changes if change.origin == origin and change.kind == "added"
        ]
        if added:
            found += _proven(account, obj, landing, register, connection, key, gone, added)
    return found


def _proven(  # noqa: PLR0917 - each argument is plain at the call
    account: Account,
    obj: ObjectSettings,
    landing: Landing,
    register: Register,
    connection: str,
    key: HashKey | None,
    gone: Sequence[Change],
    added: Sequence[str],
) -> list[Likeness]:
    before = landing.schema(connection, obj.name, gone[0].origin.partition(" to ")[0])
    now = landing.latest_schema(connection, obj.name)
    if now is None:
        return []
    old = [before.by_name[change.field] for change in gone if change.field in before.by_name]
    new = [now.by_name[name] for name in added if name in now.by_name]
    values = _values_before(landing, connection, obj.name, old)
    if not values:
        return []
    try:
        read = read_points(account, obj, list(values), landing=landing, key=key)
    except CrmError as error:
        # The next read tries again.
        _log.warning("renamed fields cannot be proven", object=obj.name, why=error.message)
        return []
    after = _values_after(landing, connection, obj.name, read.window_id, new)
    compared = likenesses(old, new, values, after)
    chosen = renames(compared)
    for change in gone:
        like = chosen.get(change.field) or _best(compared, change.field)
        if like is not None:
            proposal = like.new if change.field in chosen else ""
            register.propose(change.number, proposal, like.evidence)
    return compared


def _best(compared: Iterable[Likeness], name: str) -> Likeness | None:
    return next((like for like in compared if like.gone == name and like.compared), None)


def _values_before(landing: Landing, connection: str, obj: str, fields: Sequence[Field]) -> Values:
    """Return the last landed values of removed fields, of records with values that differ from each other."""
    values: dict[str, Mapping[str, str | None]] = {}
    seen: dict[str, set[str]] = {field.name: set() for field in fields}
    looked = 0
    for source_id, row in _newest(landing, connection, obj, fields):
        looked += 1
        if looked > _LONGEST_LOOK or len(values) == MOST_READS:
            break
        fresh = {
            name
            for name, value in row.items()
            if value not in {None, ""} and value not in seen[name]
        }
        if source_id in values or not fresh:
            continue
        # Each value once: a record whose every value was seen proves nothing more.
        values[source_id] = row
        for name in fresh:
            seen[name].add(str(row[name]))
    return values


def _newest(
    landing: Landing, connection: str, obj: str, fields: Sequence[Field]
) -> Iterator[tuple[str, dict[str, str | None]]]:
    """Yield the newest landed version with the fields of each live record, from the newest batch on."""
    seen: set[str] = set()
    names = {field.name for field in fields}
    had: dict[str, bool] = {}
    for commit in reversed(landing.windows(connection, obj)):
        described = commit.schema_fingerprint
        if described not in had:
            had[described] = bool(names & landing.schema(connection, obj, described).by_name.keys())
        for batch in reversed(commit.batches) if had[described] else ():
            for source_id, is_deleted, values in _rows(batch, fields):
                if source_id not in seen and not is_deleted:
                    yield source_id, values
                seen.add(source_id)


def _values_after(
    landing: Landing, connection: str, obj: str, window_id: str, fields: Sequence[Field]
) -> Values:
    return {
        source_id: values
        for commit in landing.windows(connection, obj)
        if commit.window_id == window_id
        for batch in commit.batches
        for source_id, is_deleted, values in _rows(batch, fields)
        if not is_deleted
    }


def _rows(
    batch: Manifest, fields: Sequence[Field]
) -> Iterator[tuple[str, bool, dict[str, str | None]]]:
    """Yield id, mark of deletion and the values of some fields of each landed record, as texts."""
    columns = ["_source_id", "_deleted"]
    file = pq.ParquetFile(batch.path)
    present = set(file.schema_arrow.names)
    raw = ["record"] if batch.shape == "json" else [landed_name(field.name) for field in fields]
    for part in file.iter_batches(columns=[*columns, *(n for n in raw if n in present)]):
        for row in part.to_pylist():
            yield row["_source_id"], bool(row["_deleted"]), _texts(row, fields, batch.shape)


def _texts(row: Mapping[str, Any], fields: Collection[Field], shape: str) -> dict[str, str | None]:
    if shape != "json":
        return {field.name: row.get(landed_name(field.name)) or None for field in fields}
    try:
        record = msgspec.json.decode(row["record"] or "")
    except UNREADABLE:
        return {field.name: None for field in fields}
    return {field.name: _text(record, field.keys) for field in fields}


def _text(value: Any, path: Sequence[str]) -> str | None:
    for step in path:
        value = value.get(step) if isinstance(value, dict) else None
    if value is None or value == "":
        return None
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
