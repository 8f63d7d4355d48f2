"""How much of the past stays on the disk, from the environment; docs/operations.md explains it."""

from collections.abc import Mapping
from dataclasses import dataclass

from crm_pipeline.settings.numbers import whole_number

_CENTURY_DAYS = 36_500


@dataclass(frozen=True)
class Retention:
    """What garbage collection keeps.

    Attributes:
        snapshots: so many of the newest snapshots of crm.duckdb stay in any case.
        snapshot_days: for so many days the last snapshot of each day stays.
        version_days: for so many days after it was replaced a table's version stays, and so does each
            release that names it.
        probe_days: for so many days each round of probes stays in `ops.probes`.
    """

    snapshots: int = 3
    snapshot_days: int = 14
    version_days: int = 1
    probe_days: int = 7

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> "Retention":
        """Read the variables.

        Raises:
            ConfigError: one is no whole number, or less than is safe.
        """
        usual = cls()
        return cls(
            snapshots=whole_number(environ, "CRM_KEEP_SNAPSHOTS", usual.snapshots, least=1),
            snapshot_days=whole_number(
                environ, "CRM_KEEP_SNAPSHOT_DAYS", usual.snapshot_days, least=0, most=_CENTURY_DAYS
            ),
            # With less than a day a step that takes long might lose the files that it reads.
            version_days=whole_number(
                environ, "CRM_KEEP_VERSION_DAYS", usual.version_days, least=1, most=_CENTURY_DAYS
            ),
            probe_days=whole_number(
                environ, "CRM_KEEP_PROBE_DAYS", usual.probe_days, least=1, most=366
            ),
        )
