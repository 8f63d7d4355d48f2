"""How many records a table may leave out, from the environment; docs/operations.md explains it."""

from collections.abc import Mapping
from dataclasses import dataclass

from crm_pipeline.settings.numbers import whole_number


@dataclass(frozen=True)
class QuarantineLimit:
    """A table that leaves out more than both limits keeps its current version.

    Attributes:
        percent: of the records.
        rows: fewer never stop it.
    """

    percent: int = 1
    rows: int = 20

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> "QuarantineLimit":
        """Read the variables.

        Raises:
            ConfigError: one is no whole number.
        """
        usual = cls()
        return cls(
            percent=whole_number(environ, "CRM_QUARANTINE_PERCENT", usual.percent, least=0),
            rows=whole_number(environ, "CRM_QUARANTINE_ROWS", usual.rows, least=1),
        )

    def is_exceeded(self, left_out: int, records: int) -> bool:
        """Say whether `left_out` of `records` are too many."""
        return left_out >= self.rows and left_out * 100 > self.percent * records
