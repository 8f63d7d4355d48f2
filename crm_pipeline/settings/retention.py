"""How much of the past stays on the disk, from the environment; docs/operations.md explains it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from crm_pipeline.kernel.errors import ConfigError
from crm_pipeline.settings.numbers import whole_number

EACH, DAILY, OFF = "each", "daily", "off"
"""When files of data/published are written: with each publish, large ones once a day, never."""
_CENTURY_DAYS = 36_500
LANDED_DAYS = "CRM_KEEP_LANDED_DAYS"
_LEAST_LANDED_DAYS = 35
"""Longer than a month, because the nightly read compares a month with what has landed of it."""


@dataclass(frozen=True)
class Retention:
    """What garbage collection keeps.

    Attributes:
        snapshots: so many of the newest snapshots of crm.duckdb stay in any case.
        snapshot_days: for so many days the last snapshot of each day stays.
        version_days: for so many days after it was replaced a table's version stays, and so does each
            release that names it.
        parquet: when the files of data/published follow what is published: `each`, `daily` or `off`.
        probe_days: for so many days each round of probes stays in `ops.probes`.
        landed_days: for so many days after a record's next version has landed a landed version stays, if its
            history is known; 0 for ever.
        run_days: for so many days after its end a run stays in Dagster's storage; 0 for ever.
    """

    snapshots: int = 3
    snapshot_days: int = 14
    version_days: int = 1
    parquet: str = DAILY
    probe_days: int = 7
    landed_days: int = 0
    run_days: int = 30

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> "Retention":
        """Read the variables.

        Raises:
            ConfigError: one is no whole number, less than is safe, or no word that is known.
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
            parquet=_one_of(environ, "CRM_PUBLISHED_PARQUET", (EACH, DAILY, OFF), usual.parquet),
            probe_days=whole_number(
                environ, "CRM_KEEP_PROBE_DAYS", usual.probe_days, least=1, most=366
            ),
            landed_days=_landed_days(environ),
            run_days=whole_number(
                environ, "CRM_KEEP_RUN_DAYS", usual.run_days, least=0, most=_CENTURY_DAYS
            ),
        )


def _one_of(environ: Mapping[str, str], name: str, words: Sequence[str], usual: str) -> str:
    word = environ.get(name, "").strip().lower() or usual
    if word not in words:
        raise ConfigError(
            f"{name} is '{word}'; it may be {', '.join(words)}.",
            cure=f"Leave it out, which means {usual}, or set one of them.",
        )
    return word


def _landed_days(environ: Mapping[str, str]) -> int:
    """Return for how many days superseded versions stay in landing; 0 for ever.

    Raises:
        ConfigError: it is no whole number, or so few that a look-back or a repeated month could need them.
    """
    days = whole_number(environ, LANDED_DAYS, 0, least=0, most=_CENTURY_DAYS)
    if 0 < days < _LEAST_LANDED_DAYS:
        raise ConfigError(
            f"{LANDED_DAYS} is {days}; it has to be 0 or at least {_LEAST_LANDED_DAYS}.",
            cure=f"Set it to {_LEAST_LANDED_DAYS} or more; 0 keeps every landed version for ever.",
        )
    return days
