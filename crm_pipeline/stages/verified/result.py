"""The result of a build of the verified tables."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from crm_pipeline.model.verified_tables import CONTACT_POINTS, EMAIL, PHONE
from crm_pipeline.store.tables import TableVersion

SPEAKS_AGAINST = {EMAIL: "undeliverable", PHONE: "invalid"}
"""The verdict by kind that forbids the use."""


@dataclass(frozen=True)
class PointCount:
    """How many contact points of a connection have a verdict for the same reasons."""

    connection: str
    kind: str
    verdict: str
    reasons: tuple[str, ...]
    points: int

    @property
    def what(self) -> tuple[str, str, str, tuple[str, ...]]:
        """What is counted: connection, kind, verdict, reasons."""
        return self.connection, self.kind, self.verdict, self.reasons


@dataclass(frozen=True)
class Verified:
    """The result of a build.

    Attributes:
        versions: the current version of each table, by name; empty where there is nothing to judge.
        changed: False where nothing had to be judged or removed.
        judged: how many values were judged by this build, by kind.
        counts: contact points by verdict and reasons.
        history: shares of unusable points, by kind, after the last builds, this one's last.
    """

    versions: Mapping[str, TableVersion]
    changed: bool
    judged: Mapping[str, int] = field(default_factory=dict)
    counts: Sequence[PointCount] = ()
    history: Sequence[Mapping[str, float]] = ()

    def rows(self, table: str) -> int:
        """Return the number of rows of a table."""
        version = self.versions.get(table)
        return version.rows if version else 0

    def points(self, kind: str, verdict: str = "") -> int:
        """Return the number of contact points of a kind, all or those with a verdict."""
        return sum(
            count.points
            for count in self.counts
            if count.kind == kind and verdict in {"", count.verdict}
        )

    def points_by_connection(self) -> dict[str, int]:
        """Return the number of contact points of each connection."""
        points: dict[str, int] = {}
        for count in self.counts:
            points[count.connection] = points.get(count.connection, 0) + count.points
        return dict(sorted(points.items()))

    def share(self, kind: str, verdict: str) -> float:
        """Return the share of contact points with a verdict; 0 where there are no points."""
        points = self.points(kind)
        return self.points(kind, verdict) / points if points else 0.0

    def by_reason(self, kind: str, verdict: str = "") -> dict[str, int]:
        """Return the number of contact points by reason, all or those with a verdict, the most frequent first."""
        reasons: dict[str, int] = {}
        for count in self.counts:
            if count.kind == kind and verdict in {"", count.verdict}:
                for reason in count.reasons:
                    reasons[reason] = reasons.get(reason, 0) + count.points
        return dict(sorted(reasons.items(), key=lambda pair: (-pair[1], pair[0])))


def shares(counts: Iterable[PointCount]) -> dict[str, float]:
    """Return the share of unusable points of each kind."""
    verified = Verified({}, changed=False, counts=tuple(counts))
    return {kind: verified.share(kind, verdict) for kind, verdict in SPEAKS_AGAINST.items()}


def result_of(
    versions: Mapping[str, TableVersion], *, changed: bool, judged: Mapping[str, int] | None = None
) -> Verified:
    """Return the result of a build, from the metadata of its versions."""
    version = versions[CONTACT_POINTS.name]
    history = tuple(version.meta["history"])
    return Verified(versions, changed, judged or {}, counts_in(version), history)


def counts_in(version: TableVersion) -> tuple[PointCount, ...]:
    """Return the counts in the metadata of a version of `contact_points`."""
    return tuple(
        PointCount(**{**count, "reasons": tuple(count["reasons"])})
        for count in version.meta["counts"]
    )
