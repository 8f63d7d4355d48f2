"""The interface of a connector: a vendor's abilities as data, and accounts that are opened from settings.

Shared code reads these declarations and never asks for a vendor's name.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import date, datetime
from importlib.resources import files
from typing import Any, Literal, Protocol, runtime_checkable

import pyarrow as pa
import yaml

from crm_pipeline.connectors.asked_ids import Outcome
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
    """What a vendor's API offers.

    Attributes:
        bulk_read: an asynchronous export for large volumes.
        counts: the vendor counts the records of a window on request.
        deleted_flag: deleted records are read together with the others and carry a flag.
        keeps_locator_over_login: a download continues with a new access token.
        probes: one call says whether anything changed.
        unseen_deletions: a sentence on which deletions the vendor does not report, for objects that are not read whole.
        unstamped: some values change without a modification time, see `connectors.unstamped`.
        round_cost: the fixed cost of a round of probes, in the vendor's unit.
    """

    bulk_read: bool
    counts: bool
    deleted_flag: bool
    keeps_locator_over_login: bool
    probes: bool = True
    unstamped: bool = False
    round_cost: int = 0
    unseen_deletions: str = ""


@dataclass(frozen=True)
class ApiVersion:
    """One version of a vendor's API and the dates on which it ends; None where they are not published."""

    version: str
    released: str
    deprecated_on: date | None = None
    retired_on: date | None = None


@dataclass(frozen=True)
class VendorLimits:
    """The content of `limits.yaml`: the pinned API version, the other versions, and the published limits.

    Attributes:
        quiet_s: for how many seconds quiet probes may stand for reads; 0: a refresh always reads.
    """

    api_version: str
    versions: tuple[ApiVersion, ...]
    ceilings: Mapping[str, int]
    retirements: tuple[Mapping[str, Any], ...] = ()
    quiet_s: int = 0


def published_limits(package: str) -> VendorLimits:
    """Return the content of `limits.yaml` in a connector's folder."""
    raw: dict[str, Any] = yaml.safe_load(files(package).joinpath("limits.yaml").read_text())
    return VendorLimits(
        api_version=raw["api_version"],
        versions=tuple(ApiVersion(**version) for version in raw["versions"]),
        ceilings=raw["ceilings"],
        retirements=tuple(raw["retirements"]),
        quiet_s=raw.get("quiet_s", 0),
    )


@dataclass(frozen=True)
class LoginKind:
    """One way of logging in.

    Attributes:
        kind: its name in connections.yaml.
        summary: a sentence on when to choose it.
        by_browser: a person authorizes the pipeline once, with `crm-pipeline login`.
    """

    kind: str
    summary: str
    by_browser: bool = False


@dataclass(frozen=True)
class ObjectInfo:
    """An object as the vendor lists it."""

    name: str
    label: str
    custom: bool
    queryable: bool


@dataclass(frozen=True)
class Finding:
    """One line of a check-up; `cure` says what to change where the level is not ok."""

    level: Level
    topic: str
    detail: str
    cure: str = ""


@dataclass(frozen=True)
class Checkup:
    """The findings about one connection."""

    connection: str
    findings: tuple[Finding, ...]

    @property
    def is_healthy(self) -> bool:
        """Whether no finding failed."""
        return all(finding.level != "fail" for finding in self.findings)


@dataclass(frozen=True)
class Usage:
    """The calls that were made through an account.

    Attributes:
        calls: how many we made.
        used, allowed: the vendor's counter of the day, from its last response that had one; else None.
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
    """One way of reading a window, with an estimate.

    Attributes:
        name: as `route:` in connections.yaml.
        calls: the number of requests.
        cost: in the vendor's unit.
        seconds: the duration, given by latency and rate limits.
        how: a short description.
        impediment: why it is impossible; "" where it is possible.
        saves_bytes: responses are saved in the checkpoint as received, so that no value can be hashed before it is
            on the disk.
    """

    name: str
    calls: int
    cost: int
    seconds: float
    how: str
    impediment: str = ""
    saves_bytes: bool = False


@dataclass(frozen=True)
class Plan:
    """How one window of one object will be read, and why.

    Attributes:
        window: None reads all present records (a snapshot).
        route: the name of the chosen strategy.
        cursor_field: the field that windows and keysets are cut by; None for snapshots.
        complete: the read returns every live record, so absence means deletion.
        vendor_count: the vendor's count of the window before reading.
        calls, cost, seconds: of the chosen strategy; `cost` in the vendor's `unit`.
        strategies: all that were compared, the chosen one among them.
        prepared: what the connector found out while planning and needs for the read; only it looks at this.
        remaining: what was left of the day's budget when it was planned; None where there is no budget.
        keys_only: a sweep, which reads ids and modification times of live records, and at most some further fields.
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
    prepared: Any = field(default=None, compare=False, repr=False)
    keys_only: bool = False


class RecordKeys(Protocol):
    """The rules by which a vendor's records yield their keys: id, modification time, deleted flag.

    New pages and records that landed long ago go through the same rules, so that a corrected rule
    reaches both.

    Attributes:
        version: raised whenever the same record gets other keys than before. Records that landed or were
            rejected under another version are read again when tables are built.
    """

    version: int

    def needed(self, obj: str) -> frozenset[str]:
        """Return the names of an object's fields that reading its records needs, so that none can be kept out."""

    def copies(self, obj: str, field: str) -> tuple[tuple[str, ...], ...]:
        """Return the paths in JSON records, beside the field's own, where the vendor repeats its value."""

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
            schema: its fields at the time when the records were read.
            raw: the records: the column `record` (shape json), or one column per field (shape csv).
            shape: of the page.
            route: the strategy by which the page was read.
            origin: `Page.origin`; None in batches of older versions, which do not hold it.
            deleted: the flags that the batch holds so far; None for records that were rejected.

        Returns:
            Rows whose `_source_id` is null for records that cannot be read.
        """


@dataclass
class Page:
    """One page of records for landing.

    Attributes:
        batches: yields record batches with the key columns of `store.landing.records`; once.
        extracted_at: when the request was sent, by our clock; reads are ordered by it, whatever the vendor's
            clock says.
        expected: the number of records that the vendor states for the page.
        number: its number in the checkpoint, for pages that are saved there.
        facts: saved in the checkpoint once the page is done; a resumed read needs them.
        counted: whether the vendor's count of the window includes its records.
        notes: kept with the commit of the window for later plans, see `ConnectorContext.remembered`.
        rejected: the records that cannot be landed; filled while `batches` runs.
        origin: the list of the vendor that the records came from, where it decides about them and the records
            do not say it: "deleted" for a list of deleted records. "" for most.
        part: the list of the vendor that the page belongs to, where an object is spread over several lists.
        outcomes: of a read by ids: what came of each id that the page is about, by the id as it was given.
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
    outcomes: Mapping[str, Outcome] = field(default_factory=dict)


@dataclass(frozen=True)
class ConnectorContext:
    """The dependencies of an account.

    Attributes:
        remembered: returns the notes of the last committed window of an object.
    """

    settings: Settings
    clock: Clock
    tokens: TokenStore
    limiter: RateLimiter
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    remembered: Callable[[str], Mapping[str, Any]] = lambda _: {}


class LoginFlow(Protocol):
    """A login by a person; valid for one attempt.

    Attributes:
        address: the page where the person grants access.
        redirect_uri: where the browser is sent afterwards, with the parameters in its query.
        state: the value that the redirect has to repeat.
        by_hand: how the person creates a code at `address` and passes it on as the parameter `code`; "" where the
            browser delivers it.
    """

    address: str
    redirect_uri: str
    state: str
    by_hand: str

    def accept(self, answer: Mapping[str, str]) -> None:
        """Exchange the parameters of the redirect for tokens and store them, encrypted.

        Raises:
            AuthFailed: the person or the vendor refused, or the parameters belong to another attempt.
        """


class Account(Protocol):
    """One account at a vendor; it logs in at the first call."""

    connection: Connection

    def check(self) -> Checkup:
        """Check login, identity, permissions, budget and objects; never raises VendorError."""

    def login_flow(self, redirect_uri: str) -> LoginFlow:
        """Start a login by a person.

        Raises:
            ConfigError: this connection logs in by itself.
        """

    def identity(self) -> str:
        """Return the user and the account that this is logged in to, as text."""

    def objects(self) -> list[ObjectInfo]:
        """Return the objects that this login may see."""

    def describe(self, obj: str) -> Schema:
        """Return the fields of an object that can be read.

        Raises:
            NotPermitted: this login does not see the object; the text lists the objects that it sees.
        """

    def cursor_field(self, schema: Schema) -> str | None:
        """Return the modification time that the vendor filters an object by; None where there is none."""

    def vendor_now(self) -> datetime:
        """Return the vendor's time in whole seconds, unverified; callers compare it with other clocks."""

    def count(self, plan: Plan) -> int | None:
        """Return the vendor's count of the records of a plan; None where the vendor cannot count."""

    def plan(self, obj: ObjectSettings, window: Window | None) -> Plan:
        """Return the plan for a window, with the chosen strategy; reads the schema and the vendor's count."""

    def pages(self, plan: Plan, checkpoint: Checkpoint) -> Iterator[Page]:
        """Yield the pages of a plan; large responses are saved in the checkpoint as received.

        A checkpoint that holds a request is resumed: pages that are done there are not yielded again.

        Raises:
            ReadLost: the vendor no longer has the job or cursor of the resumed read.
        """

    def read(self, obj: str, ids: Sequence[str], schema: Schema | None = None) -> Iterator[Page]:
        """Yield the records with some ids, as pages in the form that all reads have.

        The pages together hold an outcome for each id. No ids cost no call, and neither do malformed ones.

        Args:
            obj: the object.
            ids: of the records, in the vendor's form; duplicates are asked for once.
            schema: the fields to read; by default they are requested.

        Raises:
            Rejected: records of this object cannot be read by their ids.
            VendorError: the vendor refuses; what came before is in earlier pages.
        """

    def forget(self, checkpoint: Checkpoint) -> None:
        """Release what the vendor keeps for a read, such as a job, once its window is committed."""

    def probe_changes(self, schema: Schema, since: datetime) -> tuple[int, datetime | None]:
        """Return the number of records changed at or after an instant, and the latest change; one call."""

    def preview(self, obj: str, rows: int) -> tuple[Schema, list[dict[str, Any]]]:
        """Return the fields of an object and its most recent records."""

    def query(self, text: str, *, include_deleted: bool) -> Iterator[dict[str, Any]]:
        """Yield the records of a query in the vendor's query language.

        Raises:
            Rejected: the vendor refuses the query, or has no query language.
        """

    def get(self, obj: str, record: str, *, by: str | None) -> dict[str, Any]:
        """Return one record by id, or by the value of the field `by`.

        Raises:
            Rejected: there is no such record.
        """

    def upkeep(self, obj: ObjectSettings) -> Upkeep:
        """Return the minimum cost of an object while nothing changes; makes no call.

        The cost of a full read is known from landing.
        """

    @property
    def day_limit(self) -> DayLimit | None:
        """The vendor's daily limit, in the unit of `usage`; None where there is none. Makes no call."""

    @property
    def usage(self) -> Usage:
        """The calls made through this account, and the vendor's counter."""

    def close(self) -> None:
        """Close all connections."""


@runtime_checkable
class ConfirmsDeleted(Protocol):
    """An account that can confirm that records missing from a list were deleted."""

    def confirm_deleted(self, obj: str, ids: Sequence[str]) -> AbstractSet[str]:
        """Return those ids that the vendor explicitly reports as deleted.

        'Not found' and 'forbidden' confirm nothing: a login that lost a permission gets the same responses.

        Raises:
            VendorError: the vendor refuses; nothing is confirmed.
        """


@runtime_checkable
class ReportsSight(Protocol):
    """An account that can report what its login may see."""

    def sight(self) -> str:
        """Return a text that changes whenever the login sees other records; "" where the vendor reports nothing.

        Raises:
            VendorError: the vendor does not answer.
        """


@runtime_checkable
class ReportsFacts(Protocol):
    """An account that can report its time zone, currency and web address."""

    def facts(self) -> AccountFacts:
        """Return the account's own facts; "" for those that the vendor does not report. One or two calls.

        Raises:
            VendorError: the vendor does not answer.
        """


@runtime_checkable
class Auditable(Protocol):
    """An account whose records can be counted, or whose ids can be listed, to compare them with what has landed."""

    def spending(self, amount: int) -> AbstractContextManager[None]:
        """Refuse calls that would cost more than an amount, in the vendor's unit, in all within the context.

        A refused call raises AllowanceSpent and is not sent.
        """

    def count_live(self, schema: Schema, window: Window | None) -> int | None:
        """Return the vendor's count of the live records of a window, None for all; None where it cannot count them.

        Raises:
            VendorError: the vendor does not answer.
        """

    def plan_sweep(self, obj: ObjectSettings, window: Window, fields: Collection[str] = ()) -> Plan:
        """Return the plan for a sweep: a read of ids and modification times of the live records of a window.

        It is read with `pages` and counted with `count`, like every other plan. What the vendor sends besides is
        of no use.

        Args:
            obj: the object.
            window: of modification times.
            fields: names of fields that are read besides; those that the object does not have any more are left out.

        Raises:
            Rejected: the object's records are parts of others, and have no list of their own.
        """

    def deletion_marks(self, schema: Schema, ids: Sequence[str]) -> Page:
        """Return a page that says of records that they are deleted, in the form in which the vendor says so.

        They have no time of deletion, so any later read of the record that is alive counts more. Makes no call.
        """


@runtime_checkable
class LogsDeletions(Protocol):
    """An account whose vendor keeps a list of what was deleted, also of what its queries return no more."""

    def logged_deletions(self, schema: Schema) -> AbstractSet[str]:
        """Return the ids of records that were deleted in the last days; some may have been restored since.

        Raises:
            Rejected: the vendor keeps no list of this object, or its list is too long.
            VendorError: the vendor does not answer.
        """


class Connector(Protocol):
    """One vendor.

    A vendor whose accounts all have the address of the example may say so by a further attribute, `has_one_address`.

    Attributes:
        logins: its ways of logging in, the preferred one first.
        callback_url: where browsers are sent after a login, unless connections.yaml says otherwise.
        address_example: an example of `login_url`.
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
            ConfigError: the settings cannot work.
        """

    def open(self, connection: Connection, context: ConnectorContext) -> Account:
        """Open an account without touching the network."""
