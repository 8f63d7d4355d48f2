"""Count the landed rows of a build: each is in the table, superseded, or in quarantine."""

from collections import Counter
from dataclasses import dataclass, field

from crm_pipeline.kernel.errors import ContractError
from crm_pipeline.stages.normalized.inputs import ObjectInput
from crm_pipeline.stages.normalized.ranking import Ranking
from crm_pipeline.store.tables.engine import Engine


@dataclass(frozen=True)
class Tally:
    """Numbers of landed rows of the objects whose records are rows.

    Attributes:
        landed: rows of all batches.
        superseded: landed rows that are older versions of records.
        quarantined: landed rows that cannot be used, by reason.
    """

    landed: int = 0
    superseded: int = 0
    quarantined: Counter[str] = field(default_factory=Counter)

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(
            self.landed + other.landed,
            self.superseded + other.superseded,
            self.quarantined + other.quarantined,
        )

    def check(self, name: str, rows: int) -> None:
        """Check that the counts add up for a table of so many rows.

        Raises:
            ContractError: a row is missing, or there twice.
        """
        kept = self.landed - self.superseded - self.quarantined.total()
        if kept != rows:
            raise ContractError(
                f"{name} has {rows:,} rows where {self.landed:,} landed ones, less {self.superseded:,} "
                f"superseded and {self.quarantined.total():,} in quarantine, make {kept:,}. The table "
                "keeps its current version.",
                failures=[("landed rows = rows + superseded + quarantined", abs(kept - rows), [])],
                cure="Build the table again; if it persists, report it with this text.",
            )


def tally_of(
    engine: Engine, landed: ObjectInput, ranking: Ranking, quarantined: Counter[str]
) -> Tally:
    """Return the numbers of landed rows of an object."""

    def count(relation: str | None) -> int:
        return int(engine.row(f"SELECT count(*) FROM {relation}")[0]) if relation else 0

    return Tally(
        landed=sum(batch.records for batch in landed.batches),
        superseded=count(ranking.others) - count(ranking.set_aside),
        quarantined=quarantined,
    )
