"""What the steps of the audit of one object share: the account, the stores, and the folded keys."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

from crm_pipeline.connectors.base import Account
from crm_pipeline.connectors.registry import connector
from crm_pipeline.kernel.errors import ConfigError
from crm_pipeline.model.schema import Schema
from crm_pipeline.settings import ObjectSettings
from crm_pipeline.stages.raw.audit.landed import LandedKeys, landed_keys
from crm_pipeline.stages.raw.audit.merged import MergedAway
from crm_pipeline.stages.raw.extraction import Extraction
from crm_pipeline.stages.raw.task import visible_schema
from crm_pipeline.store.landing import Landing
from crm_pipeline.store.tables.engine import Engine
from crm_pipeline.store.tokens.hash_key import HashKey

Engines = Callable[[], AbstractContextManager[Engine]]


@dataclass
class AuditSetting:
    """The audit of one object.

    Attributes:
        account: the opened account.
        obj: the object.
        landing: with what has landed.
        engine: opens DuckDB for a comparison; it is not open while the vendor is asked.
        folder: for temporary files.
        key: of hashes, needed where the object keeps fields out, or persons were erased.
        sees_the_same: the login sees what it saw at the last audit, or there was none.
        allowed: what the audit of the object may cost, in the vendor's unit.
        extractions: the reads that the audit has made, for callers that show them.
        marked: how many records this audit has marked as deleted because the CRM does not have them.
    """

    account: Account
    obj: ObjectSettings
    landing: Landing
    engine: Engines
    folder: Path
    key: HashKey | None = None
    sees_the_same: bool = True
    allowed: int = 0
    extractions: list[Extraction] = field(default_factory=list)
    marked: int = 0
    _schema: Schema | None = None
    _merged: MergedAway | None = None
    _files: int = 0
    _cost_before: int = 0
    _commits_before: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        self._cost_before = self.account.usage.cost

        self._commits_before = self._commits()

    @property
    def has_landed(self) -> bool:
        """Whether anything has landed since."""
        return self._commits() != self._commits_before

    def _commits(self) -> frozenset[str]:
        commits = self.landing.windows(self.connection, self.obj.name)
        return frozenset(commit.window_id for commit in commits if commit.batches)

    @property
    def spent(self) -> int:
        """What the audit of the object has cost so far."""
        return self.account.usage.cost - self._cost_before

    @property
    def left(self) -> int:
        """What is left of the allowed cost."""
        return self.allowed - self.spent

    @property
    def connection(self) -> str:
        """The connection's name."""
        return self.account.connection.name

    @property
    def name(self) -> str:
        """The connection and the object, for error texts."""
        return f"{self.connection}.{self.obj.name}"

    @property
    def reader(self) -> int:
        """The version of the connector's current rules for the keys of records."""
        return connector(self.account.connection.vendor).keys.version

    @property
    def schema(self) -> Schema:
        """The fields of the object, requested once."""
        if self._schema is None:
            self._schema = self.account.describe(self.obj.name)
        return self._schema

    @property
    def visible_schema(self) -> Schema:
        """The fields as they are read: without those that connections.yaml keeps out."""
        if not self.obj.keeps_out:
            return self.schema
        if self.key is None:
            raise ConfigError(
                f"{self.name} keeps fields out, and no hash key was given.",
                cure="Pass `key=HashKey.of(settings)`.",
            )
        return visible_schema(self.account, self.obj, self.schema, self.key)

    def fold(self, engine: Engine) -> LandedKeys:
        """Return the live records that have landed, as of now."""
        connection = self.account.connection
        path = self.new_file("landed")
        if self._merged is None:
            self._merged = MergedAway(self.landing, connection, self.obj.name)
        return landed_keys(engine, self.landing, connection, self.obj.name, path, self._merged)

    def new_file(self, name: str) -> Path:
        """Return the path of a temporary file that does not exist yet."""
        self._files += 1
        return self.folder / f"{name}-{self._files}.parquet"
