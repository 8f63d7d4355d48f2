"""What a connector is: a vendor's abilities as data, and accounts that are opened from settings.

Shared code asks the declarations here and never the vendor's name.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import date, datetime
from importlib.resources import files
from typing import Any, Literal, Protocol, runtime_checkable

import pyarrow as pa
import yaml

from crm_pipeline.connectors.upkeep import DayLimit, Upkeep
from crm_pipeline.kernel.clock import Clock, Window
from crm_pipeline.model.account import AccountFacts
from crm_pipeline.model.mapping import ObjectMap
from crm_pipeline.model.schema import Schema
from crm_pipeline.ratelimit.limiter import RateLimiter
from crm_pipeline.settings import Connection, ObjectSettings, Settings
from crm_pipeline.store.landing.checkpoint import Checkpoint
from crm_pipeline.store.landing.manifest import Shape
from crm_pipeline.store.landing.rejects import Reject
from crm_pipeline.store.tokens import TokenStore
from crm_pipeline.wire.retry import RetryPolicy

Level = Literal["ok", "warn", "fail"]


@dataclass(frozen=True)
class Abilities:
    """What a vendor's API offers; shared code asks here.

    Attributes:
        bulk_read: an asynchronous export for large volumes.
        counts: the vendor counts the records of a window by itself.
        deleted_flag: deleted records are read like others, with a mark.
        keeps_locator_over_login: a download goes on with a new access token.
        probes: whether anything changed can be asked in one call.
        unseen_deletions: in a sentence, which deletions of objects that are not read whole are told by nobody.
        round_cost: what a round of such questions costs before the first one, in the vendor's unit.
    """

    bulk_read: bool
    counts: bool
    deleted_flag: bool
    keeps_locator_over_login: bool
    probes: bool = True
    round_cost: int = 0
    unseen_deletions: str = ""


@dataclass(frozen=True)
class ApiVersion:
    """One version of a vendor's API and the dates on which it ends, where they are known."""

    version: str
    released: str
    deprecated_on: date | None = None
    retired_on: date | None = None


@dataclass(frozen=True)
class VendorLimits:
    """What `limits.yaml` says: the pinned version, its relatives, and the published ceilings."""

    api_version: str
    versions: tuple[ApiVersion, ...]
    ceilings: Mapping[str, int]
    retirements: tuple[Mapping[str, Any], ...] = ()


def published_limits(package: str) -> VendorLimits:
    """Read `limits.yaml` of a connector's folder."""
    raw: dict[str, Any] = yaml.safe_load(files(package).joinpath("limits.yaml").read_text())
    return VendorLimits(
        api_version=raw["api_version"],
        versions=tuple(ApiVersion(**version) for version in raw["versions"]),
        ceilings=raw["ceilings"],
        retirements=tuple(raw["retirements"]),
    )


@dataclass(frozen=True)
class LoginKind:
    """One way of logging in, for whoever has to choose.

    Attributes:
        kind: its name in connections.yaml.
        summary: when it is the right one, in a sentence.
        by_browser: a person lets the pipeline in once, with `crm-pipeline login`.
    """

    kind: str
    summary: str
    by_browser: bool = False


@dataclass(frozen=True)
class ObjectInfo:
    """One object as the vendor lists it."""

    name: str
    label: str
    custom: bool
    queryable: bool


@dataclass(frozen=True)
class Finding:
    """One line of a check-up; `cure` says exactly what to change where the level is not ok."""

    level: Level
    topic: str
    detail: str
    cure: str = ""


@dataclass(frozen=True)
class Checkup:
    """What a connection can do, and what is missing."""

    connection: str
    findings: tuple[Finding, ...]

    @property
    def is_healthy(self) -> bool:
        """Whether nothing failed."""
        return all(finding.level != "fail" for finding in self.findings)


@dataclass(frozen=True)
class Usage:
    """What was called through an account.

    Attributes:
        calls: made by us.
        used, allowed: the vendor's own counter of the day, as its last answer gave it; None where
            it gave none.
        cost: of our calls, in the vendor's unit.
        unit: `calls`, `credits` or `tokens`.
    """

    calls: int
    used: int | None
    allowed: int | None
    cost: int = 0
    unit: str = "calls"


@dataclass(frozen=True)
class ReadStrategy:
    """One way of reading a window, as an estimate.

    Attributes:
        name: as `route:` in connections.yaml.
        calls: how many requests.
        cost: in the vendor's unit.
        seconds: how long the vendor's clock makes it last.
        how: what is done, in a few words.
        impediment: why it cannot be taken; "" where it can.
    """

    name: str
    calls: int
    cost: int
    seconds: float
    how: str
    impediment: str = ""


@dataclass(frozen=True)
class Plan:
    """How one window of one object will be read, and why so.

    Attributes:
        window: None reads everything that there is now (a snapshot).
        complete: the read holds every live record, so that absence means deletion.
        stamp_field: the field that windows and keysets go by; None for snapshots.
        vendor_count: the vendor's count of the window before reading.
        calls: the estimate; `cost` in the vendor's `unit`, `seconds` by the vendor's clock.
        strategies: all that were compared, the chosen one among them.
        remaining: what was left of the day's budget then; None where there is none.
    """

    object: str
    window: Window | None
    route: str
    reason: str
    schema: Schema
    cursor_field: str | None
    complete: bool
    vendor_count: int | None
    calls: int
    cost: int = 0
    unit: str = "calls"
    seconds: float = 0.0
    strategies: tuple[ReadStrategy, ...] = ()
    remaining: int | None = None


class RecordKeys(Protocol):
    """What a vendor's records say of themselves: their id, their time stamp, whether they are deleted.

    Pages that are read and records that landed long ago go through the same rules, so that a mended rule
    reaches both.

    Attributes:
        version: raised whenever the same record gets other keys than before. What landed under another
            version is looked at again when tables are built, and so is what was set aside.
    """

    version: int

    def of(
        self,
        obj: str,
        schema: Schema,
        raw: pa.RecordBatch,
        *,
        shape: Shape,
        route: str,
        origin: str | None,
        deleted: pa.Array | None,
    ) -> pa.RecordBatch:
        """Return the key columns of `store.landing.records`, one row for each record.

        Args:
            obj: the object.
            schema: its fields, as they were when the records were read.
            raw: the records: the column `record` (shape json), or one column per field (shape csv).
            shape: of the page.
            route: by which the page was read.
            origin: `Page.origin`; None where it was not noted, in batches of older versions.
            deleted: what the batch says so far; None for records that were set aside.

        Returns:
            Rows whose `_source_id` is null for records that cannot be read.
        """


@dataclass
class Page:
    """One page of records on its way to landing.

    Attributes:
        batches: yields record batches with the key columns of `store.landing.records`; once.
        extracted_at: when the vendor was asked, by our clock: reads are in the order of it, whatever the vendor
            says of the time.
        expected: how many records the vendor says the page has.
        number: its place in the spool, for pages that are noted there.
        facts: what the spool keeps of it once it is done, for whoever goes on with the window.
        counted: whether the vendor's count of the window includes its records.
        notes: what the commit of the window keeps for the plans to come, see `ConnectorContext.remembered`.
        rejected: filled while `batches` runs: the records that cannot be landed.
        origin: which of the vendor's lists the records came from, where the records themselves do not say
            it and it decides about them: "deleted" for a list of deleted ones. "" for most.
        part: which of the vendor's lists it is of, where an object is spread over several.
    """

    shape: Shape
    route: str
    batches: Callable[[], Iterator[pa.RecordBatch]]
    extracted_at: datetime
    expected: int | None = None
    calls: int = 0
    number: int | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    counted: bool = True
    notes: Mapping[str, Any] = field(default_factory=dict)
    rejected: list[Reject] = field(default_factory=list)
    origin: str = ""
    part: str = ""


@dataclass(frozen=True)
class ConnectorContext:
    """What an account needs from the outside.

    Attributes:
        remembered: the notes of the last window of an object that was committed.
    """

    settings: Settings
    clock: Clock
    tokens: TokenStore
    limiter: RateLimiter
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    remembered: Callable[[str], Mapping[str, Any]] = lambda _: {}


class LoginFlow(Protocol):
    """A login that a person gives; good for one attempt.

    Attributes:
        address: where the person decides.
        redirect_uri: where the browser is sent back to, with the answer in its query.
        state: what the answer has to repeat.
        by_hand: how to make the code at `address` and bring it here, as the answer `code`; "" where the
            browser brings it.
    """

    address: str
    redirect_uri: str
    state: str
    by_hand: str

    def accept(self, answer: Mapping[str, str]) -> None:
        """Trade the answer for tokens and store them, encrypted.

        Raises:
            AuthFailed: the person or the vendor refused, or the answer belongs to another attempt.
        """


class Account(Protocol):
    """One account at a vendor, logged in when first needed."""

    connection: Connection

    def check(self) -> Checkup:
        """Look at login, identity, permissions, budget and objects; never raises VendorError."""

    def login_flow(self, redirect_uri: str) -> LoginFlow:
        """Begin a login by a person.

        Raises:
            ConfigError: this connection logs in by itself.
        """

    def identity(self) -> str:
        """Say as whom, and to what, this is logged in."""

    def objects(self) -> list[ObjectInfo]:
        """List the objects that this login may see."""

    def describe(self, obj: str) -> Schema:
        """Return the fields of an object that can be read.

        Raises:
            NotPermitted: the object is not there for this login; the text lists what is.
        """

    def vendor_now(self) -> datetime:
        """Return the vendor's clock as it tells it, cut to whole seconds; nobody believes it without asking others."""

    def count(self, plan: Plan) -> int | None:
        """Return the vendor's count of what the plan reads; None where it cannot count."""

    def plan(self, obj: ObjectSettings, window: Window | None) -> Plan:
        """Choose the route for a window; reads the schema and the vendor's count."""

    def pages(self, plan: Plan, checkpoint: Checkpoint) -> Iterator[Page]:
        """Read what the plan says; large pages are spooled as received.

        A spool that holds a request is gone on with: pages that are done there are not yielded.

        Raises:
            ReadLost: the vendor no longer has what was being read.
        """

    def forget(self, checkpoint: Checkpoint) -> None:
        """Give back what the vendor keeps for a read whose window has committed."""

    def probe_changes(self, schema: Schema, since: datetime) -> tuple[int, datetime | None]:
        """Return how many records changed at or after an instant, and the newest stamp; one call."""

    def preview(self, obj: str, rows: int) -> tuple[Schema, list[dict[str, Any]]]:
        """Return the fields of an object and its newest records."""

    def query(self, text: str, *, include_deleted: bool) -> Iterator[dict[str, Any]]:
        """Yield the records of a query in the vendor's language.

        Raises:
            Rejected: the vendor refuses it, or has no query language.
        """

    def get(self, obj: str, record: str, *, by: str | None) -> dict[str, Any]:
        """Return one record by id, or by the value of the field `by`.

        Raises:
            Rejected: there is no such record.
        """

    def upkeep(self, obj: ObjectSettings) -> Upkeep:
        """Return what an object costs where nothing changes, at least; asks nothing.

        What a read of all of it has cost is known from landing.
        """

    @property
    def day_limit(self) -> DayLimit | None:
        """The vendor's limit of a day, in the unit of `usage`; None where it has none. Asks nothing."""

    @property
    def usage(self) -> Usage:
        """What was called through this account, and the vendor's counter."""

    def close(self) -> None:
        """Give back what was held."""


@runtime_checkable
class ConfirmsDeleted(Protocol):
    """An account whose vendor can say of records that are missing from a list that they were deleted."""

    def confirm_deleted(self, obj: str, ids: Sequence[str]) -> AbstractSet[str]:
        """Return those of the ids that the vendor says are deleted, in so many words.

        'Not found' and 'forbidden' are no such words: a login that lost its sight is told the same.

        Raises:
            VendorError: the vendor refuses; nothing is confirmed.
        """


@runtime_checkable
class ReportsSight(Protocol):
    """An account that can say what its login may see."""

    def sight(self) -> str:
        """Return what changes when the login sees other records; "" where that cannot be known.

        Raises:
            VendorError: the vendor does not say.
        """


@runtime_checkable
class ReportsFacts(Protocol):
    """An account that can say which zone, currency and web address are its own."""

    def facts(self) -> AccountFacts:
        """Return what the account says about itself; "" for what it does not say. One or two calls.

        Raises:
            VendorError: the vendor does not answer.
        """


class Connector(Protocol):
    """One vendor.

    Attributes:
        logins: its ways of logging in, the one to prefer first.
        callback_url: where browsers are sent back to after a login, unless configured.
        address_example: what `login_url` looks like.
        keys: its rules for the keys of records.
    """

    vendor: str
    logins: tuple[LoginKind, ...]
    callback_url: str
    address_example: str
    abilities: Abilities
    limits: VendorLimits
    mapping: tuple[ObjectMap, ...]
    default_objects: tuple[str, ...]
    snapshot_objects: frozenset[str]
    keys: RecordKeys

    def vet(self, connection: Connection) -> None:
        """Refuse settings that cannot work, before anything is sent.

        Raises:
            ConfigError: they cannot.
        """

    def open(self, connection: Connection, context: ConnectorContext) -> Account:
        """Open an account without touching the network."""
