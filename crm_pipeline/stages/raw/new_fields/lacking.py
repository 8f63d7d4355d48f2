"""Which fields are new, and which records were read without them.

Every landed batch names the description that it was read with. A field that the newest description has and an older one
has not is new for the records whose newest version came with the older one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from crm_pipeline.kernel.identity import fingerprint
from crm_pipeline.model.schema import Schema
from crm_pipeline.model.schema_changes import changes
from crm_pipeline.settings import Connection
from crm_pipeline.stages.raw.audit.landed import landed_keys
from crm_pipeline.store.drift import Register
from crm_pipeline.store.landing import Landing
from crm_pipeline.store.landing.manifest import WindowCommit
from crm_pipeline.store.tables.engine import Engine, parquet_files


@dataclass(frozen=True)
class NewFields:
    """The new fields of an object, from the metadata of landing alone.

    Attributes:
        key: fingerprint of the newest description, and of the batches that were read with another one.
        names: the new fields, in the order of the newest description.
        without: by the fingerprint of an older description, the new fields that it lacks; only those that lack some.
    """

    key: str
    names: tuple[str, ...] = ()
    without: Mapping[str, frozenset[str]] | None = None


def successors(register: Register, connection: str, obj: str) -> frozenset[str]:
    """Return the fields that have taken the place of removed ones: their history stands under the old name.

    A rename that a person has ignored is none.
    """
    removed = [each for each in register.of(connection, obj) if each.kind == "removed"]
    return frozenset(each.proposal for each in removed if each.proposal and each.state != "ignored")


def key_of(commits: Sequence[WindowCommit], newest: str, renamed: frozenset[str]) -> str:
    """Return the fingerprint that stays while no field and no batch of another description comes; "" for no batch of one.

    Args:
        commits: of the object.
        newest: the fingerprint of its newest description.
        renamed: see `successors`.
    """
    others = _others(commits, newest)
    return fingerprint([newest, sorted(others), sorted(renamed)]) if others else ""


def new_fields(
    landing: Landing,
    connection: str,
    obj: str,
    newest: Schema,
    renamed: frozenset[str],
) -> NewFields:
    """Return the fields of the newest description that landed batches lack.

    Raises:
        CorruptFile: a description is damaged.
    """
    commits = landing.windows(connection, obj)
    key = key_of(commits, newest.fingerprint, renamed)
    without = {}
    for old in dict.fromkeys(_others(commits, newest.fingerprint).values()):
        facts = changes(landing.schema(connection, obj, old), newest)
        added = {fact.field for fact in facts if fact.kind == "added"} - renamed
        if added:
            without[old] = frozenset(added)
    every = frozenset().union(*without.values())
    names = tuple(name for name in newest.names if name in every)
    return NewFields(key, names, without)


class LackingRecords:
    """The live records that were read without new fields, in an order that can be kept without keeping an id.

    Args:
        engine: of one piece of work.
        landing: with the landed batches.
        connection: of the object.
        obj: its name.
        new: the new fields.
        folder: for a temporary file.
    """

    def __init__(
        self,
        engine: Engine,
        landing: Landing,
        connection: Connection,
        obj: str,
        *,
        new: NewFields,
        folder: Path,
    ) -> None:
        self._engine = engine
        commits = landing.windows(connection.name, obj)
        described = {
            batch.batch_id: batch.schema_fingerprint
            for commit in commits
            for batch in commit.batches
        }
        lacking = [
            place.batch_id
            for place in landing.places(connection.name, obj, commits)
            if described[place.file] in (new.without or {})
        ]
        batches = engine.load(
            "lacking batches", pa.table({"batch_id": pa.array(lacking, pa.string())})
        )
        live = landed_keys(engine, landing, connection, obj, folder / "live.parquet")
        path = folder / "lacking.parquet"
        self.records = engine.copy_to(
            f"SELECT id, md5(id) AS place FROM {live.relation} SEMI JOIN {batches} USING (batch_id) ORDER BY place",
            path,
        )
        self._relation = parquet_files([path])

    def after(self, place: str, size: int) -> list[tuple[str, str]]:
        """Return the ids and places of the next records after a place."""
        rows = self._engine.rows(
            f"SELECT id, place FROM {self._relation} WHERE place > ? ORDER BY place LIMIT {size}",
            [place],
        )
        return [(row[0], row[1]) for row in rows]

    def left(self, place: str) -> int:
        """Return the number of records after a place."""
        counted = f"SELECT count(*) FROM {self._relation} WHERE place > ?"
        return int(self._engine.rows(counted, [place])[0][0])


def _others(commits: Sequence[WindowCommit], newest: str) -> dict[str, str]:
    """Return the batches that were read with another description than the newest, each with that one."""
    return {
        batch.batch_id: batch.schema_fingerprint
        for commit in commits
        for batch in commit.batches
        if batch.schema_fingerprint != newest
    }
