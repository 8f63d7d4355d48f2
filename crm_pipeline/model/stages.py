"""The stages across connections, as data: their tables, what they read, what they add to published tables.

A stage's tables hold the rows of all connections. Orchestration, publishing and `status` follow from the
declarations here; the code of a stage is in `stages/<stage>/`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from crm_pipeline.model.enriched_tables import ENRICHMENT_WANTED, ENRICHMENTS
from crm_pipeline.model.table import Column
from crm_pipeline.model.verified_tables import (
    CONTACT_POINTS,
    EMAIL_VERDICTS,
    OF_EMAILS,
    OF_PHONES,
    PHONE_VERDICTS,
    StageTable,
)


@dataclass(frozen=True)
class Stage:
    """A stage across connections.

    Attributes:
        name: the first part of its tables' names in the store, and of its assets.
        tables: its tables.
        reads: the tables of the common model that it reads, of all connections.
        reads_stages: the stages before it that it reads.
        adds: the columns that it adds to published tables, each group with the column that it follows.
        adds_from: its table with their values.
    """

    name: str
    description: str
    tables: tuple[StageTable, ...]
    reads: tuple[str, ...]
    reads_stages: tuple[str, ...] = ()
    adds: Mapping[str, Mapping[str, tuple[Column, ...]]] = field(default_factory=dict)
    adds_from: str = ""

    def stored_name(self, table: str) -> str:
        """Return the name under which the store keeps one of its tables."""
        return f"{self.name}/{table}"


VERIFIED = Stage(
    "verified",
    "Which e-mail may be used and which phone can be dialled, for every address and number of every record.",
    (EMAIL_VERDICTS, PHONE_VERDICTS, CONTACT_POINTS),
    reads=("contacts", "companies", "leads", "users"),
    adds={
        "contacts": {"email": OF_EMAILS, "primary_phone": OF_PHONES},
        "leads": {"email": OF_EMAILS, "primary_phone": OF_PHONES},
        "companies": {"phone": OF_PHONES},
        "users": {"email": OF_EMAILS, "phone": OF_PHONES},
    },
    adds_from=CONTACT_POINTS.name,
)
ENRICHED = Stage(
    "enriched",
    "Whom it is worth buying facts about, and what was bought, apart from what the CRMs say.",
    (ENRICHMENT_WANTED, ENRICHMENTS),
    reads=("contacts", "leads", "companies", "deals", "stages"),
    reads_stages=(VERIFIED.name,),
)
STAGES: tuple[Stage, ...] = (VERIFIED, ENRICHED)
"""In the order in which they are built."""
STAGE_TABLES: Mapping[str, StageTable] = {
    table.name: table for stage in STAGES for table in stage.tables
}
"""The tables of all stages by name; no other table of schema `crm` may have one of these names."""


def stored_tables() -> Iterator[tuple[Stage, StageTable, str]]:
    """Yield each stage's tables with the names under which the store keeps them."""
    for stage in STAGES:
        for table in stage.tables:
            yield stage, table, stage.stored_name(table.name)


def with_added(table: str, columns: tuple[Column, ...]) -> tuple[Column, ...]:
    """Return a published table's columns with those that stages add."""
    for stage in STAGES:
        for after, added in stage.adds.get(table, {}).items():
            at = [column.name for column in columns].index(after) + 1
            columns = (*columns[:at], *added, *columns[at:])
    return columns
