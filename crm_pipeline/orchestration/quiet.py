"""Which objects a refresh has to read: a quiet probe stands for a read where the vendor's facts allow it.

A quiet object is not read and nothing lands: its watermark stays, so the next read begins where the last one ended, and what
a probe may have overlooked is read then. `quiet_s` of the vendor's limits.yaml bounds how long that may go on. A refresh of
which nothing is left does not run at all, provided that everything is built and published as it would be now.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from crm_pipeline import __version__
from crm_pipeline.connectors.registry import connector
from crm_pipeline.kernel.errors import CorruptFile, CrmError
from crm_pipeline.kernel.identity import fingerprint
from crm_pipeline.orchestration import code
from crm_pipeline.orchestration.lineage import made
from crm_pipeline.orchestration.partitions import is_snapshot
from crm_pipeline.orchestration.resources import Workspace
from crm_pipeline.settings import Connection, ObjectSettings
from crm_pipeline.stages.raw import probe
from crm_pipeline.stages.raw.new_fields import is_due
from crm_pipeline.store.landing.looks import ConnectionLooks
from crm_pipeline.store.tables.corruption import check_versions
from crm_pipeline.store.tables.published import Snapshots, recorded_sum, release_number
from crm_pipeline.store.tables.published_files import PublishedFiles


@dataclass(frozen=True)
class Due:
    """What a refresh has to do.

    Attributes:
        objects: to read.
        quiet: objects of which all that changed has landed, as a probe said just now.
        calls: that the probe took.
        is_settled: whether nothing is left to build or publish either.
    """

    objects: tuple[str, ...]
    quiet: tuple[str, ...] = ()
    calls: int = 0
    is_settled: bool = False

    @property
    def is_quiet(self) -> bool:
        """Whether a run would do nothing."""
        return not self.objects and self.is_settled

    def __str__(self) -> str:
        return f"asked about {len(self.quiet)} objects with {self.calls} calls; all that changed has landed."


def due_objects(
    crm: Workspace, connection: Connection, objects: Collection[str], *, waits: bool = True
) -> Due:
    """Ask about those of some objects for which a quiet probe may stand for a read; return what is left to do.

    Where the account cannot be asked, all of them are left: the run says why.

    Args:
        crm: the workspace.
        connection: of the objects.
        objects: by name, in the connection's order.
        waits: whether a person waits for the refresh. Then the probe waits for the rate limiter, and every file that
            is published or that tables consist of is hashed, because a refresh mends damaged ones. Otherwise an object
            whose call would have to wait is left, and damage is found by the next refresh that reads.
    """
    every = tuple(objects)
    if not is_settled(crm, connection, is_thorough=waits):
        return Due(every)
    now, looks = crm.clock.now(), crm.looks.at(connection.name)
    wanted = [
        obj
        for obj in connection.objects
        if obj.name in every and _may_be_quiet(crm, connection, obj, looks, now)
    ]
    if not wanted:
        return Due(every)
    try:
        with (
            crm.probe_history() as history,
            crm.account(connection.name, waits=waits) as account,
        ):
            seen = probe(
                account, wanted, crm.landing, crm.looks, history=history, asked_by="refresh"
            )
            calls = account.usage.calls
    except CrmError:
        return Due(every)
    left = tuple(name for name in every if name not in seen.quiet)
    return Due(left, seen.quiet, calls, is_settled=True)


def _may_be_quiet(
    crm: Workspace,
    connection: Connection,
    obj: ObjectSettings,
    looks: ConnectionLooks,
    now: datetime,
) -> bool:
    """Say whether a quiet probe of an object may stand for a read of it now."""
    facts, look = connector(connection.vendor), looks.of(obj.name)
    longest = timedelta(seconds=facts.limits.quiet_s)
    if not facts.abilities.probes or is_snapshot(connection, obj) or look.error:
        return False
    try:
        if is_due(crm.landing, crm.drift, connection.name, obj.name):
            return False
        reads = crm.landing.object_reads(connection.name, obj.name)
        # A time of the future, noted before the clock was set back, proves nothing.
        if not reads or not timedelta(0) <= now - reads[-1].committed_at < longest:
            return False
        return not crm.landing.interrupted(connection.name, obj.name)
    except CorruptFile:
        return False


def is_settled(crm: Workspace, connection: Connection, *, is_thorough: bool = False) -> bool:
    """Say whether every table of a connection is built, and published, as it would be now without new records.

    Args:
        crm: the workspace.
        connection: of the tables.
        is_thorough: whether all their files are hashed.
    """
    looks = crm.looks.at(connection.name)
    if looks.damage or looks.held:
        return False
    try:
        with_now = {table: built_with(crm, connection, table) for table in made(connection)}
    except CorruptFile:
        return False
    if any(looks.built.get(table) != state for table, state in with_now.items()):
        return False
    if any(row.remarks or row.error for row in crm.freshness(connection.name)):
        return False
    return _is_published(crm) and (not is_thorough or _is_whole(crm))


def built_with(crm: Workspace, connection: Connection, table: str) -> str:
    """Return a fingerprint of what a table is built with: code, mapping, contracts, and the last reads of its objects.

    Taken before a build, it is another one where something landed meanwhile, or where a run died between the two.
    """
    contracts, entries = crm.contracts, made(connection)[table].entries
    reads = {entry.object: _last_read(crm, connection, entry.object) for entry in entries}
    return fingerprint(
        [
            __version__,
            code.normalized_version(entries, table),
            reads,
            [code.raw_version(connection, obj) for obj in connection.objects],
            [(str(path), path.stat().st_mtime_ns) for path in contracts.files],
            sorted((name, str(policy)) for name, policy in contracts.policies.items()),
            str(crm.settings.quarantine),
            sorted(
                f"{each.name}/{name}"
                for each in crm.settings.connections.values()
                for name in made(each)
            ),
        ]
    )


def _last_read(crm: Workspace, connection: Connection, obj: str) -> str:
    """Return the id of the last commit of an object; "" where nothing was read."""
    commits = crm.landing.windows(connection.name, obj)
    return commits[-1].window_id if commits else ""


def _is_published(crm: Workspace) -> bool:
    """Say whether the newest release is published, by a file of the recorded size."""
    shown = Snapshots(crm.settings.data).current()
    try:
        if shown is None or release_number(shown) < crm.tables.current().number:
            return False
        recorded = recorded_sum(shown)
        return recorded is not None and recorded.bytes == shown.stat().st_size
    except (CrmError, FileNotFoundError):
        return False


def _is_whole(crm: Workspace) -> bool:
    """Say whether no file of the newest release, or of what is published, is damaged."""
    release = crm.tables.current()
    snapshots = Snapshots(crm.settings.data, crm.tables.verifier)
    published = PublishedFiles(crm.settings.data / "published", crm.tables.verifier)
    try:
        versions = [crm.tables.version(name, release) for name in release.tables]
        check_versions(crm.tables, [version for version in versions if version is not None])
    except CrmError:
        return False
    shown = snapshots.current()
    return shown is not None and snapshots.is_whole(shown) and not any(published.damaged())
