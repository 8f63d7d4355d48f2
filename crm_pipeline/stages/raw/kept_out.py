"""Fields that connections.yaml keeps out: taken out of the schema of a plan, and cut out of records before they land.

Connectors request the fields of a plan's schema, so what a vendor's API lets us choose never arrives. What it sends
nevertheless is cut out of each record in memory, before any file is written. Hashed fields have to arrive; so the routes
that save responses as received are not taken for objects that have any.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import msgspec
import pyarrow as pa

from crm_pipeline.connectors.base import Page, Plan, RecordKeys
from crm_pipeline.kernel.errors import ConfigError, UnknownName
from crm_pipeline.model.schema import Field, Schema
from crm_pipeline.settings import ObjectSettings
from crm_pipeline.store.landing.records import KEY_COLUMNS, landed_name
from crm_pipeline.store.landing.rejects import Reject
from crm_pipeline.store.tokens.hash_key import HashKey
from crm_pipeline.wire.decoding import UNREADABLE

Path = tuple[str, ...]
NOT_KEPT = "its bytes are not kept, because fields are kept out of it"
_UNCUT = "a field is kept out of the record, and it cannot be taken apart"
_DROP, _HASH = "drop", "hash"
_Tree = dict[str, Any]
"""Keys of JSON objects, each with the tree below it, or with what happens to its value."""


def kept_out(
    schema: Schema,
    obj: ObjectSettings,
    needed: frozenset[str],
    key: HashKey,
    *,
    where: str,
    ignores_case: bool = False,
) -> Schema:
    """Return a schema without the excluded fields, and with the hashed ones as texts.

    Args:
        schema: as the vendor describes the object.
        obj: the object as configured.
        needed: the fields that reading needs.
        key: of the hashes.
        where: the connection, for error texts.
        ignores_case: whether the vendor ignores case in names of fields.

    Raises:
        ConfigError: a field does not exist, is needed, is a part of another one, or is no single value.
    """
    named = _Named(schema, needed, f"{where}.{obj.name}", ignores_case)
    excluded = {field.name for name in obj.exclude for field in named.with_parts(name)}
    hashed = {named.single(name).name for name in obj.hash}
    fields = tuple(
        _as_hash(field, key) if field.name in hashed else field
        for field in schema.fields
        if field.name not in excluded
    )
    out = tuple(
        Field(f.name, f.label, f.type, custom=f.custom, path=f.path, kept_out="excluded")
        for f in schema.fields
        if f.name in excluded
    )
    return replace(schema, fields=fields, left_out=(*schema.left_out, *out))


@dataclass(frozen=True)
class _Named:
    """The fields of an object by the names that connections.yaml uses."""

    schema: Schema
    needed: frozenset[str]
    where: str
    ignores_case: bool

    def with_parts(self, name: str) -> list[Field]:
        """Return an excluded field and the fields that are made of parts of its value."""
        field, root = self._field(name, "excluded"), None
        for other in self.schema.fields:
            path = root_path(other)
            if path != root_path(field) and root_path(field)[: len(path)] == path:
                root = other
        if root is not None:
            raise ConfigError(
                f"{self.where}: {name} is a part of {root.name}, which would still hold it.",
                cure=f"Exclude {root.name}.",
            )
        start = root_path(field)
        return [f for f in self.schema.fields if root_path(f)[: len(start)] == start]

    def single(self, name: str) -> Field:
        """Return a field that can be hashed."""
        field = self._field(name, "hashed")
        is_composite = len(self.with_parts(name)) > 1 or root_path(field) != field.keys
        if is_composite or field.common_type == "json" or field.multiple or field.reference_to:
            raise ConfigError(
                f"{self.where}: {name} cannot be hashed: it holds no single value.",
                cure=f"Exclude it: {{exclude: [{name}]}}.",
            )
        return field

    def _field(self, name: str, done: str) -> Field:
        field = self.schema.by_name.get(name)
        if field is None and self.ignores_case:
            folded = {f.name.casefold(): f for f in reversed(self.schema.fields)}
            field = folded.get(name.casefold())
        if field is None:
            raise self._unknown(name, done)
        if field.name in self.needed:
            raise ConfigError(
                f"{self.where}: {name} cannot be {done}: ids, modification times and marks of deletion are read from "
                "it.",
                cure=f"Take {name} out of the list.",
            )
        return field

    def _unknown(self, name: str, done: str) -> ConfigError:
        parts = [f.name for f in self.schema.fields if name in f.keys[:-1]]
        if parts:
            return ConfigError(
                f"{self.where}: {name} is no field, but a group of fields.",
                cure=f"Name those that are to be {done}: {', '.join(parts[:10])}.",
            )
        if "." in name and name.split(".", maxsplit=1)[0] in self.schema.by_name:
            whole = name.split(".", maxsplit=1)[0]
            return ConfigError(
                f"{self.where}: {name} is a part of {whole}; only whole fields can be {done}.",
                cure=f"Exclude {whole}.",
            )
        unknown = UnknownName("field", name, self.schema.names, where=self.where)
        connection, _, obj = self.where.partition(".")
        listed = f"`crm-pipeline preview {connection} {obj}` lists the fields."
        return ConfigError(unknown.message, cure=f"{unknown.cure} {listed}".strip())


def root_path(field: Field) -> Path:
    """Return the path of the whole value that a field is read from: `(name,)` of a reference read by its id."""
    keys = field.keys
    return keys[: keys.index(field.name) + 1] if field.name in keys else keys


def _as_hash(field: Field, key: HashKey) -> Field:
    # Another key gives other hashes: its name makes that a change of the field.
    kind = f"hmac-sha256 ({key.name})"
    return Field(
        field.name,
        field.label,
        kind,
        custom=field.custom,
        path=field.path,
        length=64,
        kept_out="hashed",
    )


def without_saved_bytes(plan: Plan, obj: ObjectSettings, where: str) -> Plan:
    """Return a plan whose route does not save responses as received, for an object with hashed fields.

    Raises:
        ConfigError: there is no such route, or connections.yaml says another one.
    """
    chosen = next((s for s in plan.strategies if s.name == plan.route), None)
    if chosen is None or not chosen.saves_bytes:
        return plan
    others = [s for s in plan.strategies if not s.saves_bytes and not s.impediment]
    if obj.route == chosen.name or not others:
        why = [f"'{s.name}': {s.impediment}" for s in plan.strategies if s.impediment]
        raise ConfigError(
            f"{where}.{obj.name}: the route '{chosen.name}' saves what it receives on the disk, so its fields cannot be "
            f"hashed before{' (' + '; '.join(why) + ')' if why else ''}.",
            cure="Exclude the fields in place of hashing them, or leave 'route' out.",
        )
    best = min(others, key=lambda s: (s.seconds, s.cost))
    reason = (
        f"{plan.reason}; not by {chosen.name}, because hashed fields must not be saved as received"
    )
    return replace(
        plan,
        route=best.name,
        reason=reason,
        calls=best.calls,
        cost=best.cost,
        seconds=best.seconds,
    )


class Cutter:
    """Cuts kept-out fields out of records.

    Args:
        schema: of the plan, see `kept_out`.
        keys: the connector's rules, which know where a vendor repeats values.
        key: of the hashes.
    """

    def __init__(self, schema: Schema, keys: RecordKeys, key: HashKey) -> None:
        self._key = key
        self._tree: _Tree = {}
        self._columns: dict[str, str] = {}
        excluded = [field for field in schema.left_out if field.kept_out == "excluded"]
        hashed = [field for field in schema.fields if field.kept_out == "hashed"]
        for field, what in (*((f, _DROP) for f in excluded), *((f, _HASH) for f in hashed)):
            _plant(self._tree, root_path(field), what)
            self._columns[landed_name(field.name)] = what
            for path in keys.copies(schema.object, field.name):
                _plant(self._tree, path, _DROP)

    @property
    def is_needed(self) -> bool:
        """Whether there is anything to cut."""
        return bool(self._tree)

    def of_page(self, page: Page) -> Page:
        """Return a page whose records are cut; its rejects are cut once its batches were read."""
        if not self.is_needed:
            return page
        rejected: list[Reject] = []

        def batches() -> Iterator[pa.RecordBatch]:
            for batch in page.batches():
                yield self.cut(batch, rejected)
            rejected.extend(self._cut_reject(reject, page.shape) for reject in page.rejected)

        return replace(page, batches=batches, rejected=rejected)

    def cut(self, batch: pa.RecordBatch, rejected: list[Reject]) -> pa.RecordBatch:
        """Return a batch without the values; records that cannot be taken apart are added to the rejects."""
        if "record" not in batch.schema.names:
            return self._cut_columns(batch)
        texts = [self._cut_text(text) for text in batch.column("record").to_pylist()]
        is_cut = [text is not None for text in texts]
        if not all(is_cut):
            ids = batch.column("_source_id").to_pylist()
            rejected += [
                Reject(f"{_UNCUT}; {NOT_KEPT}", self._placeholder(ids[n]), ids[n])
                for n, good in enumerate(is_cut)
                if not good
            ]
            batch = batch.filter(pa.array(is_cut))
        index = batch.schema.get_field_index("record")
        column = pa.array([text for text in texts if text is not None], pa.string())
        return batch.set_column(index, batch.schema.field(index), column)

    def _cut_columns(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        for name, what in self._columns.items():
            index = batch.schema.get_field_index(name)
            if index < 0 or name in KEY_COLUMNS:
                continue
            if what == _DROP:
                batch = batch.remove_column(index)
                continue
            texts = batch.column(index).to_pylist()
            hashes = [self._key.digest(text) if text else text for text in texts]
            batch = batch.set_column(
                index, batch.schema.field(index), pa.array(hashes, pa.string())
            )
        return batch

    def _cut_text(self, text: str) -> str | None:
        try:
            return self._cut(text.encode(), self._tree).decode()
        except UNREADABLE:
            return None

    def _cut_reject(self, reject: Reject, shape: str) -> Reject:
        if shape == "csv":  # its columns are those that were requested
            return reject
        try:
            text = self._cut_text(reject.raw.decode())
        except UnicodeDecodeError:
            text = None
        if text is not None and not reject.is_torn:
            return replace(reject, raw=text.encode())
        reason = f"{reject.reason}; {NOT_KEPT}"
        return replace(reject, raw=self._placeholder(reject.raw), reason=reason)

    def _placeholder(self, raw: bytes | str) -> bytes:
        """Return what stands for bytes that are not kept: the same for the same bytes."""
        return msgspec.json.encode({"not_kept": self._key.digest(raw, purpose="reject")})

    def _cut(self, raw: bytes, tree: _Tree) -> bytes:
        start = raw.lstrip()[:1]
        if start == b"[":
            elements = msgspec.json.decode(raw, type=list[msgspec.Raw])
            cut = [msgspec.Raw(self._cut(bytes(memoryview(one)), tree)) for one in elements]
            return msgspec.json.encode(cut)
        if start != b"{":
            return raw
        parts: dict[str, msgspec.Raw] = msgspec.json.decode(raw, type=dict[str, msgspec.Raw])
        for name, below in tree.items():
            if name not in parts:
                continue
            if below == _DROP:
                del parts[name]
            elif below == _HASH:
                parts[name] = msgspec.Raw(self._hash(bytes(memoryview(parts[name]))))
            else:
                parts[name] = msgspec.Raw(self._cut(bytes(memoryview(parts[name])), below))
        return msgspec.json.encode(parts)

    def _hash(self, raw: bytes) -> bytes:
        """Return the hash of a JSON value as JSON; null and "" stay, so that missing values can be counted."""
        raw = raw.strip()
        if raw in (b"null", b'""'):
            return raw
        try:
            text = msgspec.json.decode(raw, type=str)
        except UNREADABLE:
            text = None  # a number, true, or a text that holds no characters
        return msgspec.json.encode(self._key.digest(raw if text is None else text))


def _plant(tree: _Tree, path: Path, what: str) -> None:
    *above, last = path
    for name in above:
        below = tree.setdefault(name, {})
        if not isinstance(below, Mapping):
            return  # all of it goes
        tree = below  # type: ignore[assignment]
    tree[last] = what
